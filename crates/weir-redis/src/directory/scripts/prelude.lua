-- What the scripts on a room share. Redis runs a script as one step (Redis documentation, "Scripting
-- with Lua"), so a room's state, its version and its events cannot part.
--
-- KEYS: the room's hashes. ARGV 1 and 2: how (and, after a space, by which trace) and where its events
-- are published; 3 and 4: how long,
-- in milliseconds, it is kept with members and without; 5: how long its state may be as JSON, in bytes. Each
-- script's own arguments follow from 6.
local room, members, seats, tracks, owners = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- Raises the version and tells a change: a line of its version (and the trace), its kind and the lengths of its
-- parts, then the parts.
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

-- Lets the room live on from now. Redis forgets the time of a key that was empty in between.
local function keep()
  local empty = redis.call('EXISTS', members) == 0
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, empty and ARGV[4] or ARGV[3])
  end
end

local function exists()
  return redis.call('EXISTS', room) == 1
end

-- Writes a room without members, whatever was there.
local function create(record, limit)
  redis.call('DEL', unpack(KEYS))
  redis.call('HSET', room, 'record', record, 'limit', limit, 'version', 0, 'track', 0, 'arrivals', 0,
    'bytes', #record)
end

-- How long a track is as JSON. Its record has neither its id nor its publisher: `"id":1,"member":"m",`.
local function track_bytes(track, owner, record)
  return #record + #track + #owner + 18
end

-- Why the state may not become longer; nil if it may. As JSON it is {"room":R,"members":[M,M],"tracks":[T,T]},
-- of which `bytes` in the room's hash counts what is inside; `more` of these are to come, in so many members
-- and tracks, and `answer` bytes are told with it.
local function oversize(more, more_members, more_tracks, answer)
  if more <= 0 then return end
  local member_count = redis.call('HLEN', members) + more_members
  local track_count = redis.call('HLEN', tracks) + more_tracks
  local inside = (redis.call('HGET', room, 'bytes') or 0) + more
  local commas = math.max(member_count - 1, 0) + math.max(track_count - 1, 0)
  local total = 34 + inside + commas + answer
  if total > tonumber(ARGV[5]) then return {'large', string.format('%d', total)} end
end

-- Adds a value of a hash, or changes it, and counts it.
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
end

local function remove_track(track)
  local record, owner = redis.call('HGET', tracks, track), redis.call('HGET', owners, track)
  redis.call('HINCRBY', room, 'bytes', -track_bytes(track, owner, record))
  redis.call('HDEL', tracks, track)
  redis.call('HDEL', owners, track)
end

local function snapshot()
  return {'ok',
    redis.call('HGETALL', room),
    redis.call('HGETALL', members),
    redis.call('HGETALL', seats),
    redis.call('HGETALL', tracks),
    redis.call('HGETALL', owners)}
end

-- The ids of a member's tracks, in order.
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

-- Why a member may not change a track; nil if it may.
local function refused(member, track)
  if not exists() then return {'no room'} end
  if redis.call('HEXISTS', members, member) == 0 then return {'no member'} end
  local owner = redis.call('HGET', owners, track)
  if not owner then return {'no track'} end
  if owner ~= member then return {'not owner'} end
end
