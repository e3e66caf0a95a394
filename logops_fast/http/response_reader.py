"""Reads the answers of an HTTP/1.1 server from bytes.

``ResponseReader`` is sans-I/O: bytes in, at most one answer out, the same whatever way the bytes were split. llhttp
parses each head block, which has been bounded before it sees it; the framing of the body is decided here (RFC 9112,
6.3), and only chunked bodies go on through llhttp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import httptools

from logops_fast.errors import LogOpsError

MAX_HEAD: Final = 16_384
"""Bytes of status line and header fields of one answer, blank line included."""
MAX_BODY: Final = 16_777_216
"""Bytes of body of one answer, unless the pool sets another bound."""
MAX_INTERIM: Final = 16
"""1xx answers taken before the final one."""

_HEAD_END: Final = b"\r\n\r\n"
_VERSIONS: Final = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_VERSION_LENGTH: Final = 9

_HEAD, _FIXED, _CHUNKED, _UNTIL_CLOSE, _DONE = range(5)

ErrorKind = Literal["connect", "connect_timeout", "read_timeout", "closed", "protocol", "too_large", "pool_full"]


class ClientResponse(NamedTuple):
    """A complete answer. Header names are lower case; fields of one name are joined by ``", "``."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class ClientError(LogOpsError):
    """An exchange without an answer.

    ``kind``: ``connect`` (refused, unreachable, bad name or certificate), ``connect_timeout`` (also: no connection
    became free in time), ``read_timeout``, ``closed`` (by the peer before the answer was complete, which on a reused
    connection may mean that it never saw the request; or the pool was closed), ``protocol`` (not an HTTP/1 answer),
    ``too_large`` (head or body over its bound), ``pool_full`` (the pool's queue is at its bound).
    ``sent`` is false if no byte of the request was passed to the transport: such a request had no effect.
    """

    def __init__(self, kind: ErrorKind, detail: str, *, sent: bool) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind: Final = kind
        self.detail: Final = detail
        self.sent: Final = sent


OnResponse = Callable[[ClientResponse | ClientError], None]


class ResponseReader:
    """Reads one answer after another from the bytes of a connection.

    ``expect`` before each; then ``feed`` until it gives the answer. After that ``keep_alive`` says whether the
    connection may carry another exchange. Raises ``ClientError`` (``protocol``, ``too_large``, ``closed``).
    """

    __slots__ = (
        "_bare", "_body_bytes", "_buffer", "_headers", "_interim", "_max_body", "_missing",
        "_parser", "_pieces", "_state", "_status", "_wire_left", "keep_alive",
    )  # fmt: skip

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        self._state = _DONE
        self._buffer = b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._parser: httptools.HttpResponseParser | None = None
        self._status = 0
        self._interim = 0
        self._missing = 0
        self._body_bytes = 0
        self._wire_left = 0
        self._bare = False
        self.keep_alive = False

    def expect(self, *, bare: bool = False) -> None:
        """A request goes out now; ``bare`` where its answer has no body whatever its fields say (HEAD)."""
        self._state = _HEAD
        self._bare = bare
        self._interim = 0
        self.keep_alive = False

    def feed(self, data: bytes) -> ClientResponse | None:
        """Take the next bytes; return the answer once it is complete. Bytes after its end clear ``keep_alive``."""
        state = self._state
        if state == _HEAD:
            return self._feed_head(data)
        if state == _FIXED:
            return self._feed_fixed(data)
        if state == _CHUNKED:
            return self._feed_chunked(data)
        if state == _UNTIL_CLOSE:
            self._keep_piece(data)
            return None
        raise ClientError("protocol", "bytes came that belong to no request", sent=True)

    def eof(self) -> ClientResponse:
        """The peer has closed: the answer, where that is how its body ends."""
        if self._state == _UNTIL_CLOSE:
            return self._answer(b"".join(self._pieces))
        where = "before it answered"
        if self._state != _HEAD:
            where = "in the middle of the answer's body"
        elif self._buffer:
            where = "in the middle of the answer's head"
        raise ClientError("closed", f"the peer closed the connection {where}", sent=True)

    def release(self) -> None:
        """Drop what is held of an unfinished answer (the parser and this object refer to each other)."""
        self._parser = None
        self._pieces = []
        self._buffer = b""
        self._state = _DONE

    # ------------------------------------------------------------------------------------------------------------ head

    def _feed_head(self, data: bytes) -> ClientResponse | None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(_HEAD_END, 0, MAX_HEAD) + 4
            if end == 3:
                self._keep_partial_head(data)
                return None
            self._parse_head(data[:end])
            if self._status >= 200:
                break
            self._interim += 1
            if self._interim > MAX_INTERIM or self._status == 101:
                raise ClientError("protocol", f"unexpected interim answer {self._status}", sent=True)
            data = data[end:]
            if not data:
                return None
        return self._begin_body(data, end)

    def _keep_partial_head(self, data: bytes) -> None:
        if len(data) >= _VERSION_LENGTH and not data.startswith(_VERSIONS):
            raise ClientError("protocol", "the peer does not speak HTTP/1", sent=True)
        if len(data) >= MAX_HEAD:
            raise ClientError("too_large", f"the answer's head is over {MAX_HEAD} bytes", sent=True)
        self._buffer = data

    def _parse_head(self, block: bytes) -> None:
        # llhttp also takes HTTP/0.9 and 2.0, RTSP, and leading blank lines.
        if not block.startswith(_VERSIONS):
            raise ClientError("protocol", "the peer does not speak HTTP/1", sent=True)
        self._headers = {}
        # One parser a head, as on the server's side: 0.1 us more than a lasting one, and no state of an earlier answer.
        self._parser = parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(block)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ClientError("protocol", f"malformed answer: {_reason(error)}", sent=True) from None
        self._status = status = parser.get_status_code()
        if not 100 <= status <= 599:
            raise ClientError("protocol", "malformed answer: status code out of range", sent=True)

    def _begin_body(self, data: bytes, start: int) -> ClientResponse | None:
        headers = self._headers
        self._body_bytes = 0
        old = data.startswith(b"HTTP/1.0")
        connection = headers.get(b"connection")
        # "close" anywhere in the field is enough: an error to this side costs one connection.
        self.keep_alive = not old and (connection is None or b"close" not in connection.lower())
        if self._bare or self._status in (204, 304):
            if len(data) > start:
                self.keep_alive = False
            return self._answer(b"")
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            # RFC 9112, 6.1: chunked is the only coding a request allows, and in HTTP/1.0 the framing is faulty.
            if old or coding.lower() != b"chunked" or b"content-length" in headers:
                raise ClientError("protocol", "malformed answer: unusable Transfer-Encoding", sent=True)
            self._state = _CHUNKED
            # Chunk sizes, extensions and trailers pass without a callback: what they cost is bounded on the wire.
            self._wire_left = 2 * self._max_body + MAX_HEAD
            return self._feed_chunked(data[start:]) if len(data) > start else None
        length = headers.get(b"content-length")
        if length is None:
            self.keep_alive = False
            self._state = _UNTIL_CLOSE
            if len(data) > start:
                self._keep_piece(data[start:])
            return None
        size = int(length)  # llhttp let digits through only, and no more than fit 64 bits
        if size > self._max_body:
            raise self._body_too_large()
        end = start + size
        if len(data) >= end:
            if len(data) > end:
                self.keep_alive = False
            return self._answer(data[start:end])
        self._state = _FIXED
        self._missing = end - len(data)
        self._pieces = [data[start:]]
        return None

    # ------------------------------------------------------------------------------------------------------------ body

    def _feed_fixed(self, data: bytes) -> ClientResponse | None:
        missing = self._missing
        if len(data) < missing:
            self._missing = missing - len(data)
            self._pieces.append(data)
            return None
        if len(data) > missing:
            self.keep_alive = False
            data = data[:missing]
        self._pieces.append(data)
        return self._answer(b"".join(self._pieces))

    def _feed_chunked(self, data: bytes) -> ClientResponse | None:
        self._wire_left -= len(data)
        if self._wire_left < 0:
            raise self._body_too_large()
        parser = self._parser
        if parser is None:
            raise RuntimeError("no answer is being read")
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # After the end llhttp looks for another answer: whatever follows, this one is complete.
            if self._state != _DONE:
                raise ClientError("protocol", f"malformed answer: {_reason(error)}", sent=True) from None
            self.keep_alive = False
        if self._body_bytes > self._max_body:
            raise self._body_too_large()
        return self._answer(b"".join(self._pieces)) if self._state == _DONE else None

    def _keep_piece(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._max_body:
            raise self._body_too_large()
        self._pieces.append(data)

    def _body_too_large(self) -> ClientError:
        return ClientError("too_large", f"the answer's body is over {self._max_body} bytes", sent=True)

    def _answer(self, body: bytes) -> ClientResponse:
        response = ClientResponse(self._status, self._headers, body)
        self._state = _DONE
        self._parser = None
        self._pieces = []
        return response

    # ------------------------------------------------------------------------------------------------ llhttp callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer field, which is dropped."""
        if self._state != _HEAD:
            return
        name = name.lower()
        value = value.rstrip(b" \t")  # llhttp leaves it on (RFC 9112, 5.1: not part of the value)
        headers = self._headers
        headers[name] = value if name not in headers else headers[name] + b", " + value

    def on_body(self, data: bytes) -> None:
        """A piece of a chunked body."""
        if self._state != _CHUNKED:
            return
        self._body_bytes += len(data)
        if self._body_bytes <= self._max_body:
            self._pieces.append(data)

    def on_message_begin(self) -> None:
        """The start of an answer; one that follows a chunked answer was not requested."""
        if self._state == _DONE:
            self.keep_alive = False

    def on_message_complete(self) -> None:
        """The end of a chunked answer, or of a head that has no body."""
        if self._state == _CHUNKED:
            self._state = _DONE


def _reason(error: Exception) -> str:
    """llhttp's own words: they are fixed texts and quote nothing of the peer's."""
    return str(error) if isinstance(error, httptools.HttpParserError) else "upgrade"
