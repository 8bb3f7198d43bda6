-- Restores a room from a node's mirror, if Redis has lost it or has an older version. Members behind a fence are
-- left out.
-- 7: version; 8: record; 9: member limit; 10: id of the last track; 11: arrivals; 12: number of members; then id,
-- seat and record of each member, and id, owner and record of each track.
local version = ARGV[7]
if exists() and tonumber(redis.call('HGET', room, 'version')) >= tonumber(version) then
  return {'known'}
end
create(ARGV[8], ARGV[9])
redis.call('HSET', room, 'version', version, 'track', ARGV[10], 'arrivals', ARGV[11])
local at = 13
for _ = 1, tonumber(ARGV[12]) do
  local member, place, record = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local fence = redis.call('HGET', fences, member)
  local node, since = incarnation(place)
  local fenced_node, last = incarnation(fence or '.')
  if not fence or (node == fenced_node and since > last) then
    redis.call('HSET', seats, member, place)
    put_member(member, record)
  end
  at = at + 3
end
while ARGV[at] do
  local track, owner, record = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if redis.call('HEXISTS', seats, owner) == 1 then put_track(track, owner, record) end
  at = at + 3
end
-- Every node that watches the room compares it with its mirror now.
tell('s')
keep()
return {'ok'}
