"""What a line is, for every format that has lines: ended by LF, blank where only ASCII white space stands in it."""

from __future__ import annotations

from typing import Final

BOM: Final = b"\xef\xbb\xbf"  # UTF-8 byte order mark; Windows tools write it, RFC 8259 (8.1) lets readers ignore it
BLANKS: Final = " \t\r\x0b\x0c"  # with LF what bytes.isspace() takes: lines count the same before and after decoding


def without_bom(body: bytes) -> bytes:
    """The body without a leading byte order mark."""
    return body[3:] if body.startswith(BOM) else body


def is_blank(body: bytes) -> bool:
    """Whether nothing but ASCII white space stands in it."""
    return not body or body.isspace()


def count_filled(body: bytes) -> int:
    """The number of lines that are not blank."""
    return len(list(filter(None, map(bytes.strip, body.split(b"\n")))))
