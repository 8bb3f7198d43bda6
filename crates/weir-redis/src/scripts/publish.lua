-- 5: the member; 6: the track's record; 7: how many tracks a member may have.
if not exists() then return {'no room'} end
if redis.call('HEXISTS', members, ARGV[5]) == 0 then return {'no member'} end
if #tracks_of(ARGV[5]) >= tonumber(ARGV[7]) then return {'too many'} end
local track = tostring(redis.call('HINCRBY', room, 'track', 1))
redis.call('HSET', tracks, track, ARGV[6])
redis.call('HSET', owners, track, ARGV[5])
tell('p', track, ARGV[5], ARGV[6])
keep()
return {'ok', track}
