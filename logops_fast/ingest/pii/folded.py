"""A copy of the text in which the questions of two kinds have one needle each.

Every digit is ``0``, what may part the groups of a card number is a blank, ASCII letters are small. The `translate` is
two thirds of what it costs to ask for cards (11 us of 16 on 27 kB), so credentials ask the same copy, whatever case
they are written in. Ask with ``rfind``: for needles of 3 to 13 bytes it is three times as fast as ``find`` and ``in``.
"""

from __future__ import annotations

from typing import Final

DIGIT: Final = b"0"
GAP: Final = b" "

_TABLE: Final = bytes.maketrans(
    b"123456789-.+ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"000000000   abcdefghijklmnopqrstuvwxyz",
)


def fold(text: bytes) -> bytes:
    """The copy of neutral text: byte for byte, so that positions stay."""
    return text.translate(_TABLE)
