-- 6: the member; 7: the track's record; 8: how many tracks a member may have.
if not exists() then return {'no room'} end
if redis.call('HEXISTS', members, ARGV[6]) == 0 then return {'no member'} end
if #tracks_of(ARGV[6]) >= tonumber(ARGV[8]) then return {'too many'} end
local track = string.format('%d', redis.call('HGET', room, 'track') + 1)
local why = oversize(track_bytes(track, ARGV[6], ARGV[7]), 0, 1, 0)
if why then return why end
redis.call('HSET', room, 'track', track)
put_track(track, ARGV[6], ARGV[7])
tell('p', track, ARGV[6], ARGV[7])
keep()
return {'ok', track}
