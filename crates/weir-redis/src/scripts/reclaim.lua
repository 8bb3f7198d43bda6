-- Takes a member's seat over for its node's new id, or seats it again with its tracks.
-- 5: the member; 6: its record; 7: its node; then id and record of each of its tracks.
if not exists() then return {'no room'} end
local seat = redis.call('HGET', seats, ARGV[5])
if seat then
  if string.match(seat, '^%S+') ~= ARGV[7] then
    redis.call('HSET', seats, ARGV[5], ARGV[7] .. string.match(seat, ' %d+$'))
  end
else
  seat = ARGV[7] .. ' ' .. redis.call('HINCRBY', room, 'arrivals', 1)
  redis.call('HSET', members, ARGV[5], ARGV[6])
  redis.call('HSET', seats, ARGV[5], seat)
  tell('j', ARGV[5], seat, ARGV[6])
end
local taken = {'ok'}
for at = 8, #ARGV, 2 do
  local track = ARGV[at]
  local owner = redis.call('HGET', owners, track)
  if not owner then
    if tonumber(track) > tonumber(redis.call('HGET', room, 'track')) then
      redis.call('HSET', room, 'track', track)
    end
    redis.call('HSET', tracks, track, ARGV[at + 1])
    redis.call('HSET', owners, track, ARGV[5])
    tell('p', track, ARGV[5], ARGV[at + 1])
  elseif owner ~= ARGV[5] then
    taken[#taken + 1] = track
  end
end
keep()
return taken
