"""The Lua scripts that the `redis` store runs on the server, each one atomic operation.

Keys of nonces and batch ids come with the call; those of the tallies of nonces (which client holds how many) are made
here, so a sharded Redis Cluster is not supported.
"""

from __future__ import annotations

import hashlib
from typing import Final

# The server's time less `skew` is the time of all gateways. `gen` numbers the differences: a gateway whose idea of the
# server's clock is of an earlier one must not correct the same step again.
_CLOCK: Final = """
local function clock(key, fresh, wall, expected, gen, tolerance)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
  local held = redis.call('HMGET', key, 'until', 'skew', 'gen')
  local horizon, skew, current = tonumber(held[1] or nil), tonumber(held[2] or nil), tonumber(held[3] or 0)
  if not horizon or not skew then
    horizon = math.max(horizon or 0, fresh)
    skew = now - wall
  elseif expected and gen == current and math.abs(now - expected) > 30 then
    horizon = math.max(horizon, fresh, math.floor(expected - skew) + tolerance)
    skew = skew + now - expected
  else
    return now, horizon, skew, current
  end
  current = current + 1
  redis.call('HSET', key, 'until', string.format('%d', horizon), 'skew', string.format('%.6f', skew), 'gen', current)
  return now, horizon, skew, current
end
"""

# The first gateway to reach the server in a new life of its notes from when on its nonces are complete.
# KEYS: horizon. ARGV: run id, fresh horizon, wall, expected server time or '', gen, tolerance.
GREET: Final = (
    _CLOCK
    + """
if redis.call('HGET', KEYS[1], 'life') ~= ARGV[1] then
  local gen = redis.call('HINCRBY', KEYS[1], 'gen', 1)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
  redis.call('HSET', KEYS[1], 'life', ARGV[1], 'until', ARGV[2], 'skew', string.format('%.6f', now - tonumber(ARGV[3])))
  return {string.format('%.6f', now), gen}
end
local now, _, _, gen = clock(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]),
  tonumber(ARGV[6]))
return {string.format('%.6f', now), gen}
"""
)

# KEYS: nonce, horizon. ARGV: expiry, fresh horizon, wall, expected server time or '', gen, tolerance, grace,
# client, prefix of the tallies, seconds of a slice, 1 if the server is nearly full.
NONCE: Final = (
    _CLOCK
    + """
local expiry, slice = tonumber(ARGV[1]), tonumber(ARGV[10])
local now, horizon, skew, gen = clock(KEYS[2], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]),
  tonumber(ARGV[5]), tonumber(ARGV[6]))
local left = expiry + tonumber(ARGV[7]) - (now - skew)
local function crowded()
  local first, last = math.floor((now - skew) / slice), math.floor((expiry + tonumber(ARGV[6])) / slice)
  local function held(client)
    local sum = 0
    for number = first, last do
      sum = sum + tonumber(redis.call('ZSCORE', ARGV[9] .. number, client) or 0)
    end
    return sum
  end
  local own = held(ARGV[8])
  if own <= 0 then return false end
  for number = first, last do
    local top = redis.call('ZREVRANGE', ARGV[9] .. number, 0, 0)[1]
    if top and top ~= ARGV[8] and held(top) > own then return false end
  end
  return true
end
local verdict = 1
if redis.call('EXISTS', KEYS[1]) == 1 then
  verdict = 0
elseif left <= 0 or expiry <= horizon then
  verdict = 2
elseif ARGV[11] == '1' and crowded() then
  verdict = 3
else
  redis.call('SET', KEYS[1], ARGV[1], 'EX', math.ceil(left))
  local tally = ARGV[9] .. math.floor(expiry / slice)
  if redis.call('ZINCRBY', tally, 1, ARGV[8]) == '1' then
    redis.call('EXPIRE', tally, math.ceil(left + slice))
  end
end
return {verdict, string.format('%.6f', now), gen}
"""
)

# KEYS: nonce. ARGV: expiry, client, prefix of the tallies, seconds of a slice.
REMOVE_NONCE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('ZINCRBY', ARGV[3] .. math.floor(tonumber(ARGV[1]) / tonumber(ARGV[4])), -1, ARGV[2])
end
return 1
"""

# A full bucket needs no key: it expires when it is full again, at the latest after ten days. One that lies in the
# future was written before the server's clock was set back, and counts as full.
# KEYS: bucket. ARGV: take, give or peek; cost, capacity, rate, rounding, seconds of the future that are tolerated.
BUCKET: Final = """
local mode, cost, capacity, rate = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local held = redis.call('HMGET', KEYS[1], 't', 'l')
local tokens = capacity
if held[1] then
  local elapsed = now - tonumber(held[2])
  if elapsed > -tonumber(ARGV[6]) then
    tokens = math.min(capacity, tonumber(held[1]) + math.max(0, elapsed) * rate)
  end
end
local allowed = 0
if mode == 'give' then
  tokens = math.min(capacity, tokens + cost)
elseif cost <= tokens + tonumber(ARGV[5]) then
  allowed = 1
  if mode == 'take' then tokens = math.max(tokens - cost, 0) end
end
if mode == 'give' or (mode == 'take' and allowed == 1) then
  if tokens >= capacity then
    redis.call('DEL', KEYS[1])
  else
    redis.call('HSET', KEYS[1], 't', string.format('%.17g', tokens), 'l', string.format('%.6f', now))
    local full = 864000000
    if rate > 0 then full = math.min(full, math.ceil((capacity - tokens) / rate * 1000) + 1000) end
    redis.call('PEXPIRE', KEYS[1], string.format('%d', full))
  end
end
return {allowed, string.format('%.17g', tokens)}
"""

# A batch is `C` digest owner while it is claimed and `S` digest answer once it is stored; `P` and `D`, without a
# digest, are those of version 0.4. KEYS: batch. ARGV: digest, owner, milliseconds.
BEGIN: Final = """
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], 'C' .. ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 'N'
"""

# KEYS: batch. ARGV: the digest of a claim that has expired, owner, milliseconds. Fails if another one has it.
RENEW: Final = """
local held = redis.call('GET', KEYS[1])
if held and (held:sub(1, 1) ~= 'C' or held:sub(18) ~= ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], held or ('C' .. ARGV[1] .. ARGV[2]), 'PX', ARGV[3])
return 1
"""

# KEYS: batch. ARGV: answer, milliseconds, the digest of a batch that was never claimed, or claimed without one.
FINISH: Final = """
local held = redis.call('GET', KEYS[1])
local digest = ARGV[3]
if held and (held:sub(1, 1) == 'C' or held:sub(1, 1) == 'S') then
    if held:sub(2, 17) ~= '0000000000000000' then digest = held:sub(2, 17) end
end
redis.call('SET', KEYS[1], 'S' .. digest .. ARGV[1], 'PX', ARGV[2])
return 1
"""

# KEYS: batch. ARGV: owner.
ABANDON: Final = """
local held = redis.call('GET', KEYS[1])
if held and held:sub(1, 1) == 'C' and held:sub(18) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

# KEYS: any. Fails if the server takes no writes.
PROBE: Final = """
redis.call('SET', KEYS[1], '1', 'PX', 1000)
return 1
"""

SCRIPTS: Final = (GREET, NONCE, REMOVE_NONCE, BUCKET, BEGIN, RENEW, FINISH, ABANDON, PROBE)


def sha(script: str) -> str:
    """Return the name by which the server knows a script (EVALSHA)."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
