-- Replaces a member's record if it is the expected one. 7: the member; 8: expected record; 9: new record.
local member, expected, record = ARGV[7], ARGV[8], ARGV[9]
local why = refuse_member(member)
if why then return why end
local known = redis.call('HGET', members, member)
if known ~= expected then return {'changed'} end
why = oversize(#record - #known, 0, 0, 0)
if why then return why end
put_member(member, record)
tell('u', member, record)
keep()
return {'ok'}
