"""The `redis` store: nonces, buckets and batch ids of many machines, in Redis 6 or later or Valkey.

Each operation is one script on the server (redis_scripts), so it is atomic, and each key expires by itself. The server
keeps one time for all: gateways' clocks differ, and the side that forgets a nonce must be the one to say that a request
is too old. That time is the server's clock less a difference that the first gateway noted; a step of the server's clock
is noticed by each gateway's own steady clock and added to the difference, and what was signed before it is refused, as
the server may have expired nonces too early.

The server may lose its memory (a restart, a failover to a replica that lags). For each life of the server, identified
by its run id, the first gateway to connect notes a horizon: requests signed before it are refused, because their nonces
may have been lost. A server that may evict keys is not used: it would let replays in.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from math import floor
from typing import Any, Final

from logops_fast.state import redis_scripts
from logops_fast.state.buckets import ROUNDING, STALE, wait_for
from logops_fast.state.interface import (
    BUCKET_UNAVAILABLE,
    MAX_ANSWER_BYTES,
    NO_DIGEST,
    BatchClaim,
    BucketVerdict,
    ClaimKind,
    NonceVerdict,
    OnBucket,
    OnClaim,
    OnNonce,
)
from logops_fast.state.nonces import fresh_horizon
from logops_fast.state.redis_pump import Command, RedisPump
from logops_fast.state.redis_scripts import sha
from logops_fast.state.redis_wire import Argument

PREFIX: Final = b"logops:"

TIMEOUT: Final = 0.5
MAX_INFLIGHT: Final = 10_000

GRACE: Final = 60
"""Seconds that a nonce outlives its expiry by the time of all gateways.

A gateway whose clock is behind still finds its requests' nonces there; one that is further behind has late requests
refused. Nothing is let in twice either way, because a nonce past that age is refused, known or not.
"""

CLAIM_TTL: Final = 60.0
"""Seconds that a claim lasts whose gateway died; it is renewed while its batch waits for the disk."""

_HORIZON_KEY: Final = PREFIX + b"horizon"
_PROBE_KEY: Final = PREFIX + b"probe"
_TALLY: Final = PREFIX + b"held:"
_SLICES: Final = 16

_GREET: Final = sha(redis_scripts.GREET)
_NONCE: Final = sha(redis_scripts.NONCE)
_REMOVE_NONCE: Final = sha(redis_scripts.REMOVE_NONCE)
_BUCKET: Final = sha(redis_scripts.BUCKET)
_BEGIN: Final = sha(redis_scripts.BEGIN)
_FINISH: Final = sha(redis_scripts.FINISH)
_RENEW: Final = sha(redis_scripts.RENEW)
_ABANDON: Final = sha(redis_scripts.ABANDON)
_PROBE: Final = sha(redis_scripts.PROBE)

_NONCE_VERDICTS: Final = {
    0: NonceVerdict.REPLAY,
    1: NonceVerdict.FRESH,
    2: NonceVerdict.FORGOTTEN,
    3: NonceVerdict.CROWDED,
}


def steady_clock() -> float:
    """Return seconds that no one can set and that go on while the machine sleeps, where the system has them."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class ServerTime:
    """What this gateway expects the server's clock to show, so that a step of it is noticed.

    ``clock`` is steady; ``wall`` is this gateway's own time; ``tolerance`` is in seconds.
    """

    __slots__ = ("_clock", "_generation", "_offset", "_tolerance", "_wall")

    def __init__(self, tolerance: float, wall: Callable[[], float], clock: Callable[[], float]) -> None:
        self._tolerance = tolerance
        self._wall = wall
        self._clock = clock
        self._offset: float | None = None
        self._generation = 0

    def arguments(self) -> tuple[Argument, ...]:
        """Return the fresh horizon, the wall time, the expected server time, its generation and the tolerance."""
        wall = self._wall()
        expected = "" if self._offset is None else f"{self._offset + self._clock():.6f}"
        horizon = floor(fresh_horizon(wall, self._tolerance))
        return horizon, f"{wall:.6f}", expected, self._generation, floor(self._tolerance)

    def observe(self, now: bytes, generation: int) -> None:
        """Take what the server has said."""
        self._offset = float(now) - self._clock()
        self._generation = generation

    def greeted(self, answer: Any) -> None:
        """Take the answer to a greeting."""
        self.observe(answer[0], answer[1])


class RedisNonces:
    """Nonces in Redis (a NonceStore).

    An insert that ran out of time may have happened, and a request that is sent again with the same nonce is then a
    replay: senders sign each try with a nonce of its own.
    """

    def __init__(self, pump: RedisPump, server_time: ServerTime, tolerance: float) -> None:
        self._pump = pump
        self._time = server_time
        self._slice = max(60, floor(2 * tolerance / _SLICES))

    def insert(self, key: bytes, expires_at: float, done: OnNonce) -> None:
        """See ``NonceStore``."""
        args: tuple[Argument, ...] = (
            "EVALSHA", _NONCE, 2, PREFIX + b"nonce:" + key, _HORIZON_KEY, floor(expires_at), *self._time.arguments(),
            GRACE, key.partition(b"\0")[0], _TALLY, self._slice, int(self._pump.nearly_full),
        )  # fmt: skip
        self._pump.submit(Command(args, partial(self._answered, done)))

    def remove(self, key: bytes, expires_at: float) -> None:
        """See ``NonceStore``."""
        args: tuple[Argument, ...] = (
            "EVALSHA", _REMOVE_NONCE, 1, PREFIX + b"nonce:" + key, floor(expires_at), key.partition(b"\0")[0], _TALLY,
            self._slice,
        )  # fmt: skip
        self._pump.submit(Command(args))

    def _answered(self, done: OnNonce, answer: Any) -> None:
        if answer is None:
            done(NonceVerdict.UNAVAILABLE)
            return
        verdict, now, generation = answer
        self._time.observe(now, generation)
        done(_NONCE_VERDICTS[verdict])


class RedisBuckets:
    """Token buckets in Redis (a BucketStore), on the server's clock."""

    def __init__(self, pump: RedisPump) -> None:
        self._pump = pump

    def take(self, key: bytes, cost: float, capacity: float, refill_per_sec: float, done: OnBucket) -> None:
        """See ``BucketStore``."""
        self._submit("take", key, cost, capacity, refill_per_sec, done)

    def give(self, key: bytes, amount: float, capacity: float, refill_per_sec: float) -> None:
        """See ``BucketStore``."""
        self._submit("give", key, amount, capacity, refill_per_sec, None)

    def peek(self, key: bytes, capacity: float, refill_per_sec: float, done: OnBucket) -> None:
        """See ``BucketStore``."""
        self._submit("peek", key, 0.0, capacity, refill_per_sec, done)

    def _submit(
        self,
        mode: str,
        key: bytes,
        cost: float,
        capacity: float,
        rate: float,
        done: OnBucket | None,
    ) -> None:
        args: tuple[Argument, ...] = (
            "EVALSHA", _BUCKET, 1, PREFIX + b"bucket:" + key, mode, cost, capacity, rate, ROUNDING, STALE
        )  # fmt: skip
        answered = partial(_bucket_answered, done, cost, capacity, rate) if done is not None else None
        self._pump.submit(Command(args, answered))


class RedisBatchIds:
    """Batch ids in Redis (a BatchIds).

    A ``finish`` that could not be delivered is sent once the server is back; a claim that may have been
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

    def begin(self, emitter: str, batch_id: str, digest: int, done: OnClaim) -> None:
        """See ``BatchIds``."""
        if self._owner_pid != os.getpid():
            self.new_owner()  # forked since
        key = _batch_key(emitter, batch_id)
        mark = _hex(digest)
        args: tuple[Argument, ...] = ("EVALSHA", _BEGIN, 1, key, mark, self._owner, self._claim_ttl_ms)
        self._pump.submit(Command(args, partial(_claim_answered, done, mark), self._giving_up(key)))

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        """See ``BatchIds``."""
        args: tuple[Argument, ...] = (
            "EVALSHA", _RENEW, 1, _batch_key(emitter, batch_id), _hex(NO_DIGEST), self._owner, self._claim_ttl_ms
        )  # fmt: skip
        self._pump.submit(Command(args, partial(_renewed, done)))

    def finish(
        self, emitter: str, batch_id: str, answer: bytes, digest: int = NO_DIGEST, ttl: float | None = None
    ) -> None:
        """See ``BatchIds``."""
        ttl_ms = self._ttl_ms if ttl is None else max(1, int(ttl * 1000))
        kept = answer if len(answer) <= MAX_ANSWER_BYTES else b""
        key = _batch_key(emitter, batch_id)
        command = Command(("EVALSHA", _FINISH, 1, key, kept, ttl_ms, _hex(digest)))
        command.compensation = command
        self._pump.submit(command)

    def abandon(self, emitter: str, batch_id: str) -> None:
        """See ``BatchIds``."""
        self._pump.submit(self._giving_up(_batch_key(emitter, batch_id)))

    def _giving_up(self, key: bytes) -> Command:
        command = Command(("EVALSHA", _ABANDON, 1, key, self._owner))
        command.compensation = command
        return command


class RedisStore:
    """A StateStore in Redis or Valkey. Connects on first use, in the process and on the loop of that use.

    So it may be made before workers are forked. ``wall`` is the gateway's time, ``clock`` a steady one, in seconds.
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
        allow_eviction: bool = False,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = steady_clock,
    ) -> None:
        server_time = ServerTime(tolerance, wall, clock)

        def greeting(run_id: bytes) -> tuple[Argument, ...]:
            return ("EVALSHA", _GREET, 1, _HORIZON_KEY, run_id, *server_time.arguments())

        self._pump = RedisPump(
            url,
            redis_scripts.SCRIPTS,
            greeting,
            server_time.greeted,
            ("EVALSHA", _PROBE, 1, _PROBE_KEY),
            timeout=timeout,
            max_inflight=max_inflight,
            allow_eviction=allow_eviction,
        )
        self.nonces = RedisNonces(self._pump, server_time, tolerance)
        self.buckets = RedisBuckets(self._pump)
        self.batch_ids = RedisBatchIds(self._pump, batch_ttl, claim_ttl)

    def worker_started(self, index: int) -> None:  # noqa: ARG002 - claims of the dead end by their own time here
        """See ``StateStore``. Across machines an index means nothing: claims of the dead last ``CLAIM_TTL``."""
        self.batch_ids.new_owner()

    def healthy(self) -> str | None:
        """Return None, or why the server cannot be used; the first call on a loop connects."""
        self._pump.start()
        return self._pump.healthy()

    async def close(self) -> None:
        """Disconnect; what is under way is answered as unavailable."""
        await self._pump.close()


def _bucket_answered(done: OnBucket, cost: float, capacity: float, rate: float, answer: Any) -> None:
    if answer is None:
        done(BUCKET_UNAVAILABLE)
        return
    allowed, text = answer
    tokens = float(text)
    done(BucketVerdict(allowed == 1, tokens, 0.0 if allowed == 1 else wait_for(cost, tokens, capacity, rate)))


def _claim_answered(done: OnClaim, mark: bytes, answer: Any) -> None:
    if answer is None:
        done(BatchClaim(ClaimKind.UNAVAILABLE))
        return
    kind = answer[:1]
    if kind == b"N":
        done(BatchClaim(ClaimKind.NEW))
    elif kind in (b"C", b"S") and answer[1:17] not in (mark, _hex(NO_DIGEST)) and mark != _hex(NO_DIGEST):
        done(BatchClaim(ClaimKind.OTHER_BODY))
    elif kind in (b"S", b"D"):
        done(BatchClaim(ClaimKind.DONE, answer[17:] if kind == b"S" else answer[1:]))
    else:
        done(BatchClaim(ClaimKind.IN_PROGRESS))


def _hex(digest: int) -> bytes:
    return b"%016x" % digest


def _renewed(done: Callable[[bool], None], answer: Any) -> None:
    done(answer == 1)


def _batch_key(emitter: str, batch_id: str) -> bytes:
    return PREFIX + f"batch:{emitter}\0{batch_id}".encode()
