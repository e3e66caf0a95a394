"""The listening side: sockets, the connections of each, their deadlines, and the way to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from logops_fast.http.budget import Budget
from logops_fast.http.connection import Connection
from logops_fast.http.exchange import Application
from logops_fast.http.head import SINGLE_FIELDS
from logops_fast.http.limits import HttpLimits

_BACKLOG: Final = 1024
# Connections over the cap that may at the same time be told so in words; more are cut without any.
_CROWD_ANSWERED: Final = 256
_TLS_SHUTDOWN_TIMEOUT: Final = 5.0
_ABORT_TIMEOUT: Final = 1.0  # seconds until transports that were cut have said so; a safety net for the way out


class HttpServer:
    """Serves one application on any number of sockets, on the running event loop (uvloop's or asyncio's).

    ``single`` are lower-case names of fields that must not come twice, besides HTTP's own. ``clock`` (default: the
    loop's) is read for deadlines and ``Request.received_at``, ``wall`` for the Date field. Deadlines are met up to
    ``sweep_interval`` seconds late.
    """

    def __init__(
        self,
        app: Application,
        limits: HttpLimits,
        budget: Budget,
        *,
        single: frozenset[bytes] = frozenset(),
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] | None = None,
        wall: Callable[[], float] = time.time,
        sweep_interval: float = 1.0,
    ) -> None:
        self.app = app
        self.limits = limits
        self.budget = budget
        self.single = SINGLE_FIELDS | single
        self.clock: Callable[[], float] = clock or time.monotonic
        self.draining = False
        """Every answer from now on ends its connection."""
        self.date = b""
        """The Date field, CRLF included; new with each sweep."""
        self.idle_deadline = 0.0
        """When a connection that becomes idle now has been so for too long; new with each sweep, so a little late."""
        self._own_clock = clock is not None
        self._wall = wall
        self._sweep_interval = sweep_interval
        self._tls = tls
        self._connections: set[Connection] = set()
        self._sockets: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None
        self._tick()

    @property
    def connections(self) -> int:
        """Open connections, those that are being closed included."""
        return len(self._connections)

    async def listen(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Starts to accept; returns the port, which the kernel chooses for ``port`` 0. May be called several times.

        Raises:
            OSError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        if not self._own_clock:
            self.clock = loop.time
            self._tick()
        server = await loop.create_server(
            self.connection,
            host,
            port,
            backlog=_BACKLOG,
            reuse_port=reuse_port or None,
            ssl=self._tls,
            ssl_handshake_timeout=self.limits.header_timeout if self._tls else None,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_TIMEOUT if self._tls else None,
        )
        self._sockets.append(server)
        if self._sweeper is None:
            self._sweep_later(loop)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def listen_on(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        """Accept connections on a bound socket, which the returned listener then owns; with ``tls``, over TLS.

        Raises:
            OSError: the socket cannot listen.
        """
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            self.connection,
            sock=sock,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=self.limits.header_timeout if tls else None,
            ssl_shutdown_timeout=_TLS_SHUTDOWN_TIMEOUT if tls else None,
        )
        self._sockets.append(listener)
        if self._sweeper is None:
            self._sweep_later(loop)
        return listener

    def stop_listening(self, listener: asyncio.Server) -> None:
        """Close one listener of ``listen_on``; its connections continue."""
        self._sockets.remove(listener)
        listener.close()

    def connection(self) -> Connection:
        """A protocol for one accepted connection."""
        return Connection(self)

    def stop_accepting(self) -> None:
        """Closes the listening sockets; connections go on."""
        for server in self._sockets:
            server.close()
        self._sockets.clear()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (a timeout that cancels would leave connections)
        """Stops: no new connection, idle ones closed, an answer that is due still given and its connection closed.

        Returns whether every request was answered within ``timeout`` seconds; what is left then is cut.
        """
        self.stop_accepting()
        self.draining = True
        self._emptied = asyncio.Event()
        for connection in tuple(self._connections):
            connection.drain()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), timeout)
        # Whoever has its answer and only does not hang up counts as served.
        served = not any(connection.busy for connection in self._connections)
        if self._connections:
            self._emptied.clear()
            for connection in tuple(self._connections):
                connection.abort()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), _ABORT_TIMEOUT)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        return served

    def opened(self, connection: Connection) -> bool:
        """A connection is there; whether it may stay. Called by ``Connection``."""
        budget = self.budget
        self._connections.add(connection)
        if budget.connections < budget.max_connections:
            return True
        if len(self._connections) > budget.max_connections + _CROWD_ANSWERED:
            connection.abort()
        return False

    def closed(self, connection: Connection) -> None:
        """A connection is gone. Called by ``Connection``."""
        self._connections.discard(connection)
        if not self._connections and self._emptied is not None:
            self._emptied.set()

    def sweep(self) -> None:
        """Expires connections whose deadline has passed; renews the Date field. Called each ``sweep_interval``."""
        self._tick()
        now = self.clock()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.expire(now)

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        def run() -> None:
            # First the next one: an application that raises must not end all deadlines for good.
            self._sweeper = loop.call_later(self._sweep_interval, run)
            self.sweep()

        self._sweeper = loop.call_later(self._sweep_interval, run)

    def _tick(self) -> None:
        self.idle_deadline = self.clock() + self.limits.idle_timeout + self._sweep_interval
        self.date = f"date: {formatdate(self._wall(), usegmt=True)}\r\n".encode()
