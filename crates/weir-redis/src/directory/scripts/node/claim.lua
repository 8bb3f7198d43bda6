-- Claims expired leases for a reaper and returns the incarnations. KEYS: leases; claimed leases. ARGV: 1: time in
-- milliseconds after which another reaper may take over; 2: lifetime of the table, in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  dead[#dead + 1] = node
end
for _, node in ipairs(dead) do
  redis.call('ZREM', KEYS[1], node)
  redis.call('ZADD', KEYS[2], now + ARGV[1], node)
end
if #dead > 0 then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return dead
