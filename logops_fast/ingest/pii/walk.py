"""Walks from one rare byte to the next: `find` runs at the speed of memory, a pattern at a byte a cycle."""

from __future__ import annotations

import re
from typing import Final

_NEAR: Final = 48  # bytes: where signs are as close as that, the pattern walks faster than Python


def places(text: bytes, sign: bytes, pattern: re.Pattern[bytes]) -> list[int]:
    """Where ``pattern`` matches, which begins with the byte ``sign``, has no other and looks at nothing before it."""
    found: list[int] = []
    at = text.find(sign)
    while at >= 0:
        if pattern.match(text, at) is not None:
            found.append(at)
        following = text.find(sign, at + 1)
        if 0 <= following < at + _NEAR:
            found += [match.start() for match in pattern.finditer(text, following)]
            break
        at = following
    return found
