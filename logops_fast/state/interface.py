"""What a state store promises: nonces, token buckets and batch ids, each operation atomic for all who share it.

Every operation with a ``done`` callback calls it exactly once, whatever happens: synchronously (the tables in
memory or shared by a machine's workers) or later on the event loop (Redis). Nothing here raises into a caller
because a store is down; the verdict says so.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

MAX_ANSWER_BYTES: Final = 8192
"""The longest answer that is kept with a batch id; of a longer one only the fact is kept."""

MAX_WORKERS: Final = 1023
"""Workers of one machine that can share a store: as many as have a word of their own in the table of batch ids."""


class NonceVerdict(Enum):
    """What became of a nonce. Only ``FRESH`` lets a request in."""

    FRESH = "fresh"
    """New: it is remembered from now on."""
    REPLAY = "replay"
    """Remembered: it was used before."""
    FORGOTTEN = "forgotten"
    """So old that it may have been used and forgotten (the clock was set back, or the store lost its memory)."""
    FULL = "full"
    """No room to remember it."""
    UNAVAILABLE = "unavailable"
    """The store does not answer."""


class NonceStore(Protocol):
    """Remembers which nonces were used, until each expires."""

    def insert(self, key: bytes, expires_at: float, done: Callable[[NonceVerdict], None]) -> None:
        """Insert atomically: ``key`` is any bytes (client id, NUL, nonce), ``expires_at`` in wall seconds."""


class BucketVerdict(NamedTuple):
    """The state of a token bucket after an operation."""

    allowed: bool
    remaining: float
    """Tokens left; below zero where the bucket is in debt."""
    retry_after: float
    """Seconds until the cost would fit: 0 where it was allowed, ``math.inf`` where it is over the capacity."""
    available: bool = True
    """False: the store does not answer, and the rest means nothing."""


BUCKET_UNAVAILABLE: Final = BucketVerdict(False, 0.0, 0.0, False)


class BucketStore(Protocol):
    """Token buckets by key. Capacity and rate come with each call, so that a reload needs no migration."""

    def take(
        self, key: bytes, cost: float, capacity: float, refill_per_sec: float, done: Callable[[BucketVerdict], None]
    ) -> None:
        """Take ``cost`` tokens if that many are there, none otherwise."""

    def give(self, key: bytes, amount: float, capacity: float, refill_per_sec: float) -> None:
        """Give tokens back, up to the capacity; a negative amount is a debt and may leave the bucket below zero."""

    def peek(self, key: bytes, capacity: float, refill_per_sec: float, done: Callable[[BucketVerdict], None]) -> None:
        """Tell the tokens left and take none."""


class ClaimKind(Enum):
    """What a claim on a batch id found."""

    NEW = "new"
    """Never seen: it is the caller's, who must ``finish`` or ``abandon`` it."""
    IN_PROGRESS = "in progress"
    """Somebody is storing it right now."""
    DONE = "done"
    """Stored already."""
    UNAVAILABLE = "unavailable"
    """The store does not answer, or has no room for one more batch in progress."""


class BatchClaim(NamedTuple):
    """The result of ``BatchIds.begin``.

    ``answer`` is the first answer, for ``DONE`` alone; empty where the fact is remembered but the text is not
    (longer than ``MAX_ANSWER_BYTES``, or pushed out by newer ones): the batch must still not be stored again.
    """

    kind: ClaimKind
    answer: bytes = b""


class BatchIds(Protocol):
    """Remembers which batches were stored, and with what answer. An id belongs to one emitter."""

    def begin(self, emitter: str, batch_id: str, done: Callable[[BatchClaim], None]) -> None:
        """Claim an id before its batch is stored."""

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        """Extend the caller's claim, or take it back if it has lapsed and no one else has claimed the id.

        ``done`` is called once, with whether the caller holds the claim; False also if the store does not answer.
        """

    def finish(self, emitter: str, batch_id: str, answer: bytes) -> None:
        """The batch is stored. Also makes the entry where there is none (a journal that is replayed)."""

    def abandon(self, emitter: str, batch_id: str) -> None:
        """The batch was not stored: the caller's claim is free for the next try."""


class StateStore(Protocol):
    """The three stores of one back-end."""

    @property
    def nonces(self) -> NonceStore:
        """The nonces."""

    @property
    def buckets(self) -> BucketStore:
        """The token buckets."""

    @property
    def batch_ids(self) -> BatchIds:
        """The batch ids."""

    def worker_started(self, index: int) -> None:
        """Tell that this process is worker ``index``; claims that a predecessor left in progress become free.

        Call it in each worker, before the first request and after the worker's journal was replayed.
        """

    def healthy(self) -> str | None:
        """None, or why the store cannot be used right now, in words for ``/readyz``."""

    async def close(self) -> None:
        """Release what this process holds."""
