"""The contract of a state store: nonces, token buckets and batch ids, each operation atomic for all who share it.

Every operation with a ``done`` callback calls it exactly once, whatever happens: synchronously (the tables in
memory or shared by a machine's workers) or later on the event loop (Redis). No operation raises because a store is
down; its verdict says so.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

from xxhash import xxh3_64_intdigest

from logops_fast.state.bucket_verdict import BUCKET_UNAVAILABLE, BucketVerdict

__all__ = [
    "BUCKET_UNAVAILABLE",
    "MAX_ANSWER_BYTES",
    "MAX_WORKERS",
    "NO_DIGEST",
    "BatchClaim",
    "BatchIds",
    "BucketStore",
    "BucketVerdict",
    "ClaimKind",
    "NonceStore",
    "NonceVerdict",
    "OnBucket",
    "OnClaim",
    "OnNonce",
    "StateStore",
    "body_digest",
]

MAX_ANSWER_BYTES: Final = 8192
"""The longest answer that is kept with a batch id; of a longer one only the fact is kept."""

MAX_WORKERS: Final = 1023
"""Workers of one machine that can share a store: as many as have a word of their own in the table of batch ids."""


class NonceVerdict(Enum):
    """The result of inserting a nonce. Only ``FRESH`` lets a request in."""

    FRESH = "fresh"
    """New: it is remembered from now on."""
    REPLAY = "replay"
    """Remembered: it was used before."""
    FORGOTTEN = "forgotten"
    """So old that it may have been used and forgotten (the clock was set back, or the store lost its memory)."""
    CROWDED = "crowded"
    """The store is nearly full, and this client holds most of it."""
    FULL = "full"
    """No room to remember it."""
    UNAVAILABLE = "unavailable"
    """The store does not answer."""


OnNonce = Callable[[NonceVerdict], None]


class NonceStore(Protocol):
    """Remembers which nonces were used, until each expires.

    A ``key`` is the client id, NUL, and the nonce: any bytes. ``expires_at`` is in wall seconds.
    """

    def insert(self, key: bytes, expires_at: float, done: OnNonce) -> None:
        """Insert a nonce atomically."""

    def remove(self, key: bytes, expires_at: float) -> None:
        """Give back a nonce that was inserted with this expiry and whose request had no effect. May be lost."""


OnBucket = Callable[[BucketVerdict], None]


class BucketStore(Protocol):
    """Token buckets by key. Capacity and rate come with each call, so that a reload needs no migration."""

    def take(self, key: bytes, cost: float, capacity: float, refill_per_sec: float, done: OnBucket) -> None:
        """Take ``cost`` tokens if that many are there, none otherwise."""

    def give(self, key: bytes, amount: float, capacity: float, refill_per_sec: float) -> None:
        """Give tokens back, up to the capacity; a negative amount is a debt and may leave the bucket below zero."""

    def peek(self, key: bytes, capacity: float, refill_per_sec: float, done: OnBucket) -> None:
        """Report the tokens left and take none."""


class ClaimKind(Enum):
    """What a claim on a batch id found."""

    NEW = "new"
    """Never seen: it belongs to the caller, who must ``finish`` or ``abandon`` it."""
    IN_PROGRESS = "in progress"
    """Another request is storing it right now."""
    DONE = "done"
    """Stored already."""
    OTHER_BODY = "other body"
    """In progress or stored, but with another body: the id was used for two batches."""
    UNAVAILABLE = "unavailable"
    """The store does not answer, or has no room for one more batch in progress."""


class BatchClaim(NamedTuple):
    """The result of ``BatchIds.begin``.

    ``answer`` is the first answer, for ``DONE`` alone; empty if the fact is remembered but the text is not
    (longer than ``MAX_ANSWER_BYTES``, or pushed out by newer ones): the batch must still not be stored again.
    """

    kind: ClaimKind
    answer: bytes = b""


OnClaim = Callable[[BatchClaim], None]

NO_DIGEST: Final = 0
"""In place of a body's digest: not known, and equal to any."""


def body_digest(body: bytes) -> int:
    """Return what a batch's decoded body is recognised by: 64 bits, never ``NO_DIGEST``.

    Not a defence against its own sender, who could only deceive itself: so it is fast (16 MiB in about a millisecond),
    not cryptographic.
    """
    return xxh3_64_intdigest(body) or 1


class BatchIds(Protocol):
    """Remembers which batches were stored, and with what answer. An id belongs to one emitter."""

    def begin(self, emitter: str, batch_id: str, digest: int, done: OnClaim) -> None:
        """Claim an id before its batch is stored; ``digest`` is ``body_digest`` of the batch's decoded body."""

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        """Extend the caller's claim, or take it back if it has lapsed and no one else has claimed the id.

        ``done`` is called once, with whether the caller holds the claim; False also if the store does not answer.
        """

    def finish(
        self, emitter: str, batch_id: str, answer: bytes, digest: int = NO_DIGEST, ttl: float | None = None
    ) -> None:
        """Record that the batch is stored. Also makes the entry if there is none (when a journal is replayed).

        ``digest`` is that of such an entry; a digest that was given to ``begin`` is kept. ``ttl``: seconds that it is
        remembered, if not as long as the store remembers others.
        """

    def abandon(self, emitter: str, batch_id: str) -> None:
        """Release the caller's claim: the batch was not stored, and the next try may claim it."""


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
        """Announce that this process is worker ``index``; claims that a predecessor left in progress become free.

        Call it in each worker, before the first request and after the worker's journal was replayed.
        """

    def healthy(self) -> str | None:
        """Return None, or the reason why the store cannot be used right now, in words for ``/readyz``."""

    async def close(self) -> None:
        """Release what this process holds."""
