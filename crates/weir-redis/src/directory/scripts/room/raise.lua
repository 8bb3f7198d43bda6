-- 6: by how much the version is raised, so that as many changes can be told.
if not exists() then return {'no room'} end
return {'ok', tostring(redis.call('HINCRBY', room, 'version', ARGV[6]))}
