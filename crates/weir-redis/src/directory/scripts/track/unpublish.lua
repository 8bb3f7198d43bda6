-- 7: the member; 8: the track.
local member, track = ARGV[7], ARGV[8]
local why = refuse_track(member, track)
if why then return why end
remove_track(track)
tell('x', track, member)
keep()
return {'ok'}
