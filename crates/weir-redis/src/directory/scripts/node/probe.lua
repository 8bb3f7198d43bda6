-- Publishes to the node that calls it. KEYS: a channel, which no key is named like. ARGV: the command,
-- the message.
return redis.call(ARGV[1], KEYS[1], ARGV[2])
