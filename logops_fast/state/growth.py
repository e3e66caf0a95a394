"""Reserves the file space of a table segment by segment, when a segment is first used.

A table sized for 20,000 requests a second takes about 200 MB, which on tmpfs is memory; a quiet gateway uses a tenth of
it. Space is reserved (``posix_fallocate``) before it is touched: touching a page that has none ends the process with
SIGBUS once the file system is full, on tmpfs even for a read.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

from logops_fast.state.table import BUCKET_BYTES, WORDS, Geometry, Table

FIRST_WORD: Final = 8
"""The shared word of the first segment: 1 while its space is not reserved. Tables of earlier builds have 0 there."""
_MIN_BUCKETS: Final = 256
_CHUNK: Final = 1 << 20


class Growth:
    """The segments of one table, each a run of buckets with their values."""

    __slots__ = ("_failed_at", "_segment", "_table")

    def __init__(self, table: Table) -> None:
        self._table = table
        self._segment = _buckets_of_segment(table.buckets)
        self._failed_at = -1

    def missing(self, bucket: int) -> bool:
        """Return whether the bucket's space is not reserved yet, so that it holds nothing and must not be touched."""
        return bool(self._table.words[FIRST_WORD + bucket // self._segment])

    def reserve(self, bucket: int, now: float) -> bool:
        """Reserve the bucket's segment; return False if there is no room, which is tried once a second (of ``now``).

        Takes the words lock: where the C library emulates ``posix_fallocate`` by writing zeros, a sibling must not
        reserve a segment that is already in use.

        Raises OSError if the lock is refused.
        """
        table = self._table
        if table.file is None or int(now) == self._failed_at:
            return False
        segment = bucket // self._segment
        table.lock(table.words_lock)
        try:
            if table.words[FIRST_WORD + segment]:
                first = segment * self._segment
                _reserve_buckets(table.file, table.geometry, first, min(first + self._segment, table.buckets))
                table.words[FIRST_WORD + segment] = 0
        except OSError:
            self._failed_at = int(now)
            return False
        finally:
            table.unlock(table.words_lock)
        return True


def reserve_first(fd: int, geometry: Geometry, buckets: int) -> None:
    """Give a new file its size, and reserve all of it but the segments that begin after the first ``buckets``.

    Raises OSError if the file system has no room for the *whole* table, although it is not taken yet.
    """
    if _free(fd) < geometry.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    _, keys, _, extra, size = geometry.sections()
    os.ftruncate(fd, size)
    _reserve(fd, 0, keys)
    _reserve_buckets(fd, geometry, 0, _reserved_at_first(geometry.buckets, buckets))
    if size > extra:
        _reserve(fd, extra, size - extra)


def mark_missing(table: Table, buckets: int) -> None:
    """Mark the segments that ``reserve_first`` left out in a new table."""
    segment = _buckets_of_segment(table.buckets)
    for first in range(_reserved_at_first(table.buckets, buckets), table.buckets, segment):
        table.words[FIRST_WORD + first // segment] = 1


def _buckets_of_segment(buckets: int) -> int:
    return max(-(-buckets // (WORDS - FIRST_WORD)), _MIN_BUCKETS)


def _reserved_at_first(buckets: int, first: int) -> int:
    """Return ``first`` rounded up to whole segments. All of them where space cannot be reserved without writing it."""
    segment = _buckets_of_segment(buckets)
    return buckets if sys.platform == "darwin" else min(-(-first // segment) * segment, buckets)


def _reserve_buckets(fd: int, geometry: Geometry, first: int, end: int) -> None:
    _, keys, values, _, _ = geometry.sections()
    width = geometry.slots_per_bucket * geometry.value_bytes
    _reserve(fd, keys + first * BUCKET_BYTES, (end - first) * BUCKET_BYTES)
    _reserve(fd, values + first * width, (end - first) * width)


def _reserve(fd: int, start: int, length: int) -> None:
    if sys.platform != "darwin":
        os.posix_fallocate(fd, start, length)
        return
    for at in range(start, start + length, _CHUNK):
        os.pwrite(fd, bytes(min(_CHUNK, start + length - at)), at)


def _free(fd: int) -> int:
    """Return the free bytes of the file's file system; where it does not say, as many as a number can hold."""
    status = os.fstatvfs(fd)
    return status.f_bavail * status.f_frsize if status.f_blocks else sys.maxsize
