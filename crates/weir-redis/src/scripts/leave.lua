-- 5: the member; 6: why; 7: the node that it must be on, or nothing.
if not exists() then return {'no room'} end
local seat = redis.call('HGET', seats, ARGV[5])
if not seat then return {'no member'} end
if ARGV[7] ~= '' and string.match(seat, '^%S+') ~= ARGV[7] then return {'no member'} end
for _, track in ipairs(tracks_of(ARGV[5])) do
  redis.call('HDEL', tracks, track)
  redis.call('HDEL', owners, track)
  tell('x', track, ARGV[5])
end
redis.call('HDEL', members, ARGV[5])
redis.call('HDEL', seats, ARGV[5])
tell('l', ARGV[5], ARGV[6])
keep()
return {'ok'}
