-- Writes a room back that Redis has lost, or has an older state of, as a node knows it.
-- 5: version; 6: record; 7: limit; 8: the last track's id; 9: arrivals; 10: how many members; then
-- id, seat and record of each, and id, owner and record of each track.
if exists() and tonumber(redis.call('HGET', room, 'version')) >= tonumber(ARGV[5]) then
  return {'known'}
end
create(ARGV[6], ARGV[7])
redis.call('HSET', room, 'version', ARGV[5], 'track', ARGV[8], 'arrivals', ARGV[9])
local at = 11
for _ = 1, tonumber(ARGV[10]) do
  redis.call('HSET', seats, ARGV[at], ARGV[at + 1])
  redis.call('HSET', members, ARGV[at], ARGV[at + 2])
  at = at + 3
end
while ARGV[at] do
  redis.call('HSET', owners, ARGV[at], ARGV[at + 1])
  redis.call('HSET', tracks, ARGV[at], ARGV[at + 2])
  at = at + 3
end
-- Whoever knows another state of this version or an earlier one reads this one.
tell('s')
keep()
return {'ok'}
