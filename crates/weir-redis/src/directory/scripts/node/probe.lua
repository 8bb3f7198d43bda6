-- Publishes a probe to the node that calls it. KEYS: a channel, for which there is no key. ARGV: 1: the command;
-- 2: the message.
return redis.call(ARGV[1], KEYS[1], ARGV[2])
