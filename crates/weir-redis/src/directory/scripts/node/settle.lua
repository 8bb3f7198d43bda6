-- Deletes reaped entries from a ledger, and the claimed lease with the last one. KEYS: claimed leases; the ledger.
-- ARGV: the incarnation; then the entries.
for at = 2, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[at])
end
if redis.call('SCARD', KEYS[2]) > 0 then
  -- Another node has entered more meanwhile; the next claim includes them.
  redis.call('ZADD', KEYS[1], 0, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 'ok'
