-- Takes a member's seat over for its node's new id, or seats it again with its tracks, however long the
-- state becomes: it was so long before.
-- 6: the member; 7: its record; 8: its node; then id and record of each of its tracks.
if not exists() then return {'no room'} end
local seat = redis.call('HGET', seats, ARGV[6])
if seat then
  if string.match(seat, '^%S+') ~= ARGV[8] then
    redis.call('HSET', seats, ARGV[6], ARGV[8] .. string.match(seat, ' %d+$'))
  end
else
  seat = ARGV[8] .. ' ' .. redis.call('HINCRBY', room, 'arrivals', 1)
  put_member(ARGV[6], ARGV[7])
  redis.call('HSET', seats, ARGV[6], seat)
  tell('j', ARGV[6], seat, ARGV[7])
end
local taken = {'ok'}
for at = 9, #ARGV, 2 do
  local track = ARGV[at]
  local owner = redis.call('HGET', owners, track)
  if not owner then
    if tonumber(track) > tonumber(redis.call('HGET', room, 'track')) then
      redis.call('HSET', room, 'track', track)
    end
    put_track(track, ARGV[6], ARGV[at + 1])
    tell('p', track, ARGV[6], ARGV[at + 1])
  elseif owner ~= ARGV[6] then
    taken[#taken + 1] = track
  end
end
keep()
return taken
