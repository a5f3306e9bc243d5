"""The Lua scripts of RedisTokenStore: each runs atomically on the server, by the server's clock.

A clinic has three keys in one hash slot: KEYS[1] is the stored value (a hash), KEYS[2] the lease (its owner), KEYS[3] the
number of the latest lease. Each has a time to live. Lease numbers are microseconds since 1970, or one more than the last:
they increase even if the server has lost its data. Lua's numbers are exact up to 2^53; these are below 2^51.

The last argument of each script is the number of its call, which is returned before the result. redis-py may return a
reply that an earlier call has left unread in a connection; the number detects that with any version of redis-py, also
if the earlier call had the same key.

Anyone who can write to the server may have written a key: a value of another type, out of range, too long, with other
characters or without a time to live counts as missing, and is deleted or overwritten.
"""

from __future__ import annotations

__all__ = ["ACQUIRE", "BAD", "DISCARD", "DROP", "LOAD", "RELEASE", "RENEW", "SAVE"]

#: What LOAD returns for a value that is not valid, and that has been deleted.
BAD = 0

_COMMON = """
local DAY = 86460000
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function number(text)
  local found = tonumber(text)
  if found and found >= 0 and found < 2^52 and found == math.floor(found) then return found end
end
local function read(command, key, ...)
  local found = redis.pcall(command, key, ...)
  if type(found) ~= 'table' or not found.err then return found end
  if not string.find(found.err, 'WRONGTYPE', 1, true) then return redis.call(command, key, ...) end
  redis.pcall('DEL', key)
end
local function kept()
  local all = read('HMGET', KEYS[1], 'token', 'rejection', 'born', 'fence')
  if not all then return nil, true end
  local token, rejection, born, fence = all[1], all[2], number(all[3]), number(all[4])
  if not (token or rejection or all[3] or all[4]) then return nil end
  local left = redis.call('PTTL', KEYS[1])
  if left == 0 then return nil end
  if token and rejection and born and fence and left > 0 and left <= DAY
    and #token <= 8192 and #rejection <= 8192 and (token == '') ~= (rejection == '')
    and not string.find(token, '[^!-~]') and not string.find(rejection, '[^ -~]') then
    return {token, rejection, string.format('%.0f', (now() - born) / 1000), left}, false, fence
  end
  return nil, true
end
"""


def _numbered(steps: str) -> str:
    """Return a script that returns the number of its call and the result of these steps."""
    return f"{_COMMON}local function result(){steps}end\nreturn {{ARGV[#ARGV], result()}}"


#: Returns token, rejection, age and remaining lifetime (milliseconds); nil if there is none.
LOAD = _numbered("""
local found, bad = kept()
if found then return found end
if not bad then return false end
redis.pcall('DEL', KEYS[1])
return 0
""")

#: ARGV: token and rejection, as loaded. Deletes the value if it is still this one.
DROP = _numbered("""
local found = kept()
if found and found[1] == ARGV[1] and found[2] == ARGV[2] then redis.call('DEL', KEYS[1]) end
return 0
""")

#: ARGV: lease number or '', token, rejection, age and time left in milliseconds. Returns whether it was stored.
#: HSET comes first, with all fields: a server without memory refuses it, and then nothing has changed.
SAVE = _numbered("""
local found, bad, fence = kept()
if found and (ARGV[1] == '' or fence > tonumber(ARGV[1])) then return 0 end
local born = string.format('%.0f', now() - ARGV[4] * 1000)
redis.call('HSET', KEYS[1], 'fence', ARGV[1] == '' and '0' or ARGV[1],
  'token', ARGV[2], 'rejection', ARGV[3], 'born', born)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
""")

#: ARGV: the token. Returns whether it was the stored one.
DISCARD = _numbered("""
local found = kept()
if not found or found[2] ~= '' or found[1] ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")

#: ARGV: owner, milliseconds of the lease, and the time to live of its number. Returns the number, or nil if another has the lease.
#: If the same owner calls it again (the reply was lost), the result is a lease as well.
ACQUIRE = _numbered("""
local holder = read('GET', KEYS[2])
if holder and holder ~= ARGV[1] and #holder == 32 and not string.find(holder, '[^0-9a-f]') then
  local left = redis.call('PTTL', KEYS[2])
  if left >= 0 and left <= DAY then return false end
end
local fence = now()
for _, last in ipairs({read('GET', KEYS[3]) or '0', (read('HMGET', KEYS[1], 'fence') or {})[1] or '0'}) do
  fence = math.max(fence, (number(last) or 0) + 1)
end
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[3], fence, 'PX', ARGV[3])
return fence
""")

#: ARGV: owner, milliseconds. Returns whether the lease was still the owner's.
RENEW = _numbered("""
if read('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
""")

#: ARGV: owner.
RELEASE = _numbered("""
if read('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 0
""")
