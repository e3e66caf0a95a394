"""The syslog server on the sockets that the supervisor owns: connections over TCP and TLS, and datagrams."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

from logops_fast.authgw.syslog.datagrams import Datagrams
from logops_fast.authgw.syslog.server import SyslogServer
from logops_fast.http.tls_accept import Listener, TlsListener
from logops_fast.runtime.listeners import Listeners, listen

TCP: Final = "syslog_tcp"
TLS: Final = "syslog_tls"
UDP: Final = "syslog_udp"

BACKLOG: Final = 1024
HANDSHAKE_TIMEOUT: Final = 10.0  # seconds
SHUTDOWN_TIMEOUT: Final = 1.0  # seconds for the peer's close_notify


class SyslogListener:
    """Accepts and reads on the sockets of some places. The event loop gets duplicates, as in ``GatewayListener``."""

    def __init__(
        self, server: SyslogServer, sockets: Listeners, tls: ssl.SSLContext | None, *, successor: bool = False
    ) -> None:
        self._server = server
        self._sockets: Mapping[str, Sequence[socket.socket]] = {
            name: sockets[name] for name in (TCP, TLS, UDP) if name in sockets
        }
        self._tls = tls
        self._successor = successor
        self._accepting: dict[int, list[Listener]] = {}
        self._reading: dict[int, Datagrams] = {}

    def __repr__(self) -> str:
        return f"<SyslogListener places={sorted(self._accepting)} {self._server!r}>"

    @property
    def places(self) -> frozenset[int]:
        """The places whose senders are served."""
        return frozenset(self._accepting)

    async def open(self, place: int) -> None:
        """Serve the senders of ``place``. Raises OSError if a socket cannot listen."""
        if place in self._accepting:
            return
        self._accepting[place] = await self._accept(place)
        if UDP in self._sockets:
            duplicate = self._sockets[UDP][place].dup()
            # A socket that another process has read from has been counted by it.
            self._reading[place] = self._server.read(duplicate, fresh=not self._successor and not self._reading)

    def close(self, place: int) -> None:
        """Leave the senders of ``place`` to another worker; connections that are open stay."""
        for accepting in self._accepting.pop(place, ()):
            accepting.close()
        reading = self._reading.pop(place, None)
        if reading is not None:
            self._server.stop_reading(reading)

    async def replace_tls(self, tls: ssl.SSLContext) -> None:
        """Use another certificate for new connections; those that are open keep theirs."""
        self._tls = tls
        for place, before in [*self._accepting.items()]:
            self._accepting[place] = await self._accept(place)
            for accepting in before:
                accepting.close()

    def stop_accepting(self) -> None:
        """Close the listening sockets of this process; datagrams are read until ``drain``."""
        for place in [*self._accepting]:
            for accepting in self._accepting.pop(place):
                accepting.close()
        for sockets in self._sockets.values():
            for sock in sockets:
                sock.close()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (it is the server's)
        """Store what has arrived; see ``SyslogServer.drain``."""
        self._reading.clear()
        return await self._server.drain(timeout)

    async def _accept(self, place: int) -> list[Listener]:
        accepting: list[Listener] = []
        loop = asyncio.get_running_loop()
        for name, tls in ((TCP, None), (TLS, self._tls)):
            if name not in self._sockets:
                continue
            sock = self._sockets[name][place]
            listen(sock, BACKLOG)
            duplicate = sock.dup()
            try:
                if tls is None:
                    accepting.append(await loop.create_server(self._server.connection, sock=duplicate, backlog=BACKLOG))
                    continue
                accepting.append(
                    TlsListener(
                        duplicate,
                        tls,
                        self._server.admit,
                        self._server.give_up,
                        backlog=BACKLOG,
                        handshake_timeout=HANDSHAKE_TIMEOUT,
                        shutdown_timeout=SHUTDOWN_TIMEOUT,
                    )
                )
            except BaseException:
                duplicate.close()
                raise
        return accepting
