"""Splits the bytes of a syslog connection into messages (RFC 6587), and takes one from a datagram (RFC 5426).

Pure: bytes in, segments out, and the same messages however the bytes were split. How a frame is delimited shows in its
first bytes, frame by frame, since relays mix both: one to six digits, a blank and ``<`` are an octet count (3.4.1),
anything else ends at a newline or a NUL (3.4.2). A message longer than the limit is cut to one byte more, by
which the pipeline sees that it is too large; the rest of it is dropped as it arrives.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from logops_fast.formats.syslog_text import counted

MAX_LINES: Final = 1000
"""Most messages of a segment."""

_COUNT: Final = re.compile(rb"([1-9][0-9]{0,5}) (?=<)")
# The alternatives are tried apart: with a literal first byte a pattern is found 50 times faster.
_COUNT_AFTER_LINE: Final = re.compile(rb"\n[1-9][0-9]{0,5} <")
_END: Final = re.compile(rb"[\n\0]")
_DECIDED: Final = 8  # bytes after which it is known whether a frame begins with a count: six digits, a blank, <
_LINE_ENDS: Final = b"\r\n\0"
_BLANKS: Final = b" \t\r\n\x0b\x0c\0"


class Segment(NamedTuple):
    """Messages of one sender in order: lines or counted frames of a ``Format.SYSLOG`` body, and their number."""

    text: bytes
    lines: int


class Framer:
    """The frames of one connection. A message has at most ``limit`` bytes."""

    __slots__ = ("_limit", "_need", "_rest", "_skip", "_skip_line")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()  # the beginning of a frame that is not complete
        self._need = 0  # bytes of it that must have arrived before it is looked at again
        self._skip = 0  # bytes left to drop of a counted frame that is too long
        self._skip_line = False  # the rest of a line that is too long is dropped

    @property
    def unfinished(self) -> int:
        """Bytes held of a frame that is not complete: ``limit`` and a few at most."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Segment]:
        """Return the messages that are complete with ``data``."""
        if self._skip or self._skip_line:
            data = self._dropped(data)
        rest = self._rest
        if rest:
            if len(rest) + len(data) < self._need:
                rest += data
                return []
            # Of a line that grows only what is new can end it.
            if not self._need and len(rest) >= _DECIDED and _END.search(data) is None:
                rest += data
                return self._cut()
            rest += data
            data = bytes(rest)
            rest.clear()
            self._need = 0
        if not data:
            return []
        if _COUNT.match(data) or data.find(b"\0") >= 0 or _COUNT_AFTER_LINE.search(data) or self._has_long_line(data):
            segments = self._frames(data)
        else:
            end = data.rfind(b"\n") + 1
            rest += data[end:]
            segments = _lines(data[:end])
        return segments + self._cut() if rest else segments

    def finish(self) -> list[Segment]:
        """Return what the connection ended with: a line without its end, or as much of a counted frame as came."""
        rest = bytes(self._rest)
        self._rest.clear()
        count = _COUNT.match(rest)
        message = rest[count.end() :].rstrip(_LINE_ENDS) if count else rest
        return _segments([message[: self._limit + 1]])

    def _dropped(self, data: bytes) -> bytes:
        """Drop the rest of a message that is too long; return what follows it."""
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            return data[dropped:]
        end = _END.search(data)
        if end is None:
            return b""
        self._skip_line = False
        return data[end.end() :]

    def _has_long_line(self, data: bytes) -> bool:
        """Whether a complete line is over the limit; looks at as few newlines as it can."""
        limit, last = self._limit, data.rfind(b"\n")
        position = 0
        while last - position > limit:
            end = data.rfind(b"\n", position, position + limit + 1)
            if end < 0:
                return True
            position = end + 1
        return False

    def _cut(self) -> list[Segment]:
        """Return the beginning of an incomplete line that is over the limit, whose rest is dropped from now on."""
        if self._need or len(self._rest) <= self._limit + _DECIDED:
            return []
        line = bytes(self._rest[: self._limit + 1])
        self._rest.clear()
        self._skip_line = True
        return _segments([line])

    def _frames(self, data: bytes) -> list[Segment]:
        """Frames of any kind, one after another."""
        frames: list[bytes] = []
        limit = self._limit
        position, size = 0, len(data)
        while position < size:
            count = _COUNT.match(data, position)
            if count is None:
                found = _END.search(data, position)
                if found is None:
                    break
                frames.append(data[position : min(found.start(), position + limit + 1)])
                position = found.end()
                continue
            start = count.end()
            length = int(count[1])
            kept = min(length, limit + 1)
            if start + kept > size:
                self._need = start + kept - position
                break
            # rsyslog counts the newline that its templates end in.
            frames.append(data[start : start + kept].rstrip(_LINE_ENDS))
            position = start + length
        if position < size:
            self._rest += data[position:]
        else:
            self._skip = position - size
        return _segments(frames)


def datagram(data: bytes, limit: int) -> Segment | None:
    """Return the message of a datagram, None if there is none in it. Newlines in it are part of it (RFC 5426, 3.1)."""
    text = data.rstrip(_BLANKS)[: limit + 1]
    if not text:
        return None
    if text[:1] == b"<" and text.find(b"\n") < 0 and text.find(b"\0") < 0:
        return Segment(text + b"\n", 1)
    return Segment(counted(text), 1)


def _lines(text: bytes) -> list[Segment]:
    """Return the segments of complete lines."""
    lines = text.count(b"\n")
    if lines <= MAX_LINES:
        return [Segment(text, lines)] if lines else []
    segments = []
    start = 0
    while lines > MAX_LINES:
        end = start
        for _ in range(MAX_LINES):
            end = text.index(b"\n", end) + 1
        segments.append(Segment(text[start:end], MAX_LINES))
        start = end
        lines -= MAX_LINES
    segments.append(Segment(text[start:], lines))
    return segments


def _segments(frames: list[bytes]) -> list[Segment]:
    """Return the segments of messages; those without text are left out, those with newlines are counted frames."""
    frames = [frame for frame in frames if frame.strip(_BLANKS)]
    text = b"\n".join(frames)
    if text.count(b"\n") == len(frames) - 1 and text.find(b"\0") < 0:
        return _lines(text + b"\n")
    segments: list[Segment] = []
    plain: list[bytes] = []
    for frame in frames:
        if frame.find(b"\n") < 0 and frame.find(b"\0") < 0:
            plain.append(frame)
            continue
        if plain:
            segments += _lines(b"\n".join(plain) + b"\n")
            plain = []
        segments.append(Segment(counted(frame), 1))
    return segments + _lines(b"\n".join(plain) + b"\n") if plain else segments
