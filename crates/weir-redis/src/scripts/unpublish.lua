-- 5: the member; 6: the track.
local why = refused(ARGV[5], ARGV[6])
if why then return why end
redis.call('HDEL', tracks, ARGV[6])
redis.call('HDEL', owners, ARGV[6])
tell('x', ARGV[6], ARGV[5])
keep()
return {'ok'}
