-- Gives the dead nodes to one who reaps them. KEYS: the nodes that are alive; those being reaped.
-- ARGV: how long another one leaves a claimed node alone, in milliseconds; how long the table is kept.
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
