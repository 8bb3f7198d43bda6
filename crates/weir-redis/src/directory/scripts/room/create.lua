-- 7: the room's record; 8: its member limit.
local record, limit = ARGV[7], ARGV[8]
if exists() then return {'exists'} end
local why = oversize(#record, 0, 0, 0)
if why then return why end
create(record, limit)
keep()
return {'ok'}
