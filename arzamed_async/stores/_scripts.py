"""The Lua scripts of RedisTokenStore: each runs atomically on the server, by the server's clock.

A clinic has three keys in one hash slot: KEYS[1] is the stored value (a hash), KEYS[2] the lease (its owner), KEYS[3] the
number of the latest lease. Each has a time to live. Lease numbers are microseconds since 1970, or one more than the last:
they increase even if the server has lost its data. Lua's numbers are exact up to 2^53; these are below 2^51.

The last argument of each script is the number of its call, which is returned before the result. redis-py may return a
reply that an earlier call has left unread in a connection; the number detects that with any version of redis-py, also
if the earlier call had the same key.
"""

from __future__ import annotations

__all__ = ["ACQUIRE", "DISCARD", "LOAD", "RELEASE", "RENEW", "SAVE"]

_NOW = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
"""


def _numbered(steps: str) -> str:
    """Return a script that returns the number of its call and the result of these steps."""
    return f"{_NOW}local function result(){steps}end\nreturn {{ARGV[#ARGV], result()}}"


#: Returns the stored value, its age and its remaining lifetime (milliseconds); nil if there is none.
LOAD = _numbered("""
local kept = redis.call('HMGET', KEYS[1], 'token', 'rejection', 'born')
if not kept[3] then return false end
return {kept[1], kept[2], string.format('%.0f', (now() - kept[3]) / 1000), redis.call('PTTL', KEYS[1])}
""")

#: ARGV: lease number or '', token, rejection, age and time left in milliseconds. Returns whether it was stored.
#: HSET comes first, with all fields: a server without memory refuses it, and then nothing has changed.
SAVE = _numbered("""
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence and (ARGV[1] == '' or tonumber(fence) > tonumber(ARGV[1])) then return 0 end
local born = string.format('%.0f', now() - ARGV[4] * 1000)
redis.call('HSET', KEYS[1], 'fence', ARGV[1] == '' and '0' or ARGV[1],
  'token', ARGV[2], 'rejection', ARGV[3], 'born', born)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
""")

#: ARGV: the token. Returns whether it was the stored one.
DISCARD = _numbered("""
if redis.call('HGET', KEYS[1], 'rejection') ~= '' then return 0 end
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")

#: ARGV: owner, milliseconds of the lease, and the time to live of its number. Returns the number, or nil if another has the lease.
#: If the same owner calls it again (the reply was lost), the result is a lease as well.
ACQUIRE = _numbered("""
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return false end
local fence = now()
for _, last in ipairs({redis.call('GET', KEYS[3]) or '0', redis.call('HGET', KEYS[1], 'fence') or '0'}) do
  fence = math.max(fence, tonumber(last) + 1)
end
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[3], fence, 'PX', ARGV[3])
return fence
""")

#: ARGV: owner, milliseconds. Returns whether the lease was still the owner's.
RENEW = _numbered("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])
""")

#: ARGV: owner.
RELEASE = _numbered("""
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 0
""")
