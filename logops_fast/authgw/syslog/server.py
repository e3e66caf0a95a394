"""A worker's syslog server: connections and datagrams in, lanes out, and a shutdown that loses nothing it has read."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import termios
from time import monotonic
from typing import Final

from logops_fast.authgw.syslog.connection import SyslogConnection
from logops_fast.authgw.syslog.datagrams import Datagrams
from logops_fast.authgw.syslog.lane import Lane, Shared
from logops_fast.authgw.syslog.metrics import Transport
from logops_fast.authgw.syslog.sources import Sources
from logops_fast.http.budget import Budget

_POLL: Final = 0.01  # seconds between looks at what the kernel still has, in a drain


class SyslogServer:
    """Takes syslog for ``sources``. ``limit`` is in bytes of one message; ``budget`` caps connections."""

    def __init__(self, sources: Sources, shared: Shared, budget: Budget, limit: int) -> None:
        self._sources = sources
        self._shared = shared
        self._budget = budget
        self._limit = limit
        self._lanes: dict[tuple[str, bool], Lane] = {}
        self._connections: dict[SyslogConnection, str] = {}
        self._datagrams: list[Datagrams] = []
        shared.on_held = self._hold

    def __repr__(self) -> str:
        return f"<SyslogServer connections={len(self._connections)} {[*self._lanes.values()]}>"

    def connection(self) -> SyslogConnection:
        """Return the protocol of a connection that was accepted."""
        return SyslogConnection(self._limit, self._made, self._lost)

    def read(self, sock: socket.socket, *, fresh: bool) -> Datagrams:
        """Read datagrams from a socket until ``stop_reading``."""
        datagrams = Datagrams(sock, self._udp_lane, self._shared.metrics, self._limit, fresh=fresh)
        asyncio.get_running_loop().add_reader(sock.fileno(), datagrams.read)
        self._datagrams.append(datagrams)
        return datagrams

    def stop_reading(self, datagrams: Datagrams, *, emptied: bool = False) -> None:
        """Leave a socket to another process; ``emptied``: once what has arrived is read."""
        asyncio.get_running_loop().remove_reader(datagrams.sock.fileno())
        self._datagrams.remove(datagrams)
        if emptied:
            datagrams.read(at_most=100_000)
        datagrams.sock.close()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (what cancels would lose lines)
        """Read what had arrived when it was called, close the connections, and see their lines stored.

        Returns whether that was done within ``timeout`` seconds. What senders write meanwhile is not waited for.
        """
        deadline = monotonic() + timeout
        for datagrams in [*self._datagrams]:
            self.stop_reading(datagrams, emptied=True)
        for lane in self._lanes.values():
            lane.draining = True
            lane.flush()
        ends = {connection: connection.received + _unread(connection) for connection in self._connections}
        while ends and monotonic() < deadline:
            for connection, end in [*ends.items()]:
                if connection.received >= end or not _unread(connection) or connection.transport.is_closing():
                    connection.transport.close()
                    del ends[connection]
            await asyncio.sleep(_POLL)
        while not (done := self._empty()):
            if monotonic() >= deadline:
                break
            await asyncio.sleep(_POLL)
        for connection in [*self._connections]:
            connection.transport.abort()
        return done

    def _empty(self) -> bool:
        return not self._connections and all(lane.idle for lane in self._lanes.values())

    def _made(self, connection: SyslogConnection) -> Lane | None:
        transport = connection.transport
        tls = transport.get_extra_info("ssl_object")
        kind: Transport = "tcp" if tls is None else "tls"
        address = transport.get_extra_info("peername")
        peer = str(address[0]).removeprefix("::ffff:") if isinstance(address, tuple) else ""
        emitter = self._sources.emitter(peer)
        if emitter is None:
            self._shared.metrics.dropped(kind, "not_allowed")
            return None
        budget = self._budget
        if budget.connections >= budget.max_connections or not budget.admits(peer):
            self._shared.metrics.dropped(kind, "too_many_connections")
            return None
        if tls is not None:
            emitter = self._sources.emitter_of_certificate(tls.getpeercert(), emitter)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # Senders may be silent for hours; one that vanished must not keep its place.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        budget.add_connection(peer)
        self._connections[connection] = peer
        self._shared.metrics.connections.inc()
        if self._shared.held:
            connection.hold(True)
        return self._lane(emitter, udp=False)

    def _lost(self, connection: SyslogConnection) -> None:
        peer = self._connections.pop(connection, None)
        if peer is not None:
            self._budget.remove_connection(peer)
            self._shared.metrics.connections.dec()

    def _udp_lane(self, address: str) -> Lane | None:
        emitter = self._sources.emitter(address)
        return None if emitter is None else self._lane(emitter, udp=True)

    def _lane(self, emitter: str, *, udp: bool) -> Lane:
        lane = self._lanes.get((emitter, udp))
        if lane is None:
            lane = self._lanes[emitter, udp] = Lane(self._shared, emitter, udp=udp)
        return lane

    def _hold(self, held: bool) -> None:
        for connection in [*self._connections]:
            connection.hold(held)


def _unread(connection: SyslogConnection) -> int:
    """Return the number of bytes of a connection that the kernel holds and that were not read yet."""
    sock = connection.transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    number = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, number)
    return number[0]
