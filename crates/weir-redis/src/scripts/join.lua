-- 5: the member; 6: its record; 7: its node; 8 and 9: record and limit of a room that is created if
-- it is missing, or an empty 8.
if not exists() then
  if ARGV[8] == '' then return {'no room'} end
  create(ARGV[8], ARGV[9])
end
if redis.call('HEXISTS', members, ARGV[5]) == 1 then return snapshot() end
local limit = tonumber(redis.call('HGET', room, 'limit'))
if redis.call('HLEN', members) >= limit then return {'full', tostring(limit)} end
local seat = ARGV[7] .. ' ' .. redis.call('HINCRBY', room, 'arrivals', 1)
redis.call('HSET', members, ARGV[5], ARGV[6])
redis.call('HSET', seats, ARGV[5], seat)
tell('j', ARGV[5], seat, ARGV[6])
keep()
return snapshot()
