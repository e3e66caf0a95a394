"""Walks from one rare byte to the next: `find` runs at the speed of memory, a pattern at a byte a cycle.

So do `replace` and `in`; `split` and `count` of a byte take 6 us of 23 kB, even if it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_NEAR: Final = 48  # bytes: where signs are as close as that, the pattern walks faster than Python
_FEW: Final = 8
_RUN: Final = 16  # signs in a row, of which only the last may begin a match: to try each takes 55 ns


def places(text: bytes, sign: bytes, pattern: re.Pattern[bytes]) -> list[int]:
    """Where ``pattern`` matches, which begins with the byte ``sign``, has no other and looks at nothing before it.

    It matches nothing at a sign that another follows, or the end, and looks no further than the next sign.
    """
    found: list[int] = []
    at = text.find(sign)
    while at >= 0:
        if pattern.match(text, at) is not None:
            found.append(at)
        following = text.find(sign, at + 1)
        if 0 <= following < at + _NEAR:
            found += _near(text, sign, pattern, following)
            break
        at = following
    return found


def search(pattern: re.Pattern[bytes], sign: int, text: bytes) -> re.Match[bytes] | None:
    """As ``pattern.search``, of a pattern that begins with the byte ``sign`` and has no other, in a large text.

    What is rare costs nothing for the bytes between.
    """
    at = text.find(sign)
    for _ in range(_FEW):
        if at < 0:
            return None
        found = pattern.match(text, at)
        if found is not None:
            return found
        at = text.find(sign, at + 1)
    return pattern.search(text, at) if at >= 0 else None


def newlines(text: bytes, start: int, end: int) -> int:
    """The number of newlines from ``start`` to ``end``."""
    if end <= start:  # mypyc's slices cannot be of less than nothing
        return 0
    part = text[start:end]
    return len(part) - len(part.replace(b"\n", b""))


def rows_of(text: bytes, places: list[int]) -> list[int]:
    """The numbers of the rows that the places are in, in order, each once."""
    places.sort()
    rows: list[int] = []
    row = at = 0
    for place in places:
        more = newlines(text, at, place)
        row += more
        at = place
        if more or not rows:
            rows.append(row)
    return rows


def row_spans(text: bytes, rows: Sequence[int]) -> list[tuple[int, int]]:
    """Where each of the rows, in order, begins and ends; the newline after it is left out."""
    spans: list[tuple[int, int]] = []
    at = row = 0
    for wanted in rows:
        while row < wanted:
            at = text.find(b"\n", at) + 1
            row += 1
        end = text.find(b"\n", at)
        spans.append((at, end if end >= 0 else len(text)))
    return spans


def _near(text: bytes, sign: bytes, pattern: re.Pattern[bytes], at: int) -> list[int]:
    """Where the pattern matches from ``at`` on, in a text of signs that are close to each other."""
    found: list[int] = []
    run = sign * _RUN
    while True:
        begun = text.find(run, at)
        if begun < 0:
            return found + [match.start() for match in pattern.finditer(text, at)]
        found += [match.start() for match in pattern.finditer(text, at, begun + 1)]
        at = begun
        while text.startswith(run, at):
            at += _RUN
        at -= 1  # the last of them
