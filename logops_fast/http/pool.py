"""A pool of keep-alive HTTP/1.1 connections to one server, with callbacks in place of tasks and futures.

A request uses the connection that was used last (the others may time out); if none is free a new one is opened, up to
the bound; above it requests wait in a bounded queue. One timer serves all deadlines of the pool: it is set to the
earliest and, in steady traffic, fires once per timeout rather than once per request.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from logops_fast.http.client import ClientConnection
from logops_fast.http.endpoint import Endpoint
from logops_fast.http.response_reader import MAX_BODY, ClientError, ClientResponse, OnResponse
from logops_fast.http.tunnel import Proxy, open_tunnel

if TYPE_CHECKING:
    import ssl as ssl_module

MIN_SWEEP: Final = 0.005
"""Minimum interval between deadline sweeps, in seconds."""
CLOSE_GRACE: Final = 1.0
"""Seconds that ``aclose`` waits for transports to close."""

_NEVER: Final = float("inf")
_BODILESS: Final = (b"GET", b"HEAD")


class PoolStats(NamedTuple):
    """Connections of a pool by state, and requests that wait for one."""

    open: int
    idle: int
    connecting: int
    waiting: int


class _Waiting(NamedTuple):
    """A request that has no connection yet."""

    chunks: Sequence[bytes]
    done: OnResponse
    deadline: float
    bare: bool


class HttpPool:
    """Keep-alive connections to the server of one URL, of which only scheme, host and port matter here.

    Times are in seconds. ``connect_timeout`` bounds the opening of a connection (TLS included), ``read_timeout`` the
    time from the writing of a request to the end of its answer, ``idle_timeout`` how long a connection is kept
    unused. ``max_idle`` (default: all) connections are kept, ``max_waiting`` requests may queue; ``max_body`` bounds
    an answer in bytes. ``ssl`` is the context for https (default: the system's trust store), ``proxy`` the URL of an
    HTTP proxy that opens tunnels (CONNECT), for http as well. Raises ``ValueError`` for a URL that cannot be used.
    Belongs to the loop it is first used on, and to its thread.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float = 2.0,
        read_timeout: float = 5.0,
        max_connections: int = 64,
        max_idle: int | None = None,
        max_waiting: int = 1024,
        max_body: int = MAX_BODY,
        idle_timeout: float = 30.0,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint: Final = Endpoint.parse(url)
        self._host_line = b" HTTP/1.1\r\nhost: " + self.endpoint.authority + b"\r\n"
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_connections = max_connections
        self._max_idle = max_connections if max_idle is None else max_idle
        self._max_waiting = max_waiting
        self._max_body = max_body
        self._idle_timeout = idle_timeout
        self._ssl = ssl
        self._proxy = Proxy.parse(proxy) if proxy else None
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[ClientConnection] = set()  # in an exchange or idle
        self._closing: set[ClientConnection] = set()  # dropped, transport not closed yet
        self._idle: list[ClientConnection] = []
        self._waiting: deque[_Waiting] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER
        self._closed = False
        self._all_gone: asyncio.Event | None = None

    @property
    def stats(self) -> PoolStats:
        """The current numbers."""
        return PoolStats(len(self._open), len(self._idle), len(self._connecting), len(self._waiting))

    # -------------------------------------------------------------------------------------------------------- requests

    def send(
        self,
        method: bytes,
        target: bytes,
        headers: bytes,
        body: bytes | Sequence[bytes],
        done: OnResponse,
        *,
        timeout: float | None = None,
    ) -> None:
        r"""Send one request; ``done`` is called exactly once, from the loop, never inside this call.

        ``headers`` are whole lines, each ended by CRLF; Host and Content-Length are added. They and ``target`` go
        out as they are: the caller vouches for their content. ``timeout`` bounds everything from this call on
        (default: connect_timeout + read_timeout); the pool's own timeouts hold besides.
        """
        now = self._clock()
        limit = self._connect_timeout + self._read_timeout if timeout is None else timeout
        pieces = (body,) if isinstance(body, bytes) else tuple(body)
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if size or method not in _BODILESS:
            head = b"%b %b%b%bcontent-length: %d\r\n\r\n" % (method, target, self._host_line, headers, size)
        else:
            head = b"%b %b%b%b\r\n" % (method, target, self._host_line, headers)
        request = _Waiting((head, *pieces) if size else (head,), done, now + limit, method == b"HEAD")
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                self._start(connection, request, now)
                return
            self._drop(connection)
        self._enqueue(request)

    async def request(
        self,
        method: bytes,
        target: bytes,
        headers: bytes = b"",
        body: bytes | Sequence[bytes] = b"",
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # the pool's one timer does it
    ) -> ClientResponse:
        """``send`` for coroutines; raises ``ClientError``. A cancelled one completes unseen."""
        future: asyncio.Future[ClientResponse] = asyncio.get_running_loop().create_future()

        def settle(result: ClientResponse | ClientError) -> None:
            if future.done():
                return
            if isinstance(result, ClientError):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.send(method, target, headers, body, settle, timeout=timeout)
        return await future

    async def aclose(self) -> None:
        """Drop every connection; what is unanswered ends as ``closed``, also what is sent from now on."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = _NEVER
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            self._fail_soon(request, ClientError("closed", "the pool was closed", sent=False))
        tasks = tuple(self._connecting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._idle.clear()
        for connection in tuple(self._open):
            if connection.busy:
                connection.fail(ClientError("closed", "the pool was closed", sent=True))
            else:
                self._drop(connection)
        if self._closing:
            self._all_gone = asyncio.Event()
            try:
                async with asyncio.timeout(CLOSE_GRACE):
                    await self._all_gone.wait()
            except TimeoutError:
                return

    def _start(self, connection: ClientConnection, request: _Waiting, now: float) -> None:
        deadline = now + self._read_timeout
        if request.deadline < deadline:
            deadline = request.deadline
        connection.exchange(request.chunks, request.done, deadline, bare=request.bare)
        if deadline < self._timer_at:
            self._arm(deadline, now)

    def _enqueue(self, request: _Waiting) -> None:
        if self._closed:
            self._fail_soon(request, ClientError("closed", "the pool was closed", sent=False))
            return
        if len(self._waiting) >= self._max_waiting:
            detail = f"{self._max_waiting} requests wait for a connection already"
            self._fail_soon(request, ClientError("pool_full", detail, sent=False))
            return
        self._waiting.append(request)
        if request.deadline < self._timer_at:
            self._arm(request.deadline, self._clock())
        self._connect_where_needed()

    def _fail_soon(self, request: _Waiting, error: ClientError) -> None:
        self._running_loop().call_soon(request.done, error)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # ----------------------------------------------------------------------------------------------------- connections

    def _connect_where_needed(self) -> None:
        while (
            len(self._connecting) < len(self._waiting)
            and len(self._open) + len(self._connecting) < self._max_connections
        ):
            task = self._running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connect_ended)

    async def _connect(self) -> None:
        endpoint = self.endpoint
        loop = self._running_loop()
        error: ClientError
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._connected(loop, endpoint)
        except TimeoutError:
            error = ClientError("connect_timeout", f"no connection within {self._connect_timeout:g} s", sent=False)
        except Exception as failure:  # OSError, a certificate, a name: each must reach the request that waits
            error = ClientError("connect", _os_reason(failure), sent=False)
            error.__cause__ = failure
        else:
            if connection.usable:
                self._open.add(connection)
                self._offer(connection)
                return
            error = ClientError("connect", "the peer closed the connection at once", sent=False)
        if self._waiting:
            self._fail_soon(self._waiting.popleft(), error)

    async def _connected(self, loop: asyncio.AbstractEventLoop, endpoint: Endpoint) -> ClientConnection:
        """Return a new connection, by way of the proxy if there is one. Raises OSError."""

        def make() -> ClientConnection:
            return ClientConnection(self, loop, self._max_body)

        name = endpoint.host if endpoint.tls else None
        if self._proxy is not None:
            host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
            authority = f"{host}:{endpoint.port}"
            return await open_tunnel(loop, self._proxy, authority, make, ssl=self._tls_context(), server_hostname=name)
        _, connection = await loop.create_connection(
            make, endpoint.host, endpoint.port, ssl=self._tls_context(), server_hostname=name
        )
        return connection

    def _connect_ended(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if not self._closed:
            self._connect_where_needed()

    def _tls_context(self) -> ssl_module.SSLContext | None:
        if self.endpoint.tls and self._ssl is None:
            import ssl

            self._ssl = ssl.create_default_context()
        return self._ssl if self.endpoint.tls else None

    def _offer(self, connection: ClientConnection) -> None:
        """Give a free connection to the request that waited longest; without one keep it idle."""
        now = self._clock()
        if self._waiting:
            self._start(connection, self._waiting.popleft(), now)
        elif len(self._idle) < self._max_idle:
            connection.deadline = deadline = now + self._idle_timeout
            self._idle.append(connection)
            if deadline < self._timer_at:
                self._arm(deadline, now)
        else:
            self._drop(connection)

    def _drop(self, connection: ClientConnection) -> None:
        self._retire(connection)
        connection.abort()

    def _retire(self, connection: ClientConnection) -> None:
        self._open.discard(connection)
        if connection.transport is not None:
            self._closing.add(connection)

    def exchange_ended(self, connection: ClientConnection, reusable: bool) -> None:
        """Take a connection back, or remove it (called by the connection)."""
        if not reusable:
            self._retire(connection)
            self._connect_where_needed()
        elif self._closed:
            self._drop(connection)
        else:
            self._offer(connection)

    def connection_ended(self, connection: ClientConnection) -> None:
        """Forget a connection whose transport is closed (called by the connection)."""
        self._open.discard(connection)
        self._closing.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._all_gone is not None and not self._closing:
            self._all_gone.set()

    # -------------------------------------------------------------------------------------------------------- deadlines

    def _arm(self, deadline: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(MIN_SWEEP, deadline - now)
        self._timer_at = now + delay
        self._timer = self._running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        """End what is past its deadline, and set the timer to the next one."""
        self._timer = None
        self._timer_at = _NEVER
        now = self._clock()
        for connection in tuple(self._open):
            if connection.deadline > now:
                continue
            if connection.busy:
                connection.fail(ClientError("read_timeout", "no complete answer in time", sent=True))
            else:
                self._idle.remove(connection)
                self._drop(connection)
        overdue = [request for request in self._waiting if request.deadline <= now]
        if overdue:
            self._waiting = deque(request for request in self._waiting if request.deadline > now)
            for request in overdue:
                self._fail_soon(
                    request, ClientError("connect_timeout", "no connection became free in time", sent=False)
                )
        deadlines = [connection.deadline for connection in self._open]
        deadlines.extend(request.deadline for request in self._waiting)
        earliest = min(deadlines, default=_NEVER)
        if earliest < self._timer_at:
            self._arm(earliest, now)


def _os_reason(error: Exception) -> str:
    """What the system says, without the addresses it was tried on."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__ if not str(error) else str(error)
