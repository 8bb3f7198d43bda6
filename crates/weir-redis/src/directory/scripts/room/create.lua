-- 6: the room's record; 7: how many members it takes.
if exists() then return {'exists'} end
local why = oversize(#ARGV[6], 0, 0, 0)
if why then return why end
create(ARGV[6], ARGV[7])
keep()
return {'ok'}
