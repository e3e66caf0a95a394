"""Token buckets: the arithmetic, and the buckets of a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from logops_fast.state.contention import Retries, ignore
from logops_fast.state.interface import BUCKET_UNAVAILABLE, BucketVerdict, OnBucket
from logops_fast.state.table import Geometry, Table

KIND: Final = b"buckets"

ROUNDING: Final = 1e-6
"""Tokens by which a cost may exceed what is left: a refill sums fractions that are not exact."""

REMEMBERED: Final = 4096
"""Keys whose place in the table is remembered: an emitter's bucket is looked up with each of its batches."""

STALE: Final = 1.0
"""Seconds that a bucket may lie in the future before it is taken to be written by another clock."""


def refill(tokens: float, last: float, now: float, capacity: float, rate: float) -> float:
    """Return the tokens of a bucket at ``now`` that held ``tokens`` at ``last`` (monotonic seconds).

    A bucket from the future was written before the machine's last boot, and is full.
    """
    elapsed = now - last
    if elapsed < 0.0:
        return min(tokens, capacity) if elapsed > -STALE else capacity
    return min(capacity, tokens + elapsed * rate)


def wait_for(cost: float, tokens: float, capacity: float, rate: float) -> float:
    """Return the seconds until ``cost`` fits: 0 if it does now, infinity if it never will."""
    if cost <= tokens + ROUNDING:
        return 0.0
    if cost > capacity or rate <= 0.0:
        return math.inf
    return (cost - tokens) / rate


def spend(tokens: float, cost: float, capacity: float, rate: float) -> BucketVerdict:
    """Take ``cost`` of ``tokens``, or nothing if it does not fit."""
    wait = wait_for(cost, tokens, capacity, rate)
    if wait > 0.0:
        return BucketVerdict(False, tokens, wait)
    return BucketVerdict(True, max(tokens - cost, 0.0), 0.0)


def geometry(max_buckets: int) -> Geometry:
    """Return a table for this many token buckets: 40 bytes a slot."""
    return Geometry.sized(KIND, max_buckets, "d", 3)


class _Place:
    """Where a key was found last."""

    __slots__ = ("bucket", "digest", "slot")

    def __init__(self, digest: bytes, bucket: int) -> None:
        self.digest = digest
        self.bucket = bucket
        self.slot = -1


class TableBuckets:
    """The token buckets of one table (a BucketStore). ``clock`` is the monotonic clock, in seconds.

    That clock is the machine's, so workers agree on it. A slot holds the moment when the bucket is full again, its
    tokens, and when it held them. A full bucket is as good as none: its slot is free. If all are in use, the bucket
    that is full soonest is dropped, which gives its owner the least.
    """

    __slots__ = ("_clock", "_places", "_retries", "_table")

    def __init__(self, table: Table, clock: Callable[[], float], *, retries: Retries | None = None) -> None:
        self._table = table
        self._retries = Retries() if retries is None else retries
        self._clock = clock
        self._places: dict[bytes, _Place] = {}

    def take(self, key: bytes, cost: float, capacity: float, refill_per_sec: float, done: OnBucket) -> None:
        """See ``BucketStore``; answers before it returns, unless another process holds the lock."""
        self._run(key, capacity, refill_per_sec, cost, False, done)

    def take_now(self, key: bytes, cost: float, capacity: float, refill_per_sec: float) -> BucketVerdict | None:
        """Take tokens and return the verdict; None, and nothing is done, if another process holds the lock."""
        try:
            return self._try(key, capacity, refill_per_sec, cost, False)
        except BlockingIOError:
            return None
        except OSError:
            return BUCKET_UNAVAILABLE

    def give(self, key: bytes, amount: float, capacity: float, refill_per_sec: float) -> None:
        """See ``BucketStore``."""
        self._run(key, capacity, refill_per_sec, -amount, True, ignore)

    def peek(self, key: bytes, capacity: float, refill_per_sec: float, done: OnBucket) -> None:
        """See ``BucketStore``; answers before it returns, unless another process holds the lock."""
        self._run(key, capacity, refill_per_sec, 0.0, False, done)

    def _run(self, key: bytes, capacity: float, rate: float, cost: float, forced: bool, done: OnBucket) -> None:
        try:
            verdict = self._try(key, capacity, rate, cost, forced)
        except BlockingIOError:
            self._retries.add(partial(self._try, key, capacity, rate, cost, forced), done, BUCKET_UNAVAILABLE)
            return
        except OSError:
            verdict = BUCKET_UNAVAILABLE
        done(verdict)

    def _try(self, key: bytes, capacity: float, rate: float, cost: float, forced: bool) -> BucketVerdict:
        table = self._table
        place = self._places.get(key)
        if place is None:
            place = self._locate(key)
        bucket = place.bucket
        table.lock(bucket)
        try:
            # The clock is read under the lock: else another process could have written a later moment.
            now = self._clock()
            slot = place.slot
            if slot < 0 or not table.holds(slot, place.digest):
                place.slot = slot = table.find(place.digest, bucket)
            tokens = capacity
            if slot >= 0:
                at = 3 * slot
                tokens = refill(table.values[at + 1], table.values[at + 2], now, capacity, rate)
            if forced:
                verdict = BucketVerdict(True, min(tokens - cost, capacity), 0.0)
            else:
                verdict = spend(tokens, cost, capacity, rate)
            if cost and verdict.allowed:
                self._write(slot, place.digest, bucket, verdict.remaining, now, capacity, rate)
        finally:
            table.unlock(bucket)
        return verdict

    def _locate(self, key: bytes) -> _Place:
        if len(self._places) >= REMEMBERED:
            self._places.clear()
        digest, bucket = self._table.locate(key)
        place = self._places[key] = _Place(digest, bucket)
        return place

    def _write(
        self, slot: int, digest: bytes, bucket: int, tokens: float, now: float, capacity: float, rate: float
    ) -> None:
        table = self._table
        values = table.values
        new = slot < 0
        if new:
            slot = table.victim(bucket, now)
        at = 3 * slot
        if new:
            # Killed between here and the last write, it is a full bucket under whichever key.
            values[at + 1] = math.inf
            table.put(slot, digest)
        values[at + 1] = tokens
        values[at + 2] = now
        values[at] = now + (capacity - tokens) / rate if rate > 0.0 else math.inf
