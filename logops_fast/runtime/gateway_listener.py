"""One gateway's HTTP server on the listening sockets that the supervisor owns."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Final

from logops_fast.http.server import HttpServer
from logops_fast.http.tls_accept import Listener
from logops_fast.runtime.listeners import listen

BACKLOG: Final = 1024


class GatewayListener:
    """Accepts on the sockets of some places; ``sockets`` has one for each place.

    The event loop gets a duplicate of a socket, so that closing it there leaves the socket, and the connections in its
    accept queue, to the worker that accepts next.
    """

    def __init__(self, server: HttpServer, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None) -> None:
        self.server: Final = server
        self._sockets = sockets
        self._tls = tls
        self._open: dict[int, Listener] = {}

    def __repr__(self) -> str:
        return f"<GatewayListener places={sorted(self._open)} {self.server!r}>"

    @property
    def places(self) -> frozenset[int]:
        """The places whose connections are accepted."""
        return frozenset(self._open)

    async def open(self, place: int) -> None:
        """Accept the connections of ``place``. Raises OSError if its socket cannot listen."""
        if place not in self._open:
            listen(self._sockets[place], BACKLOG)
            self._open[place] = await self._listen(place)

    def close(self, place: int) -> None:
        """Leave the connections of ``place`` to another worker."""
        opened = self._open.pop(place, None)
        if opened is not None:
            self.server.stop_listening(opened)

    async def replace_tls(self, tls: ssl.SSLContext) -> None:
        """Use another certificate for new connections; those that are open keep theirs."""
        self._tls = tls
        for place, before in [*self._open.items()]:
            self._open[place] = await self._listen(place)
            self.server.stop_listening(before)

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (it is the server's)
        """Finish the requests in flight; see ``HttpServer.drain``."""
        return await self.server.drain(timeout)

    def stop_accepting(self) -> None:
        """Close all listening sockets of this process."""
        for place in [*self._open]:
            self.close(place)
        for sock in self._sockets:
            sock.close()

    async def _listen(self, place: int) -> Listener:
        duplicate = self._sockets[place].dup()
        try:
            return await self.server.listen_on(duplicate, self._tls)
        except BaseException:
            duplicate.close()
            raise
