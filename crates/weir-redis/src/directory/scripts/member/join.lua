-- 7: the member; 8: its record; 9 and 10: record and member limit of the room to create if it is missing, or an
-- empty 9; 11: size of the answer beside the state and the second copy of the member.
local member, record, new_room = ARGV[7], ARGV[8], ARGV[9]
local missing = not exists()
if missing and new_room == '' then return {'no room'} end
local place = redis.call('HGET', seats, member)
if place then return owns(place) and snapshot() or {'fenced'} end
if not may_seat(member) then return {'fenced'} end
local limit = tonumber(missing and ARGV[10] or redis.call('HGET', room, 'limit'))
if redis.call('HLEN', members) >= limit then return {'full', tostring(limit)} end
local inside = #record + (missing and #new_room or 0)
local why = oversize(inside, 1, 0, #record + ARGV[11])
if why then return why end
if missing then create(new_room, ARGV[10]) end
seat(member, record)
keep()
return snapshot()
