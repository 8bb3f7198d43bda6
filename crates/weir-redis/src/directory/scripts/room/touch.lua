if not exists() then return {'no room'} end
keep()
return {'ok'}
