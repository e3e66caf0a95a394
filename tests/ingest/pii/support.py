"""Steps of the tests of the masks."""

from __future__ import annotations

from collections.abc import Iterable

from logops_fast.ingest.pii.cuts import Cut


def cut(text: bytes, cuts: Iterable[Cut]) -> bytes:
    """Return the text with each cut's mask in its place."""
    parts, at = [], 0
    for start, end, mask in cuts:
        parts += [text[at:start], mask]
        at = end
    return b"".join([*parts, text[at:]])
