-- 5: the room's record; 6: how many members it takes.
if exists() then return {'exists'} end
create(ARGV[5], ARGV[6])
keep()
return {'ok'}
