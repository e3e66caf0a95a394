"""The admin listener: /healthz, /readyz and /metrics, answered by the supervisor on its own selector.

It has to answer while every worker is busy, full of connections or stuck in a write, and the process that answers forks
workers. So there is no thread and no event loop: non-blocking sockets on the supervisor's selector, and one request a
connection. The heads are parsed by the gateways' own strict parser; a body is never read.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from logops_fast.http.exchange import Application, BodyConsumer, Request, Response, render
from logops_fast.http.head import HeadError, parse_head, scan_head
from logops_fast.http.limits import HttpLimits

MAX_CONNECTIONS: Final = 64
DEADLINE: Final = 10.0
"""Seconds that a connection may last, from accept to close."""
_READ_BYTES: Final = 16_384
_HEAD_END: Final = b"\r\n\r\n"
_LIMITS: Final = HttpLimits()

Ready = Callable[[int], None]
"""Called by the supervisor's loop with the events of a file descriptor; it is the ``data`` of the selector's key."""


class AdminListener:
    """Accepts connections on ``listener``, which it owns, and has ``app`` answer them."""

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        app: Application,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._connections: dict[_Connection, None] = {}  # a dict because it keeps the order of arrival
        self.app = app
        self.clock = clock
        self.wall = wall
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def __repr__(self) -> str:
        return f"<AdminListener {self._listener.getsockname()} connections={len(self._connections)}>"

    def sweep(self) -> None:
        """Close connections past their deadline. Call it at every tick."""
        now = self.clock()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.close()

    def close(self) -> None:
        """Close the listener and all connections."""
        for connection in [*self._connections]:
            connection.close()
        self._selector.unregister(self._listener)
        self._listener.close()

    def close_in_child(self) -> None:
        """Close the descriptors of a forked child; the supervisor's selector is left alone."""
        for connection in self._connections:
            connection.sock.close()
        self._listener.close()

    def _accept(self, _events: int) -> None:
        try:
            sock, address = self._listener.accept()
        except OSError:  # the client is gone already, or there is no descriptor left: the next tick retries
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            next(iter(self._connections)).close()
        sock.setblocking(False)
        connection = _Connection(self, self._selector, sock, str(address[0]))
        self._connections[connection] = None

    def forget(self, connection: _Connection) -> None:
        """Called by a connection that has closed."""
        self._connections.pop(connection, None)


class _Connection:
    """One request, its answer, and the end: reading, then writing, then waiting for the client to close.

    It is the ``Exchange`` of its request.
    """

    def __init__(
        self, listener: AdminListener, selector: selectors.BaseSelector, sock: socket.socket, peer: str
    ) -> None:
        self.sock = sock
        self.deadline = listener.clock() + DEADLINE
        self._listener = listener
        self._selector = selector
        self._peer = peer
        self._received = b""
        self._unsent = b""
        self._answered = False
        self._closed = False
        selector.register(sock, selectors.EVENT_READ, self._ready)

    def answer(self, request: Request, response: Response) -> None:
        """Send the response and end the connection."""
        request.answered = True
        self._send(response, head_only=request.method == "HEAD", version=request.version)

    def take_body(self, request: Request, consumer: BodyConsumer) -> None:  # noqa: ARG002
        """Bodies are not read here: no path of the admin listener takes one."""
        consumer.abort("closed")

    def is_private(self, request: Request) -> bool:  # noqa: ARG002
        """Nothing here depends on it: no path of the admin listener takes credentials."""
        return False

    def close(self) -> None:
        """Close the socket."""
        if not self._closed:
            self._closed = True
            self._selector.unregister(self.sock)
            self.sock.close()
            self._listener.forget(self)

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._write()
        elif events & selectors.EVENT_READ:
            self._read()

    def _read(self) -> None:
        try:
            data = self.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif not self._answered:  # what comes after the request is read and dropped, so that closing sends no reset
            self._received += data
            self._parse()

    def _parse(self) -> None:
        end = self._received.find(_HEAD_END)
        if end < 0:
            refusal = scan_head(self._received, _LIMITS)
            if refusal is not None:
                self._send(Response.of(refusal), head_only=False, version="1.1")
            return
        try:
            head = parse_head(self._received[: end + len(_HEAD_END)], _LIMITS)
        except HeadError as error:
            self._send(Response.of(error.refusal), head_only=False, version="1.1")
            return
        self._listener.app.handle(Request(head, self._peer, self._listener.clock(), self))

    def _send(self, response: Response, *, head_only: bool, version: str) -> None:
        self._answered = True
        date = f"date: {formatdate(self._listener.wall(), usegmt=True)}\r\n".encode()
        self._unsent = render(response, date, head_only=head_only, version=version, close=True)
        self._write()

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._unsent:
            self._selector.modify(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, self._ready)
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._selector.modify(self.sock, selectors.EVENT_READ, self._ready)
