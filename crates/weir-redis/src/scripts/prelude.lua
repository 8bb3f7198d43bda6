-- What the scripts on a room share. Redis runs a script as one step (Redis documentation, "Scripting
-- with Lua"), so a room's state, its version and its events cannot part.
--
-- KEYS: the room's hashes. ARGV 1 and 2: how (and, after a space, by which trace) and where its events
-- are published; 3 and 4: how long,
-- in milliseconds, it is kept with members and without. Each script's own arguments follow from 5.
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
  redis.call('HSET', room, 'record', record, 'limit', limit, 'version', 0, 'track', 0, 'arrivals', 0)
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
