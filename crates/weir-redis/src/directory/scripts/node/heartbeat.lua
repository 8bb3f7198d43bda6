-- Renews a lease. KEYS: leases; audit requests; claimed leases. ARGV: 1: incarnation; 2: its node; 3: duration of the lease, in
-- milliseconds; 4: whether the incarnation is new, or empty; 5: lifetime of the table, in milliseconds.
-- Returns `lost` if the lease had expired, `audit` if the node is to compare its ledger with its seats.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[4] == '' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 'lost' end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
-- A new incarnation may have entered seats into its ledger before its first heartbeat.
if ARGV[4] ~= '' then redis.call('ZREM', KEYS[3], ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return redis.call('ZSCORE', KEYS[2], ARGV[2]) and 'audit' or 'ok'
