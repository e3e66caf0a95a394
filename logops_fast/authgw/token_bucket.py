"""Check 10, the token bucket of each emitter; and the bucket of failed authentications of each peer address.

With ``unit: events`` a batch costs its events, or its decoded KiB if those are more, so that a few huge events cost
what they weigh.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping
from functools import partial
from socket import AF_INET6, inet_ntoa, inet_pton
from time import monotonic
from typing import Final, Literal, NamedTuple

from logops_fast.http.refusal import Refusal
from logops_fast.state.buckets import refill, spend, wait_for
from logops_fast.state.interface import BucketStore, BucketVerdict
from logops_fast.telemetry.logs import RateLimited

Unit = Literal["events", "requests"]

OnGrant = Callable[["BucketGrant"], None]

BYTES_PER_TOKEN: Final = 1024
"""Decoded bytes that cost as much as one event."""

MAX_RETRY_AFTER: Final = 86_400

MAX_LOCAL_BUCKETS: Final = 4096
MAX_BLOCKED_PEERS: Final = 10_000

_EMITTER: Final = b"emitter\0"
_UNPROVEN: Final = b"unproven\0"
_PEER: Final = b"peer\0"
_V4_MAPPED: Final = bytes(10) + b"\xff\xff"


class Limit(NamedTuple):
    """The size of a bucket: tokens at most, and tokens per second."""

    capacity: float
    refill_per_sec: float


class BucketGrant:
    """The verdict of a bucket on a batch."""

    __slots__ = ("limit", "local", "refusal", "remaining")

    def __init__(self, refusal: Refusal | None, limit: int, remaining: int, local: bool = False) -> None:
        self.refusal = refusal
        self.limit = limit
        self.remaining = remaining
        self.local = local
        """Granted by this worker's own bucket, because the store did not answer."""

    @property
    def lines(self) -> bytes:
        """``X-RateLimit-Limit`` and ``X-RateLimit-Remaining``, complete lines for every answer after check 10."""
        return b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\n" % (self.limit, self.remaining)


class _Bucket:
    """What is known of an emitter's bucket before it is asked: its key, and its size."""

    __slots__ = ("capacity", "key", "limit", "refill_per_sec", "whole")

    def __init__(self, emitter: str, limit: Limit) -> None:
        self.key = _EMITTER + emitter.encode()
        self.limit = limit
        self.capacity = limit.capacity
        self.refill_per_sec = limit.refill_per_sec
        self.whole = int(limit.capacity)


class LocalBuckets:
    """Buckets of this process alone, used while the store does not answer. At most ``MAX_LOCAL_BUCKETS``."""

    __slots__ = ("_clock", "_held")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._held: dict[bytes, tuple[float, float]] = {}
        self._clock = clock

    def take(self, key: bytes, cost: float, limit: Limit) -> BucketVerdict:
        """Take ``cost`` tokens if there are that many."""
        tokens, now = self._tokens(key, limit)
        verdict = spend(tokens, cost, *limit)
        self._held[key] = (verdict.remaining, now)
        return verdict

    def give(self, key: bytes, amount: float, limit: Limit) -> None:
        """Give tokens back, or take a debt."""
        tokens, now = self._tokens(key, limit)
        self._held[key] = (min(tokens + amount, limit.capacity), now)

    def _tokens(self, key: bytes, limit: Limit) -> tuple[float, float]:
        now = self._clock()
        held = self._held.get(key)
        if held is not None:
            return refill(*held, now, *limit), now
        if len(self._held) >= MAX_LOCAL_BUCKETS:
            # Only names chosen by strangers get here (mode `none`); limits fail open, and memory stays bounded.
            self._held.clear()
        return limit.capacity, now


class EmitterBuckets:
    """The buckets of emitters. ``unit`` says what a batch costs: its events (or KiB), or one.

    While the store does not answer, each worker limits by a bucket of its own of the same size: data is not
    turned away for the store's sake, and a flood does not get through either. ``on_local`` is called for each such
    batch; the log gets one line a minute. ``clock`` is monotonic, in seconds.
    """

    __slots__ = (
        "_by_events", "_default", "_known", "_local", "_on_local", "_overrides", "_store", "_take_now", "_unit",
        "_warnings",
    )  # fmt: skip

    def __init__(
        self,
        store: BucketStore,
        default: Limit,
        overrides: Mapping[str, Limit],
        unit: Unit = "events",
        *,
        on_local: Callable[[], None] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        # A store in memory has its verdict at once, without a callback.
        self._take_now: Callable[[bytes, float, float, float], BucketVerdict | None] | None = getattr(
            store, "take_now", None
        )
        self._on_local = on_local
        self._local = LocalBuckets(clock)
        self._warnings = RateLimited(logging.getLogger(__name__), clock=clock)
        self.replace_limits(default, overrides, unit)

    def replace_limits(self, default: Limit, overrides: Mapping[str, Limit], unit: Unit) -> None:
        """Use other limits from now on (a reload); what a bucket holds stays, up to its new capacity."""
        self._default = default
        self._overrides = dict(overrides)
        self._unit = unit
        self._by_events = unit == "events"
        self._known: dict[str, _Bucket] = {}

    def limit_of(self, emitter: str) -> Limit:
        """Return the size of an emitter's bucket."""
        return self._overrides.get(emitter, self._default)

    def cost(self, items: int, size: int) -> int:
        """Return what a batch of ``items`` events in ``size`` decoded bytes costs."""
        return max(items, size // BYTES_PER_TOKEN) if self._by_events else 1

    def largest(self, emitter: str) -> tuple[int, int]:
        """Return the events and the decoded bytes of the largest batch that an emitter's full bucket can pay for."""
        if self._unit != "events":
            return sys.maxsize, sys.maxsize
        capacity = int(self.limit_of(emitter).capacity)
        return capacity, capacity * BYTES_PER_TOKEN

    def take(self, emitter: str, cost: int, done: OnGrant, *, unproven: bool = False) -> None:
        """Charge a batch to its emitter; a grant that denies it holds the refusal.

        What only claims to be of the emitter (``unproven``) has a bucket of its own, of the same size: it must not use
        up what the emitter itself may send.
        """
        if unproven:
            limit = self.limit_of(emitter)
            key = _UNPROVEN + emitter.encode()
            self._store.take(key, cost, *limit, partial(self._taken, done, key, cost, limit))
            return
        bucket = self._known.get(emitter)
        if bucket is None:
            bucket = self._bucket(emitter)
        if self._take_now is not None:
            verdict = self._take_now(bucket.key, cost, bucket.capacity, bucket.refill_per_sec)
            if verdict is not None:
                if verdict.available and verdict.allowed:
                    done(BucketGrant(None, bucket.whole, max(0, int(verdict.remaining))))
                else:
                    self._taken(done, bucket.key, cost, bucket.limit, verdict)
                return
        taken = partial(self._taken, done, bucket.key, cost, bucket.limit)
        self._store.take(bucket.key, cost, bucket.capacity, bucket.refill_per_sec, taken)

    def _bucket(self, emitter: str) -> _Bucket:
        if len(self._known) >= MAX_LOCAL_BUCKETS:  # only names chosen by strangers get here (mode `none`)
            self._known.clear()
        bucket = self._known[emitter] = _Bucket(emitter, self.limit_of(emitter))
        return bucket

    def settle(self, emitter: str, grant: BucketGrant, charged: int, cost: int) -> BucketGrant:
        """Correct a charge to the true ``cost``; return the grant with what remains then.

        What was charged too little becomes a debt.
        """
        difference = charged - cost
        if not difference:
            return grant
        limit = self.limit_of(emitter)
        key = _EMITTER + emitter.encode()
        if grant.local:
            self._local.give(key, difference, limit)
        else:
            self._store.give(key, difference, *limit)
        remaining = max(0, min(grant.remaining + difference, int(limit.capacity)))
        return BucketGrant(grant.refusal, grant.limit, remaining, grant.local)

    def _taken(self, done: OnGrant, key: bytes, cost: int, limit: Limit, verdict: BucketVerdict) -> None:
        local = not verdict.available
        if local:
            verdict = self._local.take(key, cost, limit)
            self._warnings.log(
                logging.WARNING, "local", "the state store does not answer, each worker limits rates by itself"
            )
            if self._on_local is not None:
                self._on_local()
        refusal = None if verdict.allowed else self._refusal(cost, limit, verdict)
        done(BucketGrant(refusal, int(limit.capacity), max(0, math.floor(verdict.remaining)), local))

    def _refusal(self, cost: int, limit: Limit, verdict: BucketVerdict) -> Refusal:
        if cost > limit.capacity:
            # Waiting does not help this batch.
            detail = (
                f"The batch costs {cost} tokens (its events, or its KiB if those are more) and the emitter's bucket "
                f"holds {limit.capacity:g}, so it can never pass: split the batch."
            )
            return Refusal(413, "too_many_items", detail)
        wait = _whole_seconds(verdict.retry_after)
        left = max(0, math.floor(verdict.remaining))
        detail = f"The emitter's bucket has {left} of the {cost} {self._unit} it would take: try again in {wait} s."
        return Refusal(429, "rate_limited", detail, wait)


class AuthFailureLimiter:
    """Slows guessing: knows the peer addresses whose bucket of failed authentications is empty.

    All workers share the buckets. Each worker blocks by what it last heard about a peer, so a peer gets at most one
    try more from each worker, and a check costs nothing while no one is blocked. An IPv6 peer is its /64, of which a
    single host commands all addresses.

    Clients are not blocked: their names are no secret, so anyone could shut them out by wrong tokens under their
    names. It would not make guessing harder either, since a token can be sent without a name.
    """

    __slots__ = ("_blocked", "_blocked_until", "_clock", "_limit", "_local", "_store")

    def __init__(self, store: BucketStore, limit: Limit, *, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._limit = limit
        self._clock = clock
        self._local = LocalBuckets(clock)
        self._blocked: dict[bytes, float] = {}
        self._blocked_until = 0.0

    def replace_limit(self, limit: Limit) -> None:
        """Use another limit from now on (a reload)."""
        self._limit = limit

    def check(self, peer: str) -> Refusal | None:
        """Return None, or the refusal for a peer that has failed too often."""
        if not self._blocked:
            return None
        now = self._clock()
        if now >= self._blocked_until:
            self._blocked.clear()
            return None
        wait = self._blocked.get(_PEER + _network(peer), now) - now
        if wait <= 0.0:
            return None
        seconds = _whole_seconds(wait)
        return Refusal(
            429,
            "auth_failures",
            f"Too many failed authentications from this address: try again in {seconds} s.",
            seconds,
        )

    def failed(self, peer: str) -> None:
        """Count a failed authentication of ``peer``."""
        key = _PEER + _network(peer)
        self._store.take(key, 1, *self._limit, partial(self._counted, key))

    def _counted(self, key: bytes, verdict: BucketVerdict) -> None:
        if not verdict.available:
            verdict = self._local.take(key, 1, self._limit)
        wait = wait_for(1, verdict.remaining, *self._limit)
        if wait <= 0.0:
            return
        # At the end, as the newest. The oldest makes room, and gets one try more: the store still holds its bucket.
        self._blocked.pop(key, None)
        if len(self._blocked) >= MAX_BLOCKED_PEERS:
            del self._blocked[next(iter(self._blocked))]
        until = self._clock() + wait
        self._blocked[key] = until
        self._blocked_until = max(self._blocked_until, until)


def _whole_seconds(wait: float) -> int:
    return max(1, math.ceil(min(wait, MAX_RETRY_AFTER)))


def _network(peer: str) -> bytes:
    """Return what identifies one sender: an IPv4 address, an IPv6 /64, or the name of any other peer."""
    if ":" not in peer:
        return peer.encode()
    try:
        packed = inet_pton(AF_INET6, peer.partition("%")[0])
    except OSError:
        return peer.encode()
    if packed.startswith(_V4_MAPPED):
        # All IPv4 peers of a dual-stack socket look like this; they must not share one bucket.
        return inet_ntoa(packed[12:]).encode()
    return packed[:8]
