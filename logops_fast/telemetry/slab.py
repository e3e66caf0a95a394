"""Counters of all workers of a machine in one anonymous shared mapping, without IPC.

The supervisor creates the mapping before it forks. Each worker writes only its own region; every process reads all.
A region is a header, an append-only directory (which slots hold which series) and the slots, float64 each::

    | published: u64, padding | entry entry entry ... | slot slot slot ... |

An entry is written first and then published, by one aligned 8-byte store of the directory's new length: a worker
killed in between leaves an entry that no reader sees. The CRC is for machines on which another core may see the length
before the entry (ARM): the reader stops there and retries at the next scrape.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import Final, NamedTuple

import orjson

COUNTER: Final = 0
GAUGE: Final = 1
HISTOGRAM: Final = 2
FAMILY: Final = 3
"""An entry without slots that declares a family, so that a process that never registered it can expose it."""

DIRECTORY_BYTES: Final = 4 * 1024 * 1024  # address space, not memory: a page costs nothing until it is written
SLOTS: Final = 65_536
SLOT_BYTES: Final = 8
HEADER_BYTES: Final = 64  # a cache line, so that the published length shares it with nothing

_ENTRY: Final = struct.Struct("<IIHHB")  # crc32 of what follows, first slot, slots, length of the key, kind
_CRC_BYTES: Final = 4
_MAX_KEY_BYTES: Final = 0xFFFF


class Entry(NamedTuple):
    """One series of a directory: ``key`` is the family's name, then the label values in the family's order."""

    key: tuple[str, ...]
    kind: int
    slot: int
    slots: int


class Region:
    """One worker's part of the slab: ``values`` are its slots, written as ``values[i] += n``.

    A slot is written by one thread of one process; a float64 store is not torn, so readers need no lock.
    """

    __slots__ = ("_capacity", "_directory", "_found", "_next_slot", "_published", "values")

    def __init__(self, published: memoryview[int], directory: memoryview[int], values: memoryview[float]) -> None:
        self._published = published
        self._directory = directory
        self._capacity = len(values)
        self._next_slot = 0
        self._found: dict[tuple[str, ...], Entry] = {}
        self.values = values

    @property
    def published(self) -> int:
        """Bytes of the directory that may be read."""
        return self._published[0]

    @property
    def directory(self) -> memoryview[int]:
        """The directory's bytes; only the first ``published`` mean anything."""
        return self._directory

    def attach(self) -> None:
        """Continue where an earlier worker of the same index stopped: counters keep their values, gauges start at 0.

        Call it once in the worker that will write here, before the first :meth:`place`.
        """
        reader = DirectoryReader(self)
        self._found = {}
        self._next_slot = 0
        for entry in reader.new():
            self._found[entry.key] = entry
            self._next_slot = max(self._next_slot, entry.slot + entry.slots)
        self._published[0] = reader.offset
        self.clear_gauges()

    def clear_gauges(self) -> None:
        """Set every gauge to 0: what a dead worker had in flight no longer is."""
        for entry in DirectoryReader(self).new():
            if entry.kind == GAUGE:
                self.values[entry.slot] = 0.0

    def place(self, key: tuple[str, ...], kind: int, slots: int) -> int:
        """Find or append the series ``key``; return its first slot, or -1 if the region is full. Never raises."""
        found = self._found.pop(key, None)
        if found is not None and (found.kind, found.slots) == (kind, slots):
            return found.slot
        slot = self._next_slot
        if slot + slots > self._capacity:
            return -1
        name = _encode(key)
        at = self._published[0]
        end = at + _ENTRY.size + len(name)
        if len(name) > _MAX_KEY_BYTES or end > len(self._directory):
            return -1
        for i in range(slot, slot + slots):
            self.values[i] = 0.0
        body = _ENTRY.pack(0, slot, slots, len(name), kind)[_CRC_BYTES:] + name
        self._directory[at:end] = zlib.crc32(body).to_bytes(_CRC_BYTES, "little") + body
        self._published[0] = end
        self._next_slot = slot + slots
        return slot


class DirectoryReader:
    """Reads a region's directory incrementally: a scrape pays only for new entries."""

    __slots__ = ("_region", "offset")

    def __init__(self, region: Region) -> None:
        self._region = region
        self.offset = 0

    def new(self) -> list[Entry]:
        """Return the entries published since the last call, up to the first incomplete one."""
        entries: list[Entry] = []
        published = min(self._region.published, len(self._region.directory))
        directory = self._region.directory
        slots_of_region = len(self._region.values)
        while self.offset + _ENTRY.size <= published:
            crc, slot, slots, key_bytes, kind = _ENTRY.unpack_from(directory, self.offset)
            end = self.offset + _ENTRY.size + key_bytes
            if end > published or slot + slots > slots_of_region:
                break
            if zlib.crc32(directory[self.offset + _CRC_BYTES : end]) != crc:
                break
            key = orjson.loads(directory[self.offset + _ENTRY.size : end])
            entries.append(Entry(tuple(key), kind, slot, slots))
            self.offset = end
        return entries


class Slab:
    """``regions`` regions in one anonymous shared mapping, inherited by fork; it has no file and no name."""

    __slots__ = ("_map", "regions")

    def __init__(self, regions: int, *, directory_bytes: int = DIRECTORY_BYTES, slots: int = SLOTS) -> None:
        directory_bytes = _round_up(directory_bytes, SLOT_BYTES)
        values_at = HEADER_BYTES + directory_bytes
        size = _round_up(values_at + slots * SLOT_BYTES, mmap.PAGESIZE)
        self._map = mmap.mmap(-1, size * regions)  # MAP_SHARED | MAP_ANONYMOUS
        self.regions: tuple[Region, ...] = tuple(self._region(i * size, directory_bytes, slots) for i in range(regions))

    def _region(self, at: int, directory_bytes: int, slots: int) -> Region:
        view = memoryview(self._map)
        values_at = at + HEADER_BYTES + directory_bytes
        return Region(
            published=view[at : at + SLOT_BYTES].cast("Q"),
            directory=view[at + HEADER_BYTES : values_at],
            values=view[values_at : values_at + slots * SLOT_BYTES].cast("d"),
        )


def _encode(key: tuple[str, ...]) -> bytes:
    try:
        return orjson.dumps(key)
    except orjson.JSONEncodeError:  # a lone surrogate: it cannot be exposed as UTF-8 either
        return orjson.dumps([part.encode("utf-8", "replace").decode() for part in key])


def _round_up(n: int, to: int) -> int:
    return -(-n // to) * to
