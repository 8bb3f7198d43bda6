-- 6: the member; 7: its record; 8: its node; 9 and 10: record and limit of a room that is created if
-- it is missing, or an empty 9; 11: what the answer takes beside the state and the member once more.
local missing = not exists()
if missing and ARGV[9] == '' then return {'no room'} end
if redis.call('HEXISTS', members, ARGV[6]) == 1 then return snapshot() end
local limit = tonumber(missing and ARGV[10] or redis.call('HGET', room, 'limit'))
if redis.call('HLEN', members) >= limit then return {'full', tostring(limit)} end
local inside = #ARGV[7] + (missing and #ARGV[9] or 0)
local why = oversize(inside, 1, 0, #ARGV[7] + ARGV[11])
if why then return why end
if missing then create(ARGV[9], ARGV[10]) end
local seat = ARGV[8] .. ' ' .. redis.call('HINCRBY', room, 'arrivals', 1)
put_member(ARGV[6], ARGV[7])
redis.call('HSET', seats, ARGV[6], seat)
tell('j', ARGV[6], seat, ARGV[7])
keep()
return snapshot()
