"""A fixed-size hash table in mapped memory, for one process or for all workers of a machine.

Shape. A key is the 16-byte XXH3 digest of the caller's bytes under a seed of the table's own, so that nobody
outside can aim at one bucket. It picks one bucket of 128 slots; a bucket's keys lie side by side (2 KiB), and one
``mmap.find`` looks through them at C speed: 0.45 us for a miss, where 256 slots take 0.8 and 64 overflow
too early. Values lie in a section of their own, reached through a ``memoryview`` cast to their type.

    header page | shared words | bucket metas | keys | values | extra

Atomicity between processes is a POSIX record lock on the bucket's byte (``fcntl.lockf``, 1.3 us for the pair of
calls): the kernel releases it when its holder is killed, which it does not do for a semaphore in shared memory.
Such locks belong to a process: within one, the table is for one thread, and closing *any* descriptor of the file
drops them, so there is one descriptor and it stays open.

A process killed in the middle of an operation leaves at worst one slot with a key that nobody will ask for; each
user of the table orders its writes so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from math import ceil
from mmap import PAGESIZE, mmap
from typing import Any, Final, Literal, NamedTuple

from xxhash import xxh3_128_digest

KEY_BYTES: Final = 16
SLOTS_PER_BUCKET: Final = 128
BUCKET_BYTES: Final = SLOTS_PER_BUCKET * KEY_BYTES

LOAD: Final = 0.7
"""Mean fill at the promised number of entries: 90 of 128, four standard deviations under a full bucket."""

HEADER_BYTES: Final = 4096
WORDS: Final = 1024
"""64-bit words that a user of the table shares between its processes."""

MAGIC: Final = b"LOGOPSTB"
VERSION: Final = 1
_HEADER: Final = struct.Struct("=8sI16sIIIQQ36s")
_CRC: Final = struct.Struct("=I")
_BUCKET_OF: Final = struct.Struct("<I").unpack_from


ValueFormat = Literal["I", "Q", "d"]


class Geometry(NamedTuple):
    """The kind and size of a table; a file of another geometry is not used."""

    kind: bytes
    """At most 16 bytes of ASCII."""
    buckets: int
    value_format: ValueFormat
    """The ``memoryview`` format of the values."""
    values_per_slot: int
    extra_bytes: int = 0
    """Bytes for the user's own purpose, behind the values."""

    @classmethod
    def sized(
        cls, kind: bytes, entries: int, value_format: ValueFormat, values_per_slot: int, extra_bytes: int = 0
    ) -> Geometry:
        """A table that holds ``entries`` with room to spare in each bucket."""
        buckets = ceil(entries / (SLOTS_PER_BUCKET * LOAD))
        return cls(kind, buckets, value_format, values_per_slot, extra_bytes)

    def sections(self) -> tuple[int, int, int, int, int]:
        """Offsets of metas, keys, values and extra, and the size of the whole, each on a page of its own."""
        metas = HEADER_BYTES + WORDS * 8
        keys = _page(metas + self.buckets * 8)
        values = _page(keys + self.buckets * BUCKET_BYTES)
        extra = _page(values + self.buckets * SLOTS_PER_BUCKET * self.value_bytes)
        return metas, keys, values, extra, _page(extra + self.extra_bytes)

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
    """The header of a table; ``boot`` names the run of the machine that it belongs to."""
    fields = _HEADER.pack(
        MAGIC,
        VERSION,
        geometry.kind,
        geometry.buckets,
        SLOTS_PER_BUCKET,
        geometry.value_bytes,
        geometry.extra_bytes,
        seed,
        boot.encode()[:36],
    )
    return fields + _CRC.pack(zlib.crc32(fields))


def header_fault(data: bytes, geometry: Geometry, boot: str) -> str | None:
    """None where ``data`` begins a usable table, or why it does not."""
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
    """A mapped table. ``fd`` is the file to lock, None for memory of one process.

    Users work on a bucket as: ``digest, bucket = locate(key)``, ``lock(bucket)``, ``find``/``values``/``metas``,
    ``unlock(bucket)``. ``lock`` raises OSError where the kernel refuses (ENOLCK).
    """

    __slots__ = ("_buckets", "_fd", "_keys", "_memory", "_seed", "_step", "_views", "extra", "metas", "values", "words")

    def __init__(self, memory: mmap, geometry: Geometry, fd: int | None = None) -> None:
        metas, keys, values, extra, _ = geometry.sections()
        view = memoryview(memory)
        self._memory = memory
        self._fd = fd
        self._keys = keys
        self._buckets = geometry.buckets
        self._step = geometry.values_per_slot
        self._seed: int = _HEADER.unpack_from(memory)[7]
        self.words = view[HEADER_BYTES : HEADER_BYTES + WORDS * 8].cast("Q")
        """64-bit words shared by all processes."""
        self.metas = view[metas : metas + geometry.buckets * 8].cast("I")
        """Two 32-bit words for each bucket: one for the user's purpose, and whose turn it is."""
        slots = geometry.buckets * SLOTS_PER_BUCKET
        self.values: memoryview[Any] = view[values : values + slots * geometry.value_bytes].cast(geometry.value_format)
        """``values_per_slot`` values for each slot of the table; the first is the moment until which it is in use."""
        self.extra = view[extra : extra + geometry.extra_bytes]
        self._views = (self.words, self.metas, self.values, self.extra, view)

    @property
    def buckets(self) -> int:
        """How many buckets there are."""
        return self._buckets

    def locate(self, key: bytes) -> tuple[bytes, int]:
        """The digest of a key, and its bucket."""
        digest = xxh3_128_digest(key, self._seed)
        return digest, _BUCKET_OF(digest)[0] % self._buckets

    def find(self, digest: bytes, bucket: int) -> int:
        """The slot that holds ``digest``, or -1."""
        start = self._keys + bucket * BUCKET_BYTES
        end = start + BUCKET_BYTES
        at = self._memory.find(digest, start, end)
        while at >= 0:
            if not at % KEY_BYTES:
                return (at - self._keys) // KEY_BYTES
            # Bytes that straddle two keys and happen to read like the digest.
            at = self._memory.find(digest, at + 1, end)
        return -1

    def victim(self, bucket: int, now: float) -> int:
        """The slot to write a new key into: a free one, or else the one that becomes free first.

        The first value of each slot is the moment until which it is in use, on the clock of ``now``; the caller
        looks at it to see whether the slot is free. Slots are used in turn, so that the next one is nearly always
        the oldest and nothing has to be searched.
        """
        first = bucket * SLOTS_PER_BUCKET
        step = self._step
        turn = self.metas[2 * bucket + 1] % SLOTS_PER_BUCKET
        if self.values[(first + turn) * step] <= now:
            self.metas[2 * bucket + 1] = (turn + 1) % SLOTS_PER_BUCKET
            return first + turn
        moments: list[float] = list(self.values[first * step : (first + SLOTS_PER_BUCKET) * step : step])
        return first + moments.index(min(moments))

    def put(self, slot: int, digest: bytes) -> None:
        """Write a slot's key."""
        at = self._keys + slot * KEY_BYTES
        self._memory[at : at + KEY_BYTES] = digest

    def lock(self, bucket: int) -> None:
        """Keep other processes out of a bucket. One lock at a time: two could wait for each other."""
        if self._fd is not None:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, bucket)

    def unlock(self, bucket: int) -> None:
        """Let others in."""
        if self._fd is not None:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, bucket)

    @property
    def words_lock(self) -> int:
        """The pseudo-bucket whose lock guards ``words``."""
        return self._buckets

    def close(self) -> None:
        """Unmap, and close the descriptor; closing twice is allowed."""
        for view in self._views:
            view.release()
        self._memory.close()
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None
