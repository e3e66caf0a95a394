"""A ring of byte strings in the extra memory of a table: the newest overwrite the oldest."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from logops_fast.state.table import Table

_RECORD: Final = struct.Struct("=II")


class Arena:
    """Answers of batches, in ``table.extra``; ``table.words[word]`` is the position of the next one.

    Space is allocated under the table's words lock and filled without it: a record that was overwritten since, or not
    completed by a process that was killed, does not match its checksum (which covers the key), and counts as lost.
    """

    __slots__ = ("_size", "_table", "_word")

    def __init__(self, table: Table, word: int) -> None:
        self._table = table
        self._word = word
        self._size = len(table.extra)

    def append(self, digest: bytes, answer: bytes) -> int:
        """Store ``answer`` for the key ``digest`` and return its position in the ring, never 0.

        Raises OSError if the lock is refused.
        """
        table, size = self._table, self._size
        length = -(-(_RECORD.size + len(answer)) // 8) * 8
        table.lock(table.words_lock)
        try:
            at = table.words[self._word]
            if not 8 <= at <= size - length:
                at = 8  # 0 means that there is no answer
            table.words[self._word] = at + length
        finally:
            table.unlock(table.words_lock)
        start = at + _RECORD.size
        table.extra[at:start] = _RECORD.pack(len(answer), zlib.crc32(answer, zlib.crc32(digest)))
        table.extra[start : start + len(answer)] = answer
        return at

    def read(self, digest: bytes, position: int) -> bytes | None:
        """Return the answer at ``position``, or None if it was overwritten by a newer one."""
        start = position + _RECORD.size
        if start > self._size:
            return None
        length, checksum = _RECORD.unpack_from(self._table.extra, position)
        if length > self._size - start:
            return None
        answer = bytes(self._table.extra[start : start + length])
        return answer if zlib.crc32(answer, zlib.crc32(digest)) == checksum else None
