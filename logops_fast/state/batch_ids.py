"""Batch ids in a table: which batches are being stored and by which worker, which were stored, with what answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from logops_fast.state.arena import Arena
from logops_fast.state.contention import Retries, ignore
from logops_fast.state.interface import MAX_ANSWER_BYTES, MAX_WORKERS, NO_DIGEST, BatchClaim, ClaimKind, OnClaim
from logops_fast.state.table import SLOTS_PER_BUCKET, Geometry, Table

KIND: Final = b"batch ids"

MEAN_ANSWER_BYTES: Final = 320
"""Room for an answer, on average; an answer without errors takes about 200."""

MAX_RING_BYTES: Final = 32 << 20
"""Room for all answers: those of about the latest 100,000 batches. An older batch is known, and its answer worked out
again from its body."""


_HEAD_WORD: Final = 0
GENERATION_WORD: Final = 1

_PENDING: Final = 1
_DONE: Final = 2
_CLAIM_OF: Final = {kind: BatchClaim(kind) for kind in ClaimKind}
_UNAVAILABLE: Final = BatchClaim(ClaimKind.UNAVAILABLE)


def geometry(max_batch_ids: int) -> Geometry:
    """Return a table for this many batch ids: 48 bytes a slot, and a ring for the answers."""
    ring = min(max(max_batch_ids * MEAN_ANSWER_BYTES, 16 * MAX_ANSWER_BYTES), MAX_RING_BYTES)
    return Geometry.sized(KIND, max_batch_ids, "Q", 4, -(-ring // 4096) * 4096)


class TableBatchIds:
    """The batch ids of one table (a BatchIds). ``clock`` is the monotonic clock; ``ttl`` is in seconds.

    A slot holds until when it counts (milliseconds), its state, where the answer is, and the digest of the body. The
    state of a batch in progress names its worker and that worker's generation: when a worker starts, the claims of its
    predecessor are of an older generation, and therefore free. The oldest stored ids make room for new ones; a
    batch in progress never does.

    Order of the writes, for a process killed in between: a slot is void while its key changes, and a claim stays a
    claim until the answer is in its place.
    """

    __slots__ = ("_arena", "_clock", "_mine", "_retries", "_table", "_ttl_ms")

    def __init__(
        self, table: Table, clock: Callable[[], float], ttl: float = 600.0, *, retries: Retries | None = None
    ) -> None:
        self._table = table
        self._retries = Retries() if retries is None else retries
        self._clock = clock
        self._ttl_ms = int(ttl * 1000)
        self._arena = Arena(table, _HEAD_WORD)
        self._mine = _pending(0, table.words[GENERATION_WORD])

    def worker_started(self, index: int) -> None:
        """Become worker ``index``; what its predecessor left in progress is free."""
        if not 0 <= index < MAX_WORKERS:
            raise ValueError(f"worker {index}: at most {MAX_WORKERS} workers can share batch ids")
        # No lock: its holder may be a predecessor that hangs. Each word has one writer, the worker that starts, or
        # worker 0 for those that no process uses.
        word = GENERATION_WORD + index
        generation = (self._table.words[word] + 1) & 0xFFFF_FFFF
        self._table.words[word] = generation
        self._mine = _pending(index, generation)

    def begin(self, emitter: str, batch_id: str, digest: int, done: OnClaim) -> None:
        """See ``BatchIds``; answers before it returns, unless another process holds the lock."""
        try:
            claim = self._try_begin(emitter, batch_id, digest)
        except BlockingIOError:
            self._retries.add(partial(self._try_begin, emitter, batch_id, digest), done, _UNAVAILABLE)
            return
        except OSError:
            claim = _UNAVAILABLE
        done(claim)

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        """See ``BatchIds``; answers before it returns, unless another process holds the lock."""
        try:
            held = self._try_renew(emitter, batch_id)
        except BlockingIOError:
            self._retries.add(partial(self._try_renew, emitter, batch_id), done, False)
            return
        except OSError:
            held = False
        done(held)

    def finish(
        self, emitter: str, batch_id: str, answer: bytes, digest: int = NO_DIGEST, ttl: float | None = None
    ) -> None:
        """See ``BatchIds``."""
        ttl_ms = self._ttl_ms if ttl is None else max(1, int(ttl * 1000))
        try:
            self._try_finish(emitter, batch_id, answer, digest, ttl_ms)
        except BlockingIOError:
            # Until it is noted the batch counts as being stored; lost, it could be stored twice.
            retry = partial(self._try_finish, emitter, batch_id, answer, digest, ttl_ms)
            self._retries.add(retry, ignore, None, needed=True)
        except OSError:
            # The claim stays until it expires; until then the batch counts as being stored.
            return

    def abandon(self, emitter: str, batch_id: str) -> None:
        """See ``BatchIds``."""
        try:
            self._try_abandon(emitter, batch_id)
        except BlockingIOError:
            self._retries.add(partial(self._try_abandon, emitter, batch_id), ignore, None, needed=True)
        except OSError:
            return

    # Each of these raises BlockingIOError while another process holds the lock.

    def _try_begin(self, emitter: str, batch_id: str, digest: int) -> BatchClaim:
        table = self._table
        key, bucket = table.locate(_key(emitter, batch_id))
        table.lock(bucket)
        try:
            kind, position = self._begin(key, bucket, digest)
        finally:
            table.unlock(bucket)
        if kind is ClaimKind.DONE:
            return BatchClaim(kind, (position and self._arena.read(key, position)) or b"")
        return _CLAIM_OF[kind]

    def _try_renew(self, emitter: str, batch_id: str) -> bool:
        table = self._table
        key, bucket = table.locate(_key(emitter, batch_id))
        table.lock(bucket)
        try:
            return self._renew(key, bucket)
        finally:
            table.unlock(bucket)

    def _try_finish(self, emitter: str, batch_id: str, answer: bytes, digest: int, ttl_ms: int) -> None:
        table = self._table
        key, bucket = table.locate(_key(emitter, batch_id))
        position = 0
        if len(answer) <= MAX_ANSWER_BYTES:
            try:
                position = self._arena.append(key, answer)
            except BlockingIOError:
                position = 0  # the answer is worked out again from the body if it is needed
        table.lock(bucket)
        try:
            self._finish(key, bucket, position, digest, ttl_ms)
        finally:
            table.unlock(bucket)

    def _try_abandon(self, emitter: str, batch_id: str) -> None:
        table = self._table
        digest, bucket = table.locate(_key(emitter, batch_id))
        table.lock(bucket)
        try:
            slot = table.find(digest, bucket)
            if slot >= 0 and table.values[4 * slot + 1] == self._mine:
                table.values[4 * slot] = 0
        finally:
            table.unlock(bucket)

    def _begin(self, key: bytes, bucket: int, digest: int) -> tuple[ClaimKind, int]:
        table = self._table
        values = table.values
        now = int(self._clock() * 1000)
        slot = table.find(key, bucket)
        if slot >= 0 and values[4 * slot] > now:
            state = values[4 * slot + 1]
            if state == _DONE or self._alive(state):
                known = values[4 * slot + 3]
                if NO_DIGEST not in (known, digest) and known != digest:
                    return ClaimKind.OTHER_BODY, 0
                return (ClaimKind.DONE, values[4 * slot + 2]) if state == _DONE else (ClaimKind.IN_PROGRESS, 0)
        if slot < 0:
            slot = self._room(bucket, now)
            if slot < 0:
                return ClaimKind.UNAVAILABLE, 0
        self._write(slot, key, now + self._ttl_ms, self._mine, 0, digest)
        return ClaimKind.NEW, 0

    def _renew(self, key: bytes, bucket: int) -> bool:
        table = self._table
        values = table.values
        now = int(self._clock() * 1000)
        slot = table.find(key, bucket)
        if slot >= 0 and values[4 * slot] > now and values[4 * slot + 1] == self._mine:
            values[4 * slot] = now + self._ttl_ms
            return True
        digest = values[4 * slot + 3] if slot >= 0 else NO_DIGEST
        return self._begin(key, bucket, digest)[0] is ClaimKind.NEW

    def _finish(self, key: bytes, bucket: int, position: int, digest: int, ttl_ms: int) -> None:
        table = self._table
        values = table.values
        now = int(self._clock() * 1000)
        slot = table.find(key, bucket)
        if slot >= 0 and values[4 * slot] > now:
            values[4 * slot + 2] = position
            if values[4 * slot + 3] == NO_DIGEST:
                values[4 * slot + 3] = digest
            values[4 * slot + 1] = _DONE
            values[4 * slot] = now + ttl_ms
            return
        if slot < 0:
            slot = self._room(bucket, now)
        if slot >= 0:
            self._write(slot, key, now + ttl_ms, _DONE, position, digest)

    def _write(self, slot: int, key: bytes, until: int, state: int, position: int, digest: int) -> None:
        values = self._table.values
        values[4 * slot] = 0
        self._table.put(slot, key)
        values[4 * slot + 1] = state
        values[4 * slot + 2] = position
        values[4 * slot + 3] = digest
        values[4 * slot] = until

    def _room(self, bucket: int, now: int) -> int:
        """Return a slot for a new id: a free one, else that of the oldest stored id; -1 if all are in progress."""
        values = self._table.values
        slot = self._table.victim(bucket, now)
        if values[4 * slot] <= now or not self._alive(values[4 * slot + 1]):
            return slot
        first = bucket * SLOTS_PER_BUCKET
        settled = [s for s in range(first, first + SLOTS_PER_BUCKET) if not self._alive(values[4 * s + 1])]
        return min(settled, key=lambda s: values[4 * s], default=-1)

    def _alive(self, state: int) -> bool:
        """Whether a state is that of a batch that a running worker is storing."""
        worker = (state >> 8) & 0xFFFF
        return (
            state & 0xFF == _PENDING
            and worker < MAX_WORKERS
            and self._table.words[GENERATION_WORD + worker] == state >> 32
        )


def _pending(worker: int, generation: int) -> int:
    return _PENDING | worker << 8 | generation << 32


def _key(emitter: str, batch_id: str) -> bytes:
    return f"{emitter}\0{batch_id}".encode()
