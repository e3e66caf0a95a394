"""A connection without a socket: a transport that records, a clock turned by hand, an application that echoes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from logops_fast.http.budget import Budget
from logops_fast.http.connection import Connection
from logops_fast.http.exchange import Application, Request, Response
from logops_fast.http.limits import HttpLimits
from logops_fast.http.refusal import Refusal
from logops_fast.http.server import HttpServer

SINGLE = frozenset({b"x-signature", b"x-api-key"})


class Echo:
    """Answers each request with what it understood of it; records every call."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.aborts: list[str] = []
        self.refusals: list[Refusal] = []

    def handle(self, request: Request) -> None:
        self.requests.append(request)
        request.accept_body(Collector(self, request))

    def refused(self, refusal: Refusal, peer: str) -> None:
        assert peer
        self.refusals.append(refusal)

    def answer(self, request: Request, body: bytes) -> None:
        summary = {"method": request.method, "target": request.target.decode("latin-1"), "body": body.decode("latin-1")}
        request.respond(Response(200, orjson.dumps(summary)))


class Collector:
    """The body in one piece, then Echo's answer."""

    def __init__(self, app: Echo, request: Request) -> None:
        self.app = app
        self.request = request
        self.pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        assert data
        self.pieces.append(data)

    def end(self) -> None:
        body = b"".join(self.pieces)
        self.app.bodies.append(body)
        self.app.answer(self.request, body)

    def abort(self, reason: str) -> None:
        self.app.aborts.append(reason)


class Parked(Echo):
    """Does nothing with a request until the test does."""

    def handle(self, request: Request) -> None:
        self.requests.append(request)


class Failing(Echo):
    """Raises where the test says."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def handle(self, request: Request) -> None:
        self.requests.append(request)
        if self.where == "after answer":
            request.respond(Response(200, b"{}"))
        if self.where in ("handle", "after answer"):
            raise LookupError(self.where)
        request.accept_body(self)

    def feed(self, data: bytes) -> None:
        if self.where == "feed":
            raise LookupError("feed")

    def end(self) -> None:
        raise LookupError("end")

    def abort(self, reason: str) -> None:
        self.aborts.append(reason)


class FakeTransport(asyncio.Transport):
    """Records what the protocol does to it; takes no more than a real one would."""

    def __init__(self, extra: dict[str, Any]) -> None:
        super().__init__(extra)
        self.written = bytearray()
        self.writes = 0
        self.eof_written = False
        self.closed = False
        self.aborted = False
        self.reading = True
        self.unread_by_peer = 0

    def write(self, data: Any) -> None:
        assert not self.closed
        assert not self.eof_written
        self.writes += 1
        self.written += data

    def write_eof(self) -> None:
        assert not self.closed
        assert not self.eof_written
        self.eof_written = True

    def can_write_eof(self) -> bool:
        return self.get_extra_info("ssl_object") is None

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unread_by_peer

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high


class Wire:
    """One connection as its client and its event loop see it."""

    def __init__(
        self,
        app: Echo | None = None,
        limits: HttpLimits | None = None,
        *,
        server: HttpServer | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.now = 1000.0
        if server is None:
            server = make_server(app or Echo(), limits, lambda: self.now)
        self.server = server
        self.app = server.app
        self.transport = FakeTransport({"peername": ("192.0.2.7", 5000), **(extra or {})})
        self.scheduled: list[Callable[[], None]] = []
        server._context.call_soon = self.scheduled.append
        self.connection: Connection = server.connection()
        self.connection.connection_made(self.transport)
        self._lost = False

    def send(self, data: bytes) -> Wire:
        """As a loop would: nothing once the transport is closed."""
        if not self.transport.closed:
            assert self.transport.reading
            self.connection.data_received(data)
        self.settle()
        return self.turn()

    def turn(self) -> Wire:
        """The loop's next turn."""
        scheduled, self.scheduled[:] = self.scheduled[:], []
        for callback in scheduled:
            callback()
        return self

    def send_each(self, pieces: Iterable[bytes]) -> Wire:
        for piece in pieces:
            self.send(piece)
        return self

    def send_bytewise(self, data: bytes) -> Wire:
        return self.send_each(data[i : i + 1] for i in range(len(data)))

    def eof(self) -> Wire:
        if not self.connection.eof_received():
            self.transport.close()
        return self.settle()

    def lose(self) -> Wire:
        self.transport.closed = True
        return self.settle()

    def settle(self) -> Wire:
        if self.transport.closed and not self._lost:
            self._lost = True
            self.connection.connection_lost(None)
        return self

    def advance(self, seconds: float) -> Wire:
        """Lets time pass, with the server's sweep each second."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1)
            self.server.sweep()
            self.settle()
        return self

    @property
    def output(self) -> bytes:
        return mask_date(bytes(self.transport.written))

    @property
    def answers(self) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        return read_answers(bytes(self.transport.written))

    @property
    def statuses(self) -> list[int]:
        return [status for status, _, _ in self.answers]

    @property
    def fate(self) -> str:
        """open, ending (last answer given, waits for the peer to hang up), closed, or aborted."""
        if self.transport.aborted:
            return "aborted"
        if self.transport.closed:
            return "closed"
        return "ending" if self.transport.eof_written else "open"


def make_server(
    app: Application, limits: HttpLimits | None = None, clock: Callable[[], float] | None = None, **more: Any
) -> HttpServer:
    limits = limits or HttpLimits()
    return HttpServer(app, limits, more.pop("budget", None) or Budget(limits), single=SINGLE, clock=clock, **more)


def mask_date(data: bytes) -> bytes:
    return re.sub(rb"\r\ndate: [^\r]+", b"\r\ndate: *", data)


def read_answers(data: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """The answers in ``data``, by a reader of its own; HEAD's are not for it."""
    answers = []
    while data:
        head, separator, data = data.partition(b"\r\n\r\n")
        assert separator
        line, *fields = head.split(b"\r\n")
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = dict(field.split(b": ", 1) for field in fields)
        assert len(headers) == len(fields)
        length = int(headers.get(b"content-length", b"0"))
        assert len(data) >= length
        answers.append((int(status), headers, data[:length]))
        data = data[length:]
    return answers


def post(body: bytes = b"", *fields: bytes, line: bytes = b"POST /v1/logs HTTP/1.1", length: bool = True) -> bytes:
    """A request with ``fields`` such as ``b"Name: value"``."""
    head = [line, b"Host: logs.example", *fields]
    if length:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", body])


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", fields: tuple[bytes, ...] = ()) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    return post(body, b"Transfer-Encoding: chunked", *fields, length=False)
