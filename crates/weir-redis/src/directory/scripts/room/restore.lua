-- Writes a room back that Redis has lost, or has an older state of, as a node knows it.
-- 6: version; 7: record; 8: limit; 9: the last track's id; 10: arrivals; 11: how many members; then
-- id, seat and record of each, and id, owner and record of each track.
if exists() and tonumber(redis.call('HGET', room, 'version')) >= tonumber(ARGV[6]) then
  return {'known'}
end
create(ARGV[7], ARGV[8])
redis.call('HSET', room, 'version', ARGV[6], 'track', ARGV[9], 'arrivals', ARGV[10])
local at = 12
for _ = 1, tonumber(ARGV[11]) do
  redis.call('HSET', seats, ARGV[at], ARGV[at + 1])
  put_member(ARGV[at], ARGV[at + 2])
  at = at + 3
end
while ARGV[at] do
  put_track(ARGV[at], ARGV[at + 1], ARGV[at + 2])
  at = at + 3
end
-- Whoever knows another state of this version or an earlier one reads this one.
tell('s')
keep()
return {'ok'}
