"""Reading one large protobuf message in steps: an event of 256 KiB may hold 131,000 fields of two bytes.

Read at once they held the event loop for 25 to 51 ms (interpreted, AMD EPYC); a step of STEP_FIELDS takes 2 to 5.
Messages of up to LARGE_BYTES, which nearly all are, are still read at once.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from logops_fast.formats.protobuf_wire import read_varint, skip

LARGE_BYTES: Final = 16_384
"""A message over this size is read in steps."""

STEP_FIELDS: Final = 8192
"""Fields of it that are read in one step."""


class Pace:
    """Counts fields up to the next step."""

    __slots__ = ("_looked",)

    def __init__(self) -> None:
        self._looked = 0

    def took(self, fields: int) -> bool:
        """Count fields that were read; return whether they are enough for one step."""
        self._looked += fields
        if self._looked < STEP_FIELDS:
            return False
        self._looked = 0
        return True


def last_of_each(data: bytes, pos: int, end: int, known: int, pace: Pace) -> Generator[None, None, bytes]:
    """Return the last field of each tag up to the field number ``known``, which are those that count.

    Only for messages in which none of these may be repeated. Raises WireError.
    """
    kept: dict[int, bytes] = {}
    while pos < end:
        start = pos
        tag, pos = read_varint(data, pos, end)
        pos = skip(data, tag & 7, pos, end)
        if tag >> 3 <= known:
            kept[tag] = data[start:pos]
        if pace.took(1):
            yield
    return b"".join(kept.values())
