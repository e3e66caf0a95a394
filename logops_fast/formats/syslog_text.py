"""The body that the syslog listener makes of many senders' messages (``Format.SYSLOG``).

Messages are lines, as in plain text. A NUL separates what must not be read together: a continuation line belongs to
what its own sender wrote before. A part that begins with an octet count (``LENGTH SP MSG LF``) has nothing but such
frames: their messages hold newlines, and begin with a priority.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from logops_fast.formats.lines import count_filled, is_blank

SEPARATOR: Final = b"\0"

_COUNT: Final = re.compile(rb"([1-9][0-9]{0,5}) (?=<)")
_LONGEST: Final = 999_999
_PRI: Final = re.compile(rb"<[0-9]{1,3}>")
_NO_PRI: Final = b"<13>"
"""RFC 3164, 4.3.3: the priority that a relay gives to a message without one."""


def counted(message: bytes) -> bytes:
    """Return a message as an octet-counted frame; a NUL in it is written as rsyslog writes it, ``#000``.

    One that is too long for six digits becomes a line, its newlines written as ``#012``.
    """
    if message.find(SEPARATOR) >= 0:
        message = message.replace(SEPARATOR, b"#000")
    if _PRI.match(message) is None:
        message = _NO_PRI + message
    if len(message) > _LONGEST:
        return message.replace(b"\n", b"#012") + b"\n"
    return b"%d %b\n" % (len(message), message)


def joined(texts: Iterable[bytes]) -> bytes:
    """Return the body of texts, each of one sender: lines, or counted frames."""
    parts: list[bytes] = []
    counted_before = False
    for text in texts:
        # A line that begins with a priority is a message of its own, whatever the line before it was.
        if parts and (text[:1] != b"<" or counted_before):
            parts.append(SEPARATOR)
        parts.append(text)
        counted_before = _COUNT.match(text) is not None
    return b"".join(parts)


def parts_of(body: bytes) -> list[bytes]:
    """Return the parts of a body that are not blank."""
    return [part for part in body.split(SEPARATOR) if not is_blank(part)]


def messages(part: bytes) -> list[bytes] | None:
    """Return the messages of a part of octet-counted frames, None if it is one of lines. What is no frame is a line."""
    frame = _frame_end(part, 0)
    if frame is None:
        return None
    found: list[bytes] = []
    position = 0
    while frame is not None:
        start, end = frame
        found.append(part[start:end])
        position = end + 1
        frame = _frame_end(part, position)
    found += [line for line in part[position:].split(b"\n") if not is_blank(line)]
    return found


def _frame_end(part: bytes, position: int) -> tuple[int, int] | None:
    """Return where the message of the frame at ``position`` begins and ends, None if there is no whole frame."""
    length = _COUNT.match(part, position)
    if length is None:
        return None
    end = length.end() + int(length[1])
    return (length.end(), end) if part[end : end + 1] == b"\n" else None


def count(body: bytes) -> int:
    """Return the number of messages."""
    if body.find(SEPARATOR) < 0 and _COUNT.match(body) is None:
        return count_filled(body)
    total = 0
    for part in parts_of(body):
        found = messages(part)
        total += count_filled(part) if found is None else len(found)
    return total
