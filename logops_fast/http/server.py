"""The listening side: sockets, their connections, deadlines, and an orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

from logops_fast.http.budget import Budget
from logops_fast.http.connection import Connection
from logops_fast.http.context import ServerContext
from logops_fast.http.exchange import Application, Encoder, Request
from logops_fast.http.head import SINGLE_FIELDS, PlainReader
from logops_fast.http.limits import HttpLimits
from logops_fast.http.proxies import TrustedProxies
from logops_fast.http.refusal import Refusal
from logops_fast.http.tls_accept import Listener, TlsListener

_BACKLOG: Final = 1024
# Connections that are turned away with an answer at the same time; more are aborted without one.
_MAX_TURNED_AWAY: Final = 256
_TLS_SHUTDOWN_TIMEOUT: Final = 5.0
_ABORT_TIMEOUT: Final = 1.0  # seconds until aborted transports have reported it; a safety net on the way out

_CROWDED: Final = Refusal(503, "overloaded", "The server has as many connections as it may: try again soon.", 1)
_CROWDED_ADDRESS: Final = Refusal(
    503,
    "too_many_connections",
    "This address has as many connections as one may have: reuse them, close idle ones, or have the operator raise "
    "server.max_connections_per_address or list the load balancer in server.trusted_proxies.",
    1,
)


class HttpServer:
    """Serves one application on any number of sockets, on the running event loop (uvloop's or asyncio's).

    ``single`` are lower-case names of fields that must not be repeated, besides HTTP's own. ``clock`` (default: the
    loop's) is read for deadlines and ``Request.received_at``, ``wall`` for the Date field. Deadlines are met up to
    ``sweep_interval`` seconds late. ``proxies`` are the addresses whose X-Forwarded-For is believed. ``encoder_of``
    chooses the encoder of a request's answers, by its head. ``plain_reader`` reads heads that are plain.
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
        proxies: TrustedProxies | None = None,
        encoder_of: Callable[[Request], Encoder | None] | None = None,
        plain_reader: PlainReader | None = None,
    ) -> None:
        self._context = ServerContext(
            app,
            limits,
            budget,
            SINGLE_FIELDS | single,
            clock or time.monotonic,
            proxies or TrustedProxies(),
            encoder_of,
            plain_reader,
        )
        self._own_clock = clock is not None
        self._wall = wall
        self._sweep_interval = sweep_interval
        self._tls = tls
        self._connections: set[Connection] = set()
        self._turned_away: set[Connection] = set()
        self._sockets: list[Listener] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None
        self._refresh()

    def __repr__(self) -> str:
        return f"<HttpServer {len(self._sockets)} sockets, {len(self._connections)} connections>"

    @property
    def app(self) -> Application:
        """The application that answers."""
        return self._context.app

    @property
    def budget(self) -> Budget:
        """What the process holds in all."""
        return self._context.budget

    @property
    def draining(self) -> bool:
        """Whether every answer from now on closes its connection."""
        return self._context.draining

    @property
    def connections(self) -> int:
        """Open connections, closing ones included."""
        return len(self._connections)

    async def listen(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Start accepting; return the port, which the kernel chooses for ``port`` 0. May be called several times.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        if not self._own_clock:
            self._context.clock = loop.time
            self._refresh()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, reuse_port=reuse_port)
        bound: int = sock.getsockname()[1]
        await self.listen_on(sock, self._tls)
        return bound

    async def listen_on(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> Listener:
        """Accept connections on a bound socket, which the returned listener then owns; with ``tls``, over TLS.

        Raises:
            OSError: the socket cannot listen.
        """
        loop = asyncio.get_running_loop()
        listener: Listener
        if tls is None:
            listener = await loop.create_server(self.connection, sock=sock, backlog=_BACKLOG)
        else:
            listener = TlsListener(
                sock,
                tls,
                self._admitted,
                _give_up,
                backlog=_BACKLOG,
                handshake_timeout=self._context.limits.header_timeout,
                shutdown_timeout=_TLS_SHUTDOWN_TIMEOUT,
            )
        self._sockets.append(listener)
        if self._sweeper is None:
            self._schedule_sweep(loop)
        return listener

    def stop_listening(self, listener: Listener) -> None:
        """Close one listener of ``listen_on``; its connections continue."""
        self._sockets.remove(listener)
        listener.close()

    def connection(self) -> Connection:
        """Return a protocol for one accepted connection."""
        return Connection(self._context, self._opened, self._closed)

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections continue."""
        for server in self._sockets:
            server.close()
        self._sockets.clear()

    def start_draining(self) -> None:
        """Close idle connections, and every other one with its next answer."""
        self._context.draining = True
        for connection in tuple(self._connections):
            connection.drain()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (a timeout that cancels would leave connections)
        """Stop: accept no more, close idle connections, and every other one once its request is answered.

        Returns whether every request was answered within ``timeout`` seconds; connections left then are aborted.
        """
        self.stop_accepting()
        self._emptied = asyncio.Event()
        self.start_draining()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), timeout)
        # A client that has its answer and only does not close counts as served.
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

    def sweep(self) -> None:
        """Expire connections whose deadline has passed; renew the Date field. Called every ``sweep_interval``."""
        self._refresh()
        now = self._context.clock()
        for connection in [one for one in self._connections if one.deadline <= now]:
            connection.expire(now)

    def _admitted(self, peer: str) -> Connection | None:
        """Return the protocol of a connection before its handshake, counted; None if it is over a cap.

        One that is turned away gets no answer: over TLS that would take the handshake.
        """
        refusal = self._crowded(peer)
        if refusal is not None:
            self._context.app.refused(refusal, peer)
            return None
        connection = self.connection()
        connection.admission.count(peer)
        return connection

    def _crowded(self, peer: str) -> Refusal | None:
        budget = self._context.budget
        if budget.connections >= budget.max_connections:
            return _CROWDED
        if not budget.admits(peer) and not self._context.proxies.trusts(peer):
            return _CROWDED_ADDRESS
        return None

    def _opened(self, connection: Connection) -> Refusal | None:
        """Register a new connection; return the refusal of one over a cap."""
        self._connections.add(connection)
        refusal = None if connection.admission.counted else self._crowded(connection.peer)
        if refusal is None:
            return None
        # An answer costs a socket for as long as the peer lets it linger: only so many get one.
        if len(self._turned_away) >= _MAX_TURNED_AWAY:
            connection.abort()
        else:
            self._turned_away.add(connection)
        return refusal

    def _closed(self, connection: Connection) -> None:
        self._turned_away.discard(connection)
        self._connections.discard(connection)
        if not self._connections and self._emptied is not None:
            self._emptied.set()

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        def run() -> None:
            # The next one is scheduled first: an application that raises must not end all deadlines for good.
            self._sweeper = loop.call_later(self._sweep_interval, run)
            self.sweep()

        self._sweeper = loop.call_later(self._sweep_interval, run)

    def _refresh(self) -> None:
        self._context.refresh(self._wall(), self._sweep_interval)


def _give_up(connection: Connection) -> None:
    connection.admission.give_up()
