"""The `redis` store: nonces, buckets and batch ids of many machines, in Redis 6 or later or Valkey.

Each operation is one script on the server, so it is atomic, and each key ends by itself. All times are the server's:
gateways' clocks differ, and whoever forgets a nonce must be the one to say that it is too old.

The server may lose its memory (a restart, a take-over by a replica that lags). For each life of the server, told by its
run id, the first gateway to connect notes a horizon: requests signed before then are refused, for their nonces may have
been lost. Set ``maxmemory-policy noeviction``: a server that evicts nonces to make room lets replays in.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from math import floor
from typing import Any, Final

from logops_fast.state.buckets import ROUNDING, wait_for
from logops_fast.state.interface import (
    BUCKET_UNAVAILABLE,
    MAX_ANSWER_BYTES,
    BatchClaim,
    BucketVerdict,
    ClaimKind,
    NonceVerdict,
)
from logops_fast.state.nonces import fresh_horizon
from logops_fast.state.redis_pump import Argument, Command, RedisPump

PREFIX: Final = b"logops:"

TIMEOUT: Final = 0.5
MAX_INFLIGHT: Final = 10_000

SKEW: Final = 60
"""Seconds that a nonce outlives its expiry by the server's clock.

A gateway whose clock is behind the server's still finds its requests' nonces there; one that is further behind has late
requests refused. Nothing is let in twice either way, because a nonce past that age is refused, known or not.
"""

CLAIM_TTL: Final = 60.0
"""Seconds that a claim lasts whose gateway died; it is renewed while its batch waits for the disk."""

_HORIZON_KEY: Final = PREFIX + b"horizon"

# The first to reach the server in a new life of its notes from when on its nonces are complete.
_GREET: Final = """
if redis.call('HGET', KEYS[1], 'life') ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'life', ARGV[1], 'until', ARGV[2])
end
return 1
"""

_NONCE: Final = """
local horizon = redis.call('HGET', KEYS[2], 'until')
if not horizon then
  horizon = ARGV[2]
  redis.call('HSET', KEYS[2], 'until', horizon)
end
local left = tonumber(ARGV[1]) + tonumber(ARGV[3]) - tonumber(redis.call('TIME')[1])
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if left <= 0 or tonumber(ARGV[1]) <= tonumber(horizon) then return 2 end
redis.call('SET', KEYS[1], '', 'EX', left)
return 1
"""

# A full bucket needs no key: it ends when it is full again, at the latest after ten days.
_BUCKET: Final = """
local mode, cost, capacity, rate = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local held = redis.call('HMGET', KEYS[1], 't', 'l')
local tokens = capacity
if held[1] then
  tokens = math.min(capacity, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) * rate)
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

_BEGIN: Final = """
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], 'P' .. ARGV[1], 'PX', ARGV[2])
return 'N'
"""

_RENEW: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= 'P' .. ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'P' .. ARGV[1], 'PX', ARGV[2])
return 1
"""

_ABANDON: Final = """
if redis.call('GET', KEYS[1]) == 'P' .. ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

_NONCE_VERDICTS: Final = {0: NonceVerdict.REPLAY, 1: NonceVerdict.FRESH, 2: NonceVerdict.FORGOTTEN}


def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


_SCRIPTS: Final = (_GREET, _NONCE, _BUCKET, _BEGIN, _RENEW, _ABANDON)
_GREET_SHA: Final = _sha(_GREET)
_NONCE_SHA: Final = _sha(_NONCE)
_BUCKET_SHA: Final = _sha(_BUCKET)
_BEGIN_SHA: Final = _sha(_BEGIN)
_RENEW_SHA: Final = _sha(_RENEW)
_ABANDON_SHA: Final = _sha(_ABANDON)


class RedisNonces:
    """Nonces in Redis (a NonceStore).

    An insert that ran out of time may have happened, and a request that is sent again with the same nonce is then a
    replay: senders sign each try anew.
    """

    def __init__(self, pump: RedisPump, horizon: Callable[[], int]) -> None:
        self._pump = pump
        self._horizon = horizon

    def insert(self, key: bytes, expires_at: float, done: Callable[[NonceVerdict], None]) -> None:
        """See ``NonceStore``."""
        args: tuple[Argument, ...] = (
            "EVALSHA", _NONCE_SHA, 2, PREFIX + b"nonce:" + key, _HORIZON_KEY, floor(expires_at), self._horizon(), SKEW
        )  # fmt: skip
        self._pump.submit(Command(args, partial(_nonce_answered, done)))


class RedisBuckets:
    """Token buckets in Redis (a BucketStore), on the server's clock."""

    def __init__(self, pump: RedisPump) -> None:
        self._pump = pump

    def take(
        self, key: bytes, cost: float, capacity: float, refill_per_sec: float, done: Callable[[BucketVerdict], None]
    ) -> None:
        """See ``BucketStore``."""
        self._submit("take", key, cost, capacity, refill_per_sec, done)

    def give(self, key: bytes, amount: float, capacity: float, refill_per_sec: float) -> None:
        """See ``BucketStore``."""
        self._submit("give", key, amount, capacity, refill_per_sec, None)

    def peek(self, key: bytes, capacity: float, refill_per_sec: float, done: Callable[[BucketVerdict], None]) -> None:
        """See ``BucketStore``."""
        self._submit("peek", key, 0.0, capacity, refill_per_sec, done)

    def _submit(
        self,
        mode: str,
        key: bytes,
        cost: float,
        capacity: float,
        rate: float,
        done: Callable[[BucketVerdict], None] | None,
    ) -> None:
        args: tuple[Argument, ...] = (
            "EVALSHA", _BUCKET_SHA, 1, PREFIX + b"bucket:" + key, mode, cost, capacity, rate, ROUNDING
        )  # fmt: skip
        answered = partial(_bucket_answered, done, cost, capacity, rate) if done is not None else None
        self._pump.submit(Command(args, answered))


class RedisBatchIds:
    """Batch ids in Redis (a BatchIds).

    A stored batch whose ``finish`` could not be delivered is told once the server is back; a claim that may have been
    made while the server did not answer is then given up.
    """

    def __init__(self, pump: RedisPump, ttl: float, claim_ttl: float = CLAIM_TTL) -> None:
        self._pump = pump
        self._ttl_ms = int(ttl * 1000)
        self._claim_ttl_ms = int(claim_ttl * 1000)
        self._owner = b""
        self._owner_pid = 0

    def new_owner(self) -> None:
        """Make claims under another name from now on."""
        self._owner_pid = os.getpid()
        self._owner = b"%d-%s" % (self._owner_pid, secrets.token_hex(8).encode())

    def begin(self, emitter: str, batch_id: str, done: Callable[[BatchClaim], None]) -> None:
        """See ``BatchIds``."""
        if self._owner_pid != os.getpid():
            self.new_owner()  # forked since
        key = _batch_key(emitter, batch_id)
        args: tuple[Argument, ...] = ("EVALSHA", _BEGIN_SHA, 1, key, self._owner, self._claim_ttl_ms)
        self._pump.submit(Command(args, partial(_claim_answered, done), owed=self._giving_up(key)))

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        """See ``BatchIds``."""
        args: tuple[Argument, ...] = (
            "EVALSHA", _RENEW_SHA, 1, _batch_key(emitter, batch_id), self._owner, self._claim_ttl_ms
        )  # fmt: skip
        self._pump.submit(Command(args, partial(_renewed, done)))

    def finish(self, emitter: str, batch_id: str, answer: bytes) -> None:
        """See ``BatchIds``."""
        kept = answer if len(answer) <= MAX_ANSWER_BYTES else b""
        command = Command(("SET", _batch_key(emitter, batch_id), b"D" + kept, "PX", self._ttl_ms))
        command.owed = command
        self._pump.submit(command)

    def abandon(self, emitter: str, batch_id: str) -> None:
        """See ``BatchIds``."""
        self._pump.submit(self._giving_up(_batch_key(emitter, batch_id)))

    def _giving_up(self, key: bytes) -> Command:
        command = Command(("EVALSHA", _ABANDON_SHA, 1, key, self._owner))
        command.owed = command
        return command


class RedisStore:
    """A StateStore in Redis or Valkey. Connects on first use, in the process and on the loop of that use.

    So it may be made before workers are forked.
    """

    def __init__(
        self,
        url: str,
        tolerance: float,
        *,
        batch_ttl: float = 600.0,
        claim_ttl: float = CLAIM_TTL,
        timeout: float = TIMEOUT,
        max_inflight: int = MAX_INFLIGHT,
        wall: Callable[[], float] = time.time,
    ) -> None:
        def horizon() -> int:
            return floor(fresh_horizon(wall(), tolerance))

        def greeting(run_id: bytes) -> tuple[Argument, ...]:
            return ("EVALSHA", _GREET_SHA, 1, _HORIZON_KEY, run_id, horizon())

        self._pump = RedisPump(url, _SCRIPTS, greeting, timeout=timeout, max_inflight=max_inflight)
        self.nonces = RedisNonces(self._pump, horizon)
        self.buckets = RedisBuckets(self._pump)
        self.batch_ids = RedisBatchIds(self._pump, batch_ttl, claim_ttl)

    def worker_started(self, index: int) -> None:  # noqa: ARG002 - claims of the dead end by their own time here
        """See ``StateStore``. On many machines an index says nothing: claims of the dead last ``CLAIM_TTL``."""
        self.batch_ids.new_owner()

    def healthy(self) -> str | None:
        """None, or why the server cannot be used; the first call on a loop connects."""
        self._pump.start()
        return self._pump.healthy()

    async def close(self) -> None:
        """Disconnect; what is under way is answered as unavailable."""
        await self._pump.close()


def _nonce_answered(done: Callable[[NonceVerdict], None], answer: Any) -> None:
    done(_NONCE_VERDICTS.get(answer, NonceVerdict.UNAVAILABLE))


def _bucket_answered(
    done: Callable[[BucketVerdict], None], cost: float, capacity: float, rate: float, answer: Any
) -> None:
    if answer is None:
        done(BUCKET_UNAVAILABLE)
        return
    allowed, text = answer
    tokens = float(text)
    done(BucketVerdict(allowed == 1, tokens, 0.0 if allowed == 1 else wait_for(cost, tokens, capacity, rate)))


def _claim_answered(done: Callable[[BatchClaim], None], answer: Any) -> None:
    if answer is None:
        done(BatchClaim(ClaimKind.UNAVAILABLE))
    elif answer[:1] == b"D":
        done(BatchClaim(ClaimKind.DONE, answer[1:]))
    else:
        done(BatchClaim(ClaimKind.NEW if answer == b"N" else ClaimKind.IN_PROGRESS))


def _renewed(done: Callable[[bool], None], answer: Any) -> None:
    done(answer == 1)


def _batch_key(emitter: str, batch_id: str) -> bytes:
    return PREFIX + f"batch:{emitter}\0{batch_id}".encode()
