"""Body framing: which of the bytes after a head are its body. No I/O, no clock.

Both decoders work on the caller's buffer: ``feed(data, start, emit)`` takes body bytes from ``data[start:]``, hands
them to ``emit`` and returns the offset up to which ``data`` is used. What is left remains with the caller: the next
request once ``done``, else the start of a line (never more than ``ChunkedBody.LONGEST_REST`` bytes) which comes again
in front of the next bytes. Each feed emits at most once, so that tiny chunks do not become tiny objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from logops_fast.errors import LogOpsError
from logops_fast.http.head import bad_request
from logops_fast.http.refusal import Refusal

_LONGEST_SIZE_LINE: Final = 256  # bytes before the CRLF: 16 digits and an extension that is ignored
_FREE_FRAMING: Final = 4096  # bytes of framing that need no data to justify them
_LONGEST_TRAILERS: Final = 4096

# A size is hexadecimal digits and nothing else: no sign, 0x, underscore or space, each of which int() would take.
# A recipient must ignore extensions it does not know (RFC 9112, 7.1.1), so they are not refused; they begin
# right after the size and are printable ASCII, because a bare CR or LF there is what request smuggling is made of.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e]*)?\r\n")
_SIZE_LINE_BEGUN: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:;[\t\x20-\x7e]*)?\r?)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")

_BAD_SIZE: Final = bad_request("A chunk must begin with its size in 1 to 16 hexadecimal digits and CRLF.")
_BAD_END: Final = bad_request("The data of a chunk must end in CRLF, right where its size says.")
_BAD_TRAILER: Final = bad_request("A trailer after the last chunk must be 'name: value' and CRLF.")
_TRAILERS_TOO_LONG: Final = bad_request(f"The trailers are longer than {_LONGEST_TRAILERS} bytes.")
_TOO_MUCH_FRAMING: Final = bad_request("The chunks are so small that their sizes outweigh the data: send larger ones.")

Emit = Callable[[bytes], None]


class BodyError(LogOpsError):
    """Broken framing: where the next request would begin cannot be known, so the connection has to end."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class BodyDecoder(Protocol):
    """What the connection needs of a framing."""

    done: bool
    """The body's last byte has been taken."""

    def feed(self, data: bytes, start: int, emit: Emit) -> int:
        """Take what belongs to the body; return the offset of the first byte that is not used."""
        ...


class FixedBody:
    """A body of ``length`` bytes (Content-Length), at least 1. Bytes that are body and nothing else are not copied."""

    __slots__ = ("done", "remaining")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.done = False

    def feed(self, data: bytes, start: int, emit: Emit) -> int:
        """See the module."""
        end = start + self.remaining
        if end <= len(data):
            self.remaining = 0
            self.done = True
        else:
            end = len(data)
            self.remaining -= end - start
        if end > start:
            emit(data if end - start == len(data) else data[start:end])
        return end


class _Part(Enum):
    SIZE = 0
    DATA = 1
    DATA_END = 2
    TRAILERS = 3


class ChunkedBody:
    """A chunked body (RFC 9112, 7.1), strictly read; trailers are checked for their form and dropped.

    Framing may not outweigh data: past ``4 KiB + the bytes of data so far`` it is refused. One-byte chunks have five
    bytes of framing each, so a million of them end after about a thousand, and a body's size on the wire is at most
    twice its size plus 4 KiB. A sender that flushes every line stays far below (a 20-byte chunk has 6 of framing).

    Raises:
        BodyError: by ``feed``, after the data in front of the fault has been emitted, so that a limit which that data
            passes is found first whether or not the fault has arrived yet.
    """

    LONGEST_REST: Final = max(_LONGEST_SIZE_LINE + 1, _LONGEST_TRAILERS)

    __slots__ = ("_data", "_framing", "_part", "_remaining", "_trailers", "done")

    def __init__(self) -> None:
        self.done = False
        self._part = _Part.SIZE
        self._remaining = 0
        self._data = 0
        self._framing = 0
        self._trailers = 0

    def feed(self, data: bytes, start: int, emit: Emit) -> int:
        """See the module."""
        pieces: list[bytes] = []
        try:
            return self._take(data, start, pieces)
        finally:
            if pieces:
                emit(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _take(self, data: bytes, pos: int, pieces: list[bytes]) -> int:
        size = len(data)
        while pos < size:
            part = self._part
            if part is _Part.SIZE:
                match = _SIZE_LINE.match(data, pos, pos + _LONGEST_SIZE_LINE + 2)
                if match is None:
                    self._check_size_line_begun(data, pos)
                    return pos
                line_end = match.end()
                self._framing += line_end - pos + 2  # and the CRLF after the data
                if self._framing > _FREE_FRAMING + self._data:
                    raise BodyError(_TOO_MUCH_FRAMING)
                pos = line_end
                self._remaining = int(match[1], 16)
                self._part = _Part.DATA if self._remaining else _Part.TRAILERS
            elif part is _Part.DATA:
                end = min(pos + self._remaining, size)
                pieces.append(data[pos:end])
                self._remaining -= end - pos
                self._data += end - pos
                pos = end
                if not self._remaining:
                    self._part = _Part.DATA_END
            elif part is _Part.DATA_END:
                ending = data[pos : pos + 2]
                if ending != b"\r\n":
                    if ending != b"\r":
                        raise BodyError(_BAD_END)
                    return pos
                pos += 2
                self._part = _Part.SIZE
            else:
                return self._take_trailers(data, pos)
        return pos

    def _check_size_line_begun(self, data: bytes, pos: int) -> None:
        rest = data[pos : pos + _LONGEST_SIZE_LINE + 2]
        if len(rest) > _LONGEST_SIZE_LINE + 1 or not _SIZE_LINE_BEGUN.fullmatch(rest):
            raise BodyError(_BAD_SIZE)

    def _take_trailers(self, data: bytes, pos: int) -> int:
        while True:
            line_end = data.find(b"\r\n", pos, pos + _LONGEST_TRAILERS - self._trailers) + 2
            if line_end < 2:
                if len(data) - pos + self._trailers >= _LONGEST_TRAILERS:
                    raise BodyError(_TRAILERS_TOO_LONG)
                return pos
            self._trailers += line_end - pos
            if line_end == pos + 2:
                self.done = True
                return line_end
            if not _TRAILER_LINE.match(data, pos, line_end):
                raise BodyError(_BAD_TRAILER)
            pos = line_end
