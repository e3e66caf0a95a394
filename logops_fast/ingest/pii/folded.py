"""Copies of a text, byte for byte, in which the questions of two kinds have one needle each.

Every digit is ``0``, ASCII letters are small, and what may part the groups of a card's number is one byte. The
`translate` costs as much as the needle, so credentials ask the same copy, whatever case they are written in. Ask with
``rfind``: for needles of 3 to 13 bytes it is three times as fast as ``find`` and ``in``.
"""

from __future__ import annotations

from typing import Final

DIGIT: Final = b"0"
GAP: Final = b" "

_TABLE: Final = bytes.maketrans(
    b"123456789-.+ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"000000000   abcdefghijklmnopqrstuvwxyz",
)


RUN: Final = DIGIT * 13
"""What each card number without dots or plus signs is in a `broad` copy: the shortest has 13 digits, in groups 14 and
two gaps."""
_BROAD: Final = bytes.maketrans(
    b"123456789- ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"00000000000abcdefghijklmnopqrstuvwxyz",
)


def broad(text: bytes) -> bytes:
    """The copy in which a blank and a hyphen are digits, too: one needle asks for both forms of a card.

    `rfind` skips 13 bytes at each that is none of them, where a blank in the needle makes it stop at each blank.
    """
    return text.translate(_BROAD)


def fold(text: bytes) -> bytes:
    """The copy of neutral text: byte for byte, so that positions stay."""
    return text.translate(_TABLE)
