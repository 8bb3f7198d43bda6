-- 6: the member; 7: the track; 8: its record as it was; 9: its record as it shall be.
local why = refused(ARGV[6], ARGV[7])
if why then return why end
local record = redis.call('HGET', tracks, ARGV[7])
if record ~= ARGV[8] then return {'changed', record} end
why = oversize(#ARGV[9] - #record, 0, 0, 0)
if why then return why end
put_track(ARGV[7], ARGV[6], ARGV[9])
tell('t', ARGV[7], ARGV[6], ARGV[9])
keep()
return {'ok'}
