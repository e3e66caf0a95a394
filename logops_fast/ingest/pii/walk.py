"""Walks from one rare byte to the next: `find` runs at the speed of memory, a pattern at a byte a cycle."""

from __future__ import annotations

import re
from typing import Final

_NEAR: Final = 48  # bytes: where signs are as close as that, the pattern walks faster than Python
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
