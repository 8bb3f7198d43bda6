-- Restarts the room's lifetime.
if not exists() then return {'no room'} end
keep()
return {'ok'}
