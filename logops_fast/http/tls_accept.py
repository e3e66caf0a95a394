"""Accepts TLS connections: what costs little is checked first, the handshake, the dearest step of all, last.

A loop's own server does the handshake first, so that an address that may not send, or a peer over a cap, gets its
signature and its buffers all the same, and counts against no cap until it is done.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

_A_TURN: Final = 64  # connections accepted before others are served
_PAUSE: Final = 1.0  # seconds in which nothing is accepted because the process has no file descriptors left
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

P = TypeVar("P", bound=asyncio.Protocol)

_logger: Final = logging.getLogger(__name__)


class Listener(Protocol):
    """What accepts connections on a socket, `asyncio.Server` for one."""

    def close(self) -> None:
        """Accept no more; connections continue."""


class TlsListener(Generic[P]):
    """Accepts on a bound socket, which it then owns, on the running event loop.

    ``admit`` is called with the peer's address and returns the protocol of its connection, counted from now on; None
    turns the peer away before a byte is exchanged. ``give_up`` is called with the protocol of a connection whose
    handshake fails or takes over ``handshake_timeout`` seconds. Raises OSError if the socket cannot listen.
    """

    def __init__(
        self,
        sock: socket.socket,
        tls: ssl.SSLContext,
        admit: Callable[[str], P | None],
        give_up: Callable[[P], None],
        *,
        backlog: int,
        handshake_timeout: float,
        shutdown_timeout: float,
    ) -> None:
        self._sock = sock
        self._tls = tls
        self._admit = admit
        self._give_up = give_up
        self._handshake_timeout = handshake_timeout
        self._shutdown_timeout = shutdown_timeout
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(backlog)
        self._loop.add_reader(sock.fileno(), self._accept)

    def __repr__(self) -> str:
        return f"<TlsListener {len(self._tasks)} handshakes>"

    def close(self) -> None:
        """Accept no more; handshakes and connections continue."""
        if self._resume is not None:
            self._resume.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _accept(self) -> None:
        for _ in range(_A_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                _logger.error("no connection can be accepted: %s", error.strerror)  # noqa: TRY400 (the trace says no more)
                self._loop.remove_reader(self._sock.fileno())
                self._resume = self._loop.call_later(_PAUSE, self._start_again)
                return
            protocol = self._admit(peer_of(address))
            if protocol is None:
                sock.close()
                continue
            task = self._loop.create_task(self._shake_hands(sock, protocol))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _start_again(self) -> None:
        self._resume = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def _shake_hands(self, sock: socket.socket, protocol: P) -> None:
        done = False
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_timeout,
                ssl_shutdown_timeout=self._shutdown_timeout,
            )
            done = True
        except OSError as error:  # what the peer sent is no handshake, or it is gone
            _logger.debug("a TLS handshake failed: %s", error)
        finally:
            if not done:
                sock.close()
                self._give_up(protocol)


def peer_of(address: object) -> str:
    """Return the IP address of a socket's address as text, an IPv4 address on an IPv6 socket in its own form."""
    return str(address[0]).removeprefix("::ffff:") if isinstance(address, tuple) else ""
