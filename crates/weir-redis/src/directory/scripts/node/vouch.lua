-- Enters seats into the ledger of their owner before they are written, so that the owner or its reaper finds each of
-- them. KEYS: leases; claimed leases; audit requests; the ledger. ARGV: 1: the owner; 2: its node if it is to audit the
-- ledger, or empty; 3: duration of a lease, in milliseconds; 4: lifetime of the tables, in milliseconds; then the
-- entries.
for at = 5, #ARGV do
  redis.call('SADD', KEYS[4], ARGV[at])
end
redis.call('PEXPIRE', KEYS[4], ARGV[4])
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[3], 0, ARGV[2])
  redis.call('PEXPIRE', KEYS[3], ARGV[4])
end
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  -- The owner is dead, or Redis has lost its lease. In the latter case it moves its seats to a new incarnation within
  -- the duration of a lease.
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return 'ok'
