-- Ends a lease whose ledger is empty; otherwise it expires and the ledger is reaped. KEYS: leases; the ledger.
-- ARGV: the incarnation.
if redis.call('SCARD', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 'ok'
