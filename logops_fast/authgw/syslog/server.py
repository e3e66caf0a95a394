"""A worker's syslog server: connections and datagrams in, lanes out, and a shutdown that loses nothing it has read."""

from __future__ import annotations

import array
import asyncio
import fcntl
import logging
import socket
import termios
from time import monotonic
from typing import Final

from logops_fast.authgw.syslog.connection import SyslogConnection
from logops_fast.authgw.syslog.datagrams import Datagrams
from logops_fast.authgw.syslog.lane import Lane, Shared
from logops_fast.authgw.syslog.metrics import DropReason, Transport
from logops_fast.authgw.syslog.sources import Sources
from logops_fast.http.budget import Budget
from logops_fast.http.tls_accept import peer_of

MAX_UNFINISHED: Final = 33_554_432
"""Bytes of frames that are not complete, of all connections of a worker; above it those that hold most are closed."""

_POLL: Final = 0.01  # seconds between looks at what the kernel still has, in a drain
_SWEEP: Final = 1.0  # seconds between looks at the deadlines of unfinished frames


class SyslogServer:
    """Takes syslog for ``sources``. ``limit`` is in bytes of one message; ``budget`` caps connections."""

    def __init__(self, sources: Sources, shared: Shared, budget: Budget, limit: int) -> None:
        self._sources = sources
        self._shared = shared
        self._budget = budget
        self._limit = limit
        self._lanes: dict[tuple[str, bool], Lane] = {}
        self._connections: dict[SyslogConnection, str] = {}
        self._admitted: dict[SyslogConnection, str] = {}  # counted, and in their TLS handshake
        self._unfinished = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._datagrams: list[Datagrams] = []
        shared.on_held = self._hold

    def __repr__(self) -> str:
        return f"<SyslogServer connections={len(self._connections)} {[*self._lanes.values()]}>"

    def connection(self) -> SyslogConnection:
        """Return the protocol of a connection that was accepted."""
        return SyslogConnection(self._limit, self._made, self._lost, self._grown)

    def admit(self, peer: str) -> SyslogConnection | None:
        """Return the protocol of a connection before its TLS handshake, counted; None if ``peer`` may not have one."""
        if self._turned_away("tls", peer):
            return None
        connection = self.connection()
        self._count(peer)
        self._admitted[connection] = peer
        return connection

    def give_up(self, connection: SyslogConnection) -> None:
        """Forget an admitted connection whose handshake failed."""
        peer = self._admitted.pop(connection, None)
        if peer is not None:
            self._uncount(peer)

    def sweep(self, now: float) -> None:
        """Close the connections whose frames arrive too slowly; ``now`` is monotonic."""
        for connection in [one for one in self._connections if one.is_overdue(now)]:
            self._end(connection, "frame_timeout", "a frame of it arrived too slowly")

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
        peer = self._admitted.pop(connection, None)
        if peer is None:
            peer = peer_of(transport.get_extra_info("peername"))
            if self._turned_away("tcp", peer):
                return None
            self._count(peer)
        emitter = self._sources.emitter(peer) or ""
        if tls is not None:
            emitter = self._sources.emitter_of_certificate(tls.getpeercert(), emitter)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # Senders may be silent for hours; one that vanished must not keep its place.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connections[connection] = peer
        if self._sweeper is None:
            self._schedule_sweep()
        if self._shared.held:
            connection.hold(True)
        return self._lane(emitter, udp=False)

    def _turned_away(self, kind: Transport, peer: str) -> bool:
        budget = self._budget
        if self._sources.emitter(peer) is None:
            self._shared.metrics.dropped(kind, "not_allowed")
        elif budget.connections >= budget.max_connections or not budget.admits(peer):
            self._shared.metrics.dropped(kind, "too_many_connections")
        else:
            return False
        return True

    def _count(self, peer: str) -> None:
        self._budget.add_connection(peer)
        self._shared.metrics.connections.inc()

    def _uncount(self, peer: str) -> None:
        self._budget.remove_connection(peer)
        self._shared.metrics.connections.dec()

    def _schedule_sweep(self) -> None:
        def run() -> None:
            self._sweeper = None
            if self._connections:
                self._schedule_sweep()
                self.sweep(monotonic())

        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, run)

    def _grown(self, size: int) -> None:
        """Note that unfinished frames hold ``size`` bytes more; close those that hold most if that is too much."""
        self._unfinished += size
        if size <= 0 or self._unfinished <= MAX_UNFINISHED:
            return
        # A quarter at once: so the next look at all of them is far away.
        for connection in sorted(self._connections, key=_held_by, reverse=True):
            if self._unfinished <= MAX_UNFINISHED // 4 * 3:
                break
            self._end(connection, "overloaded", "all connections together hold too much of unfinished frames")

    def _end(self, connection: SyslogConnection, reason: DropReason, why: str) -> None:
        tls = connection.transport.get_extra_info("ssl_object")
        self._shared.metrics.dropped("tcp" if tls is None else "tls", reason)
        self._shared.warnings.log(
            logging.WARNING, reason, f"the syslog connection of {self._connections[connection]} was closed: {why}"
        )
        connection.end()

    def _lost(self, connection: SyslogConnection) -> None:
        peer = self._connections.pop(connection, None)
        if peer is not None:
            self._uncount(peer)

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


def _held_by(connection: SyslogConnection) -> int:
    return connection.unfinished


def _unread(connection: SyslogConnection) -> int:
    """Return the number of bytes of a connection that the kernel holds and that were not read yet."""
    sock = connection.transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    number = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, number)
    return number[0]
