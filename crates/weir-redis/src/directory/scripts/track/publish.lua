-- 7: the member; 8: the track's record; 9: maximum number of tracks per member. Returns the track's id.
local member, record = ARGV[7], ARGV[8]
local why = refuse_member(member)
if why then return why end
if #tracks_of(member) >= tonumber(ARGV[9]) then return {'too many'} end
local track = string.format('%d', redis.call('HGET', room, 'track') + 1)
why = oversize(track_bytes(track, member, record), 0, 1, 0)
if why then return why end
redis.call('HSET', room, 'track', track)
put_track(track, member, record)
tell('p', track, member, record)
keep()
return {'ok', track}
