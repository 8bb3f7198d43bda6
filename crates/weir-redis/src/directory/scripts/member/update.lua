-- 6: the member; 7: its record as it was; 8: its record as it shall be.
if not exists() then return {'no room'} end
local record = redis.call('HGET', members, ARGV[6])
if not record then return {'no member'} end
if record ~= ARGV[7] then return {'changed', record} end
local why = oversize(#ARGV[8] - #record, 0, 0, 0)
if why then return why end
put_member(ARGV[6], ARGV[8])
tell('u', ARGV[6], ARGV[8])
keep()
return {'ok'}
