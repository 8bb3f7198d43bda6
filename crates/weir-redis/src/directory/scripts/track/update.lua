-- Replaces a track's record if it is the expected one. 7: the member; 8: the track; 9: expected record; 10: new
-- record.
local member, track, expected, record = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local why = refuse_track(member, track)
if why then return why end
local known = redis.call('HGET', tracks, track)
if known ~= expected then return {'changed'} end
why = oversize(#record - #known, 0, 0, 0)
if why then return why end
put_track(track, member, record)
tell('t', track, member, record)
keep()
return {'ok'}
