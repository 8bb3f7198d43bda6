-- 5: the member; 6: the track; 7: its record as it was; 8: its record as it shall be.
local why = refused(ARGV[5], ARGV[6])
if why then return why end
local record = redis.call('HGET', tracks, ARGV[6])
if record ~= ARGV[7] then return {'changed', record} end
redis.call('HSET', tracks, ARGV[6], ARGV[8])
tell('t', ARGV[6], ARGV[5], ARGV[8])
keep()
return {'ok'}
