-- Returns the room's hashes.
if not exists() then return {'no room'} end
return snapshot()
