-- KEYS: the nodes that are alive. ARGV: the node; how long its lease is, in milliseconds; whether it
-- is new; how long the table is kept.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == '' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 'lost' end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'ok'
