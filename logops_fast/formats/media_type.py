"""Content-Type to body format (SPEC 2)."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Format(Enum):
    """The body formats that can be parsed."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PLAIN = "plain"

    @property
    def label(self) -> str:
        """The format's name as a metric label."""
        return self.value


_FORMATS: Final[dict[bytes, Format]] = {
    b"": Format.JSON,  # no Content-Type, or an empty one, means JSON
    b"application/json": Format.JSON,
    b"application/x-ndjson": Format.NDJSON,
    b"application/ndjson": Format.NDJSON,
    b"application/jsonl": Format.NDJSON,
    b"text/csv": Format.CSV,
    b"text/plain": Format.PLAIN,
}


def format_of(content_type: bytes | None) -> Format | None:
    """The format a Content-Type names, or None where it names no known one (415).

    Case and parameters (``; charset=...``) make no difference (RFC 9110, 8.3.1); absent means JSON.
    """
    if content_type is None:
        return Format.JSON
    # The bare lower-case names that nearly every client sends are answered by one lookup.
    known = _FORMATS.get(content_type)
    if known is None:
        known = _FORMATS.get(content_type.split(b";", 1)[0].strip().lower())
    return known
