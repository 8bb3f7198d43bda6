-- Functions shared by the scripts that read or change a room. Redis runs a script atomically (Redis
-- documentation, "Scripting with Lua"), so a room's state, version and events always agree.
--
-- KEYS: the room's hashes, in the order of `Keys::room`. ARGV: 1: command that publishes events, optionally
-- followed by a space and a trace; 2: channel of the events; 3 and 4: lifetime of a room with and without
-- members, in milliseconds; 5: maximum size of the room's state as JSON, in bytes; 6: the writer, an incarnation
-- of a node. The arguments of each script start at 7.
local room, members, seats, tracks, owners, fences = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

-- Returns node and epoch of an incarnation, `NODE.EPOCH`, with which a seat begins. Nodes of earlier versions
-- have no epoch.
local function incarnation(text)
  local node, epoch = string.match(text, '^([^ .]+)%.?(%d*)')
  return node, tonumber(epoch) or 0
end

local writer, epoch = incarnation(ARGV[6])

-- Returns whether the writer owns a seat: it is the incarnation named there, or a later one of the same node.
local function owns(seat)
  local node, since = incarnation(seat)
  return node == writer and since <= epoch
end

-- Returns whether the writer may seat a member that has no seat. A fence refuses the incarnation that it names,
-- earlier ones, and other nodes.
local function may_seat(member)
  local fence = redis.call('HGET', fences, member)
  if not fence then return true end
  local node, last = incarnation(fence)
  return node == writer and last < epoch
end

-- Refuses to seat a member for this incarnation of the writer from now on: a delayed write may still arrive.
local function fence_off(member)
  redis.call('HSET', fences, member, ARGV[6])
  redis.call('PEXPIRE', fences, ARGV[3])
end

-- Increments the version and publishes a change: a line with version (and trace), kind and lengths of the
-- parts, followed by the parts.
local function tell(kind, ...)
  local version = redis.call('HINCRBY', room, 'version', 1)
  local how, trace = string.match(ARGV[1], '^(%S+) ?(.*)$')
  if trace ~= '' then version = version .. '@' .. trace end
  local head, parts = version .. ' ' .. kind, {...}
  for _, part in ipairs(parts) do
    head = head .. ' ' .. #part
  end
  redis.call(how, ARGV[2], head .. '\n' .. table.concat(parts))
end

-- Restarts the room's lifetime. A hash that was empty in between has lost its expiry.
local function keep()
  local empty = redis.call('EXISTS', members) == 0
  for _, key in ipairs({room, members, seats, tracks, owners}) do
    redis.call('PEXPIRE', key, empty and ARGV[4] or ARGV[3])
  end
end

local function exists()
  return redis.call('EXISTS', room) == 1
end

-- Replaces the room with one without members. Fences stay.
local function create(record, limit)
  redis.call('DEL', room, members, seats, tracks, owners)
  redis.call('HSET', room, 'record', record, 'limit', limit, 'version', 0, 'track', 0, 'arrivals', 0,
    'bytes', #record)
end

-- Returns the size of a track as JSON. Its record lacks id and publisher: `"id":1,"member":"m",`.
local function track_bytes(track, owner, record)
  return #record + #track + #owner + 18
end

-- Returns a refusal if the state would exceed its maximum size. As JSON it is
-- {"room":R,"members":[M,M],"tracks":[T,T]}; `bytes` in the room's hash is the size of R, M and T. `more` bytes
-- of these are added, in so many members and tracks, and `answer` bytes are sent along.
local function oversize(more, more_members, more_tracks, answer)
  if more <= 0 then return end
  local member_count = redis.call('HLEN', members) + more_members
  local track_count = redis.call('HLEN', tracks) + more_tracks
  local inside = (redis.call('HGET', room, 'bytes') or 0) + more
  local commas = math.max(member_count - 1, 0) + math.max(track_count - 1, 0)
  local total = 34 + inside + commas + answer
  if total > tonumber(ARGV[5]) then return {'large', string.format('%d', total)} end
end

-- Sets a field of a hash; returns the growth in bytes, and whether the field is new.
local function put(hash, field, value)
  local known = redis.call('HGET', hash, field)
  redis.call('HSET', hash, field, value)
  return #value - (known and #known or 0), not known
end

local function put_member(member, record)
  local more = put(members, member, record)
  redis.call('HINCRBY', room, 'bytes', more)
end

local function put_track(track, owner, record)
  local more, new = put(tracks, track, record)
  redis.call('HSET', owners, track, owner)
  redis.call('HINCRBY', room, 'bytes', new and track_bytes(track, owner, record) or more)
end

local function remove_member(member)
  redis.call('HINCRBY', room, 'bytes', -#redis.call('HGET', members, member))
  redis.call('HDEL', members, member)
  redis.call('HDEL', seats, member)
end

local function remove_track(track)
  local record, owner = redis.call('HGET', tracks, track), redis.call('HGET', owners, track)
  redis.call('HINCRBY', room, 'bytes', -track_bytes(track, owner, record))
  redis.call('HDEL', tracks, track)
  redis.call('HDEL', owners, track)
end

-- Seats a member for the writer, behind all others.
local function seat(member, record)
  local place = ARGV[6] .. ' ' .. redis.call('HINCRBY', room, 'arrivals', 1)
  put_member(member, record)
  redis.call('HSET', seats, member, place)
  redis.call('HDEL', fences, member)
  tell('j', member, place, record)
end

local function snapshot()
  return {'ok',
    redis.call('HGETALL', room),
    redis.call('HGETALL', members),
    redis.call('HGETALL', seats),
    redis.call('HGETALL', tracks),
    redis.call('HGETALL', owners)}
end

-- Returns the ids of a member's tracks, in order.
local function tracks_of(member)
  local all, own = redis.call('HGETALL', owners), {}
  for at = 1, #all, 2 do
    if all[at + 1] == member then
      own[#own + 1] = all[at]
    end
  end
  table.sort(own, function(left, right) return tonumber(left) < tonumber(right) end)
  return own
end

-- Returns a refusal unless the writer owns the member's seat.
local function refuse_member(member)
  if not exists() then return {'no room'} end
  local place = redis.call('HGET', seats, member)
  if not place then return {'no member'} end
  if not owns(place) then return {'fenced'} end
end

-- Returns a refusal unless the writer owns the member's seat and the track is the member's.
local function refuse_track(member, track)
  local why = refuse_member(member)
  if why then return why end
  local owner = redis.call('HGET', owners, track)
  if not owner then return {'no track'} end
  if owner ~= member then return {'not owner'} end
end
