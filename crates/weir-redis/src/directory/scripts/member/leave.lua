-- 7: the member; 8: the reason; 9: whether a delayed write may seat it again, or empty.
local member, reason = ARGV[7], ARGV[8]
local why = refuse_member(member)
if why and why[1] == 'fenced' then return why end
if ARGV[9] ~= '' then fence_off(member) end
if why then return why end
for _, track in ipairs(tracks_of(member)) do
  remove_track(track)
  tell('x', track, member)
end
remove_member(member)
tell('l', member, reason)
keep()
return {'ok'}
