-- 5: the member; 6: its record as it was; 7: its record as it shall be.
if not exists() then return {'no room'} end
local record = redis.call('HGET', members, ARGV[5])
if not record then return {'no member'} end
if record ~= ARGV[6] then return {'changed', record} end
redis.call('HSET', members, ARGV[5], ARGV[7])
tell('u', ARGV[5], ARGV[7])
keep()
return {'ok'}
