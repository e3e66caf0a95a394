"""A fixed-size hash table in mapped memory, for one process or for all workers of a machine.

Shape. A key is the XXH3 digest of the caller's bytes under a seed of the table's own, so that no one outside can aim at
one bucket: 16 bytes of it, or 8 where memory matters more (within one bucket, two keys then collide once in 10^17
inserts). It selects a bucket, whose keys lie side by side in 2 KiB, and one ``mmap.find`` searches them at C speed:
0.45 us for a miss, where 4 KiB take 0.8 and 1 KiB overflow too early. Values lie in a section of their own, reached
through a ``memoryview`` cast to their type.

    header page | shared words | bucket metas | keys | values | extra

Atomicity between processes is a POSIX record lock on the bucket's byte (``fcntl.lockf``, 1.3 us for the pair of
calls): the kernel releases it when its holder is killed, which it does not do for a semaphore in shared memory.
Such locks belong to a process: within one, the table is for one thread, and closing *any* descriptor of the file
drops them, so there is one descriptor and it stays open.

A process killed in the middle of an operation leaves at worst one slot with a key that no one will look up; each user
of the table orders its writes accordingly.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
import zlib
from math import ceil
from mmap import PAGESIZE, mmap
from typing import Any, Final, Literal, NamedTuple

from xxhash import xxh3_128_digest

KEY_BYTES: Final = 16
SLOTS_PER_BUCKET: Final = 128
"""Slots of a bucket of 16-byte keys; of 8-byte keys there are twice as many."""
BUCKET_BYTES: Final = SLOTS_PER_BUCKET * KEY_BYTES

LOAD: Final = 0.7
"""Mean fill at the promised number of entries: 90 of 128, four standard deviations under a full bucket."""

HEADER_BYTES: Final = 4096
WORDS: Final = 1024
"""64-bit words that a user of the table shares between its processes."""

LOCK_TRIES: Final = 30
"""How often a held lock is tried again at once: about 60 us, several times as long as an operation holds it."""

MAGIC: Final = b"LOGOPSTB"
VERSION: Final = 1
_HEADER: Final = struct.Struct("=8sI16sIIIQQ36s")
_CRC: Final = struct.Struct("=I")
_BUCKET_OF: Final = struct.Struct("<I").unpack_from


ValueFormat = Literal["I", "Q", "d"]
KeyBytes = Literal[8, 16]


class Geometry(NamedTuple):
    """The kind and size of a table; a file of another geometry is not used."""

    kind: bytes
    """At most 16 bytes of ASCII."""
    buckets: int
    value_format: ValueFormat
    """The ``memoryview`` format of the values."""
    values_per_slot: int
    extra_bytes: int = 0
    """Bytes for the user's own purpose, after the values."""
    key_bytes: KeyBytes = 16
    """Bytes of a key's digest that are stored."""

    @classmethod
    def sized(
        cls, kind: bytes, entries: int, value_format: ValueFormat, values_per_slot: int, extra_bytes: int = 0
    ) -> Geometry:
        """Return a table of 16-byte keys that holds ``entries`` with room to spare in each bucket."""
        buckets = ceil(entries / (SLOTS_PER_BUCKET * LOAD))
        return cls(kind, buckets, value_format, values_per_slot, extra_bytes)

    def sections(self) -> tuple[int, int, int, int, int]:
        """Return the offsets of metas, keys, values and extra, and the size of the whole, each on a page of its own."""
        metas = HEADER_BYTES + WORDS * 8
        keys = _page(metas + self.buckets * 8)
        values = _page(keys + self.buckets * BUCKET_BYTES)
        extra = _page(values + self.slots * self.value_bytes)
        return metas, keys, values, extra, _page(extra + self.extra_bytes)

    @property
    def slots_per_bucket(self) -> int:
        """Slots of one bucket."""
        return BUCKET_BYTES // self.key_bytes

    @property
    def slots(self) -> int:
        """Slots of the whole table."""
        return self.buckets * self.slots_per_bucket

    @property
    def value_bytes(self) -> int:
        """Bytes of one slot's values."""
        return struct.calcsize(self.value_format) * self.values_per_slot

    @property
    def size(self) -> int:
        """Bytes of the whole table."""
        return self.sections()[4]


def _page(offset: int) -> int:
    unit = max(PAGESIZE, 4096)
    return -(-offset // unit) * unit


def header(geometry: Geometry, seed: int, boot: str) -> bytes:
    """Return the header of a table; ``boot`` identifies the boot of the machine that wrote it."""
    fields = _HEADER.pack(
        MAGIC,
        VERSION,
        geometry.kind,
        geometry.buckets,
        geometry.slots_per_bucket,
        geometry.value_bytes,
        geometry.extra_bytes,
        seed,
        boot.encode()[:36],
    )
    return fields + _CRC.pack(zlib.crc32(fields))


class Header(NamedTuple):
    """The fields of a table's header."""

    kind: bytes
    buckets: int
    slots_per_bucket: int
    value_bytes: int
    extra_bytes: int
    seed: int
    boot: bytes


def read_header(data: bytes) -> Header | None:
    """Return the header at the beginning of ``data``, or None if it is none of this version, or damaged."""
    if len(data) < _HEADER.size + _CRC.size or data[: len(MAGIC)] != MAGIC:
        return None
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        return None
    _, version, kind, buckets, slots, value_bytes, extra_bytes, seed, boot = _HEADER.unpack_from(data)
    if version != VERSION:
        return None
    return Header(kind.rstrip(b"\0"), buckets, slots, value_bytes, extra_bytes, seed, boot.rstrip(b"\0"))


def header_fault(data: bytes, geometry: Geometry, boot: str) -> str | None:
    """Return None if ``data`` begins a usable table, otherwise the reason why it does not."""
    if len(data) < _HEADER.size + _CRC.size:
        return "it is cut short"
    if data[: len(MAGIC)] != MAGIC:
        return "it is not a table"
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        return "its header is damaged"
    seed = _HEADER.unpack_from(data)[7]
    expected = header(geometry, seed, boot)
    if data[: len(expected)] == expected:
        return None
    if data[: _HEADER.size - 36] == expected[: _HEADER.size - 36]:
        return "the machine was started since, and the last writes may be lost"
    return "it has another version or size"


class Table:
    """A mapped table. ``fd`` is the file to lock; None for memory of one process. The table closes its descriptors.

    ``file`` is the file to reserve space in (see ``state.growth``), which may be the same; None if it is complete.

    Users work on a bucket as: ``digest, bucket = locate(key)``, ``lock(bucket)``, ``find``/``values``/``metas``,
    ``unlock(bucket)``. ``lock`` raises OSError if it cannot be had.
    """

    __slots__ = (
        "_after_turn", "_buckets", "_fd", "_in_turn", "_key_bytes", "_key_words", "_keys", "_memory", "_seed", "_slots",
        "_step", "_turn_at", "_views", "extra", "file", "geometry", "metas", "values", "words",
    )  # fmt: skip

    def __init__(self, memory: mmap, geometry: Geometry, fd: int | None = None, file: int | None = None) -> None:
        metas, keys, values, extra, _ = geometry.sections()
        view = memoryview(memory)
        self._memory = memory
        self._fd = fd
        self.file = file
        self.geometry = geometry
        self._keys = keys
        self._buckets = geometry.buckets
        self._key_bytes = geometry.key_bytes
        self._slots = geometry.slots_per_bucket
        self._step = geometry.values_per_slot
        self._in_turn = -1  # the slot that was handed out last, until its key is written
        self._turn_at = 0  # then the index in `metas` of its bucket's turn, and the turn after it
        self._after_turn = 0
        self._seed: int = _HEADER.unpack_from(memory)[7]
        self.words = view[HEADER_BYTES : HEADER_BYTES + WORDS * 8].cast("Q")
        """64-bit words shared by all processes."""
        self._key_words = view[keys : keys + geometry.buckets * BUCKET_BYTES].cast("Q")
        self.metas = view[metas : metas + geometry.buckets * 8].cast("I")
        """Two 32-bit words for each bucket: one for the user's purpose, and the slot whose turn it is."""
        end = values + geometry.slots * geometry.value_bytes
        self.values: memoryview[Any] = view[values:end].cast(geometry.value_format)
        """``values_per_slot`` values for each slot of the table; the first is the moment until which it is in use."""
        self.extra = view[extra : extra + geometry.extra_bytes]
        self._views = (self.words, self._key_words, self.metas, self.values, self.extra, view)

    @property
    def buckets(self) -> int:
        """The number of buckets."""
        return self._buckets

    @property
    def slots_per_bucket(self) -> int:
        """Slots of one bucket."""
        return self._slots

    @property
    def seed(self) -> int:
        """The secret seed of this table's digests."""
        return self._seed

    def digest(self, key: bytes) -> bytes:
        """Return the 16-byte digest of a key under this table's seed."""
        return xxh3_128_digest(key, self._seed)

    def locate(self, key: bytes) -> tuple[bytes, int]:
        """Return the digest of a key as it is stored, and its bucket."""
        digest = xxh3_128_digest(key, self._seed)
        return digest[-self._key_bytes :], _BUCKET_OF(digest)[0] % self._buckets

    def find(self, digest: bytes, bucket: int) -> int:
        """Return the slot that holds ``digest``, or -1."""
        return self._find(digest, bucket, BUCKET_BYTES)

    def find_used(self, digest: bytes, bucket: int) -> int:
        """As ``find``, for a bucket whose slots are handed out in turn: those that never were are not searched.

        They are zero, on which ``mmap.find`` takes 5 us a bucket if one byte of eight is a multiple of 64. A key is
        written before the turn moves on, so that no process, whenever it is killed, leaves out a slot: if the next one
        is zero, no later one was ever used. The last one is looked at as well: if a slot was left out after all, it
        would take two of one bucket to hide a key.
        """
        turn = self.metas[2 * bucket + 1] % self._slots
        words = self._key_bytes // 8
        first = bucket * self._slots
        keys = self._key_words
        if keys[(first + turn) * words] or keys[(first + self._slots - 1) * words]:
            return self._find(digest, bucket, BUCKET_BYTES)
        return self._find(digest, bucket, turn * self._key_bytes) if turn else -1

    def _find(self, digest: bytes, bucket: int, size_of_keys: int) -> int:
        start = self._keys + bucket * BUCKET_BYTES
        end = start + size_of_keys
        size = self._key_bytes
        at = self._memory.find(digest, start, end)
        while at >= 0:
            if not at % size:
                return (at - self._keys) // size
            # Bytes that straddle two keys and happen to read like the digest.
            at = self._memory.find(digest, at + 1, end)
        return -1

    def holds(self, slot: int, digest: bytes) -> bool:
        """Return whether a slot holds ``digest``: what was found once need not be searched for again."""
        at = self._keys + slot * self._key_bytes
        return self._memory[at : at + self._key_bytes] == digest

    def next_in_turn(self, bucket: int, now: float) -> int:
        """Return the slot whose turn it is if it is free at ``now``, otherwise -1. ``put`` into it moves the turn on.

        Slots are handed out in turn, so the next one is nearly always the oldest, and nothing has to be searched.
        """
        slots = self._slots
        turn = self.metas[2 * bucket + 1] % slots
        slot = bucket * slots + turn
        if self.values[slot * self._step] > now:
            self._in_turn = -1
            return -1
        self._in_turn = slot
        self._turn_at = 2 * bucket + 1
        self._after_turn = (turn + 1) % slots
        return slot

    def undo_turn(self, bucket: int, slot: int) -> None:
        """Hand out ``slot`` again next if it was the last one handed out, so that a freed slot leaves no hole."""
        slots = self._slots
        index = slot - bucket * slots
        if self.metas[2 * bucket + 1] % slots == (index + 1) % slots:
            self.metas[2 * bucket + 1] = index

    def victim(self, bucket: int, now: float) -> int:
        """Return the slot to write a new key into: a free one, or else the one that becomes free first.

        The first value of each slot is the moment until which it is in use, on the clock of ``now``; the caller
        checks it to see whether the slot is free.
        """
        slot = self.next_in_turn(bucket, now)
        if slot >= 0:
            return slot
        first = bucket * self._slots
        step = self._step
        moments: list[float] = list(self.values[first * step : (first + self._slots) * step : step])
        return first + moments.index(min(moments))

    def put(self, slot: int, digest: bytes) -> None:
        """Write a slot's key, and then move the turn on if it is that of the slot that was asked for last.

        In this order: see ``find_used``. A process killed in between has left a key without a value: the slot is free,
        and the next one in turn.
        """
        at = self._keys + slot * self._key_bytes
        self._memory[at : at + self._key_bytes] = digest
        if slot == self._in_turn:
            self.metas[self._turn_at] = self._after_turn
            self._in_turn = -1

    def lock(self, bucket: int) -> None:
        """Keep other processes out of a bucket.

        Raises BlockingIOError if another process keeps it for longer than an operation takes: it may be stopped, so the
        kernel is never asked to wait for it (see ``state.contention``).
        """
        if self._fd is None:
            return
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, bucket)
        except BlockingIOError:
            self._lock_soon(self._fd, bucket)

    def _lock_soon(self, fd: int, bucket: int) -> None:
        for _ in range(LOCK_TRIES):
            time.sleep(0)  # gives up the processor, in case the holder waits for it
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, bucket)
            except BlockingIOError:
                continue
            return
        raise BlockingIOError(errno.EAGAIN, "another process holds the lock")

    def unlock(self, bucket: int) -> None:
        """Release the lock of a bucket."""
        if self._fd is not None:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, bucket)

    @property
    def words_lock(self) -> int:
        """The pseudo-bucket whose lock guards ``words``."""
        return self._buckets

    def close(self) -> None:
        """Unmap the table and close its descriptor; may be called twice."""
        for view in self._views:
            view.release()
        self._memory.close()
        for fd in {self._fd, self.file}:
            if fd is not None:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._fd = self.file = None
