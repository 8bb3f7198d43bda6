-- Raises the version, so that a node has a version for each change that it has missed. 7: by how much.
if not exists() then return {'no room'} end
return {'ok', tostring(redis.call('HINCRBY', room, 'version', ARGV[7]))}
