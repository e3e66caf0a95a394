"""Batch ids in a table: who is storing which batch, which were stored, and with what answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from logops_fast.state.arena import Arena
from logops_fast.state.interface import MAX_ANSWER_BYTES, MAX_WORKERS, BatchClaim, ClaimKind
from logops_fast.state.table import SLOTS_PER_BUCKET, Geometry, Table

KIND: Final = b"batch ids"

MEAN_ANSWER_BYTES: Final = 320
"""Room for an answer, on average; an answer without errors takes about 200."""


_HEAD_WORD: Final = 0
_GENERATION_WORD: Final = 1

_PENDING: Final = 1
_DONE: Final = 2
_CLAIM_OF: Final = {kind: BatchClaim(kind) for kind in (ClaimKind.NEW, ClaimKind.IN_PROGRESS, ClaimKind.UNAVAILABLE)}


def geometry(max_batch_ids: int) -> Geometry:
    """A table for so many batch ids: 40 bytes a slot, and a ring for the answers."""
    ring = max(max_batch_ids * MEAN_ANSWER_BYTES, 16 * MAX_ANSWER_BYTES)
    return Geometry.sized(KIND, max_batch_ids, "Q", 3, -(-ring // 4096) * 4096)


class TableBatchIds:
    """The batch ids of one table (a BatchIds). ``mono`` tells seconds of the monotonic clock; ``ttl`` in seconds.

    A slot holds until when it counts (milliseconds), its state, and where the answer is. The state of a batch in
    progress names its worker and that worker's generation: when a worker starts, the claims of its
    predecessor are of an older generation, and so free. The oldest stored ids make room for new ones; a
    batch in progress never does.

    Order of the writes, for a process killed in between: a slot is void while its key changes, and a claim stays a
    claim until the answer is in its place.
    """

    __slots__ = ("_arena", "_mine", "_mono", "_table", "_ttl_ms")

    def __init__(self, table: Table, mono: Callable[[], float], ttl: float = 600.0) -> None:
        self._table = table
        self._mono = mono
        self._ttl_ms = int(ttl * 1000)
        self._arena = Arena(table, _HEAD_WORD)
        self._mine = _pending(0, table.words[_GENERATION_WORD])

    def worker_started(self, index: int) -> None:
        """This process is worker ``index`` from now on; what a former one left in progress is free."""
        if not 0 <= index < MAX_WORKERS:
            raise ValueError(f"worker {index}: at most {MAX_WORKERS} workers can share batch ids")
        table = self._table
        word = _GENERATION_WORD + index
        table.lock(table.words_lock)
        try:
            generation = (table.words[word] + 1) & 0xFFFF_FFFF
            table.words[word] = generation
        finally:
            table.unlock(table.words_lock)
        self._mine = _pending(index, generation)

    def begin(self, emitter: str, batch_id: str, done: Callable[[BatchClaim], None]) -> None:
        """See ``BatchIds``; answers before it returns."""
        table = self._table
        digest, bucket = table.locate(_key(emitter, batch_id))
        position = 0
        try:
            table.lock(bucket)
            try:
                kind, position = self._begin(digest, bucket)
            finally:
                table.unlock(bucket)
        except OSError:
            kind = ClaimKind.UNAVAILABLE
        if kind is ClaimKind.DONE:
            done(BatchClaim(kind, (position and self._arena.read(digest, position)) or b""))
        else:
            done(_CLAIM_OF[kind])

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        """See ``BatchIds``; answers before it returns."""
        table = self._table
        digest, bucket = table.locate(_key(emitter, batch_id))
        held = False
        try:
            table.lock(bucket)
            try:
                held = self._renew(digest, bucket)
            finally:
                table.unlock(bucket)
        except OSError:
            held = False
        done(held)

    def finish(self, emitter: str, batch_id: str, answer: bytes) -> None:
        """See ``BatchIds``."""
        table = self._table
        digest, bucket = table.locate(_key(emitter, batch_id))
        try:
            position = self._arena.append(digest, answer) if len(answer) <= MAX_ANSWER_BYTES else 0
            table.lock(bucket)
            try:
                self._finish(digest, bucket, position)
            finally:
                table.unlock(bucket)
        except OSError:
            # The claim stays and ends by itself; until then the batch counts as being stored.
            return

    def abandon(self, emitter: str, batch_id: str) -> None:
        """See ``BatchIds``."""
        table = self._table
        digest, bucket = table.locate(_key(emitter, batch_id))
        try:
            table.lock(bucket)
            try:
                slot = table.find(digest, bucket)
                if slot >= 0 and table.values[3 * slot + 1] == self._mine:
                    table.values[3 * slot] = 0
            finally:
                table.unlock(bucket)
        except OSError:
            return

    def _begin(self, digest: bytes, bucket: int) -> tuple[ClaimKind, int]:
        table = self._table
        values = table.values
        now = int(self._mono() * 1000)
        slot = table.find(digest, bucket)
        if slot >= 0 and values[3 * slot] > now:
            state = values[3 * slot + 1]
            if state == _DONE:
                return ClaimKind.DONE, values[3 * slot + 2]
            if self._alive(state):
                return ClaimKind.IN_PROGRESS, 0
        if slot < 0:
            slot = self._room(bucket, now)
            if slot < 0:
                return ClaimKind.UNAVAILABLE, 0
        self._write(slot, digest, now, self._mine, 0)
        return ClaimKind.NEW, 0

    def _renew(self, digest: bytes, bucket: int) -> bool:
        table = self._table
        now = int(self._mono() * 1000)
        slot = table.find(digest, bucket)
        if slot >= 0 and table.values[3 * slot] > now and table.values[3 * slot + 1] == self._mine:
            table.values[3 * slot] = now + self._ttl_ms
            return True
        return self._begin(digest, bucket)[0] is ClaimKind.NEW

    def _finish(self, digest: bytes, bucket: int, position: int) -> None:
        table = self._table
        values = table.values
        now = int(self._mono() * 1000)
        slot = table.find(digest, bucket)
        if slot >= 0 and values[3 * slot] > now:
            values[3 * slot + 2] = position
            values[3 * slot + 1] = _DONE
            values[3 * slot] = now + self._ttl_ms
            return
        if slot < 0:
            slot = self._room(bucket, now)
        if slot >= 0:
            self._write(slot, digest, now, _DONE, position)

    def _write(self, slot: int, digest: bytes, now: int, state: int, position: int) -> None:
        values = self._table.values
        values[3 * slot] = 0
        self._table.put(slot, digest)
        values[3 * slot + 1] = state
        values[3 * slot + 2] = position
        values[3 * slot] = now + self._ttl_ms

    def _room(self, bucket: int, now: int) -> int:
        """A slot for a new id: a free one, else that of the oldest stored id; -1 where all are in progress."""
        values = self._table.values
        slot = self._table.victim(bucket, now)
        if values[3 * slot] <= now or not self._alive(values[3 * slot + 1]):
            return slot
        first = bucket * SLOTS_PER_BUCKET
        settled = [s for s in range(first, first + SLOTS_PER_BUCKET) if not self._alive(values[3 * s + 1])]
        return min(settled, key=lambda s: values[3 * s], default=-1)

    def _alive(self, state: int) -> bool:
        """Whether a state is that of a batch some running worker is storing."""
        worker = (state >> 8) & 0xFFFF
        return (
            state & 0xFF == _PENDING
            and worker < MAX_WORKERS
            and self._table.words[_GENERATION_WORD + worker] == state >> 32
        )


def _pending(worker: int, generation: int) -> int:
    return _PENDING | worker << 8 | generation << 32


def _key(emitter: str, batch_id: str) -> bytes:
    return f"{emitter}\0{batch_id}".encode()
