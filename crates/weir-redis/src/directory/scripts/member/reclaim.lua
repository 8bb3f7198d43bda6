-- Moves a member's seat to the writer from an earlier incarnation of its node, or seats the member again with its
-- tracks. The size of the state is not checked: it was as large before.
-- 7: the member; 8: its record; then id and record of each of its tracks.
local member, record = ARGV[7], ARGV[8]
if not exists() then return {'no room'} end
local place = redis.call('HGET', seats, member)
if place then
  if not owns(place) then return {'fenced'} end
  redis.call('HSET', seats, member, ARGV[6] .. string.match(place, ' %d+$'))
else
  if not may_seat(member) then return {'reaped'} end
  seat(member, record)
end
for at = 9, #ARGV, 2 do
  local track = ARGV[at]
  if redis.call('HEXISTS', owners, track) == 0 then
    if tonumber(track) > tonumber(redis.call('HGET', room, 'track')) then
      redis.call('HSET', room, 'track', track)
    end
    put_track(track, member, ARGV[at + 1])
    tell('p', track, member, ARGV[at + 1])
  end
end
keep()
return {'ok'}
