-- 6: the member; 7: why; 8: the node that it must be on, or nothing.
if not exists() then return {'no room'} end
local seat = redis.call('HGET', seats, ARGV[6])
if not seat then return {'no member'} end
if ARGV[8] ~= '' and string.match(seat, '^%S+') ~= ARGV[8] then return {'no member'} end
for _, track in ipairs(tracks_of(ARGV[6])) do
  remove_track(track)
  tell('x', track, ARGV[6])
end
remove_member(ARGV[6])
redis.call('HDEL', seats, ARGV[6])
tell('l', ARGV[6], ARGV[7])
keep()
return {'ok'}
