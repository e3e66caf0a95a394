"""What a line is, for every format that has lines: ended by LF, blank if it holds nothing but ASCII white space.

Octet-counted frames (RFC 6587, 3.4.1) are lines too, if a body begins with one: ``LENGTH SP MSG``; a message may
hold newlines. A count is believed only if a line's end, the body's end or another frame follows.
"""

from __future__ import annotations

import re
from typing import Final

BOM: Final = b"\xef\xbb\xbf"  # UTF-8 byte order mark; Windows tools write it, RFC 8259 (8.1) lets readers ignore it
BLANKS: Final = " \t\r\x0b\x0c"  # with LF what bytes.isspace() takes: lines count the same before and after decoding

_FRAME: Final = re.compile(rb"(\d{1,6}) (?=<\d{1,3}>)")
_DIGITS: Final = b"0123456789"


def without_bom(body: bytes) -> bytes:
    """Return the body without a leading byte order mark."""
    return body[3:] if body.startswith(BOM) else body


def is_blank(body: bytes) -> bool:
    """Return whether the body holds nothing but ASCII white space."""
    return not body or body.isspace()


def count_filled(body: bytes) -> int:
    """Return the number of lines that are not blank."""
    return len(list(filter(None, map(bytes.strip, body.split(b"\n")))))


def may_be_framed(body: bytes) -> bool:
    """Return whether the body may begin with an octet-counted frame; costs nothing."""
    return body[:1] in _DIGITS and body[1:8].find(b"<") > 0 if body else False


def frames(body: bytes) -> list[bytes] | None:
    """Return the frames and lines of a body that begins with an octet-counted frame; None for any other body.

    The count and what ends a frame (CR, LF, NUL) are removed. Blank lines between frames are left out.
    """
    if not may_be_framed(body) or _frame_end(body, 0) is None:
        return None
    parts: list[bytes] = []
    position = 0
    while position < len(body):
        frame = _frame_end(body, position)
        if frame is not None:
            start, end = frame
            parts.append(body[start:end].rstrip(b"\r\n\0"))
            position = end + 1 if body[end : end + 1] == b"\0" else end
            continue
        newline = body.find(b"\n", position)
        end = newline if newline >= 0 else len(body)
        line = body[position:end]
        if line.strip():
            parts.append(line)
        position = end + 1
    return parts


def _frame_end(body: bytes, position: int) -> tuple[int, int] | None:
    """Return where a frame's message begins and ends, or None if there is no trustworthy frame."""
    head = _FRAME.match(body, position)
    if head is None:
        return None
    start = head.end()
    end = start + int(head[1])
    if end == start or end > len(body):
        return None
    if end == len(body) or body[end : end + 1] in (b"\n", b"\r", b"\0") or body[end - 1 : end] == b"\n":
        return start, end
    return (start, end) if _FRAME.match(body, end) is not None else None
