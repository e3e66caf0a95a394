"""The listening sockets, which belong to the supervisor: one per worker and address, all in one SO_REUSEPORT group.

A worker inherits the sockets of all places and accepts on its own. Since the supervisor keeps them open, a connection
in the accept queue of a worker that dies or hangs is not lost: the next worker, or one that adopts the socket, accepts
it. (Taking the socket out of the group instead, by shutdown(2), resets every connection in its queue.)
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence

from logops_fast.errors import StartupError

Listeners = Mapping[str, Sequence[socket.socket]]
"""By the name of the gateway, the socket of each place."""


def bind_listeners(
    host: str, port: int, places: int, kind: socket.SocketKind = socket.SOCK_STREAM
) -> list[socket.socket]:
    """Bind one socket per place, none of them listening yet; port 0 takes one free port for all.

    SO_REUSEPORT would let a second gateway of the same user share the port silently. So the port is first bound
    without it, which fails while another process listens there or has reserved it. The sockets returned have
    SO_REUSEPORT but not SO_REUSEADDR, which makes the same check fail for the next gateway even before any of them
    listens.

    Raises StartupError if the port is in use or not permitted, or the host is not an address of this machine.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartupError(f"host {host!r} cannot be resolved: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    bound: list[socket.socket] = []
    try:
        with socket.socket(family, kind, protocol) as probe:
            if kind == socket.SOCK_STREAM:
                # Connections of an earlier run in TIME_WAIT are no reason to refuse.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _only_ipv6(probe)
            probe.bind(address)
            address = probe.getsockname()
        for _ in range(places):
            bound.append(sock := socket.socket(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _only_ipv6(sock)
            sock.bind(address)
    except OSError as error:
        for sock in bound:
            sock.close()
        raise StartupError(_bind_message(host, port, error)) from None
    return bound


def bind_listener(host: str, port: int) -> socket.socket:
    """Bind a single socket and listen on it. Raises StartupError as ``bind_listeners`` does."""
    (sock,) = bind_listeners(host, port, 1)
    try:
        listen(sock)
    except OSError as error:
        sock.close()
        raise StartupError(_bind_message(host, port, error)) from None
    return sock


def listen(sock: socket.socket, backlog: int = 128) -> None:
    """Start listening on a socket of ``bind_listeners``."""
    # Inherited by the accepted connections: in TIME_WAIT they must not keep the next start from taking the port.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.listen(backlog)


def _only_ipv6(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:  # as asyncio binds it
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bind_message(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop the process that listens there, or choose another port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not permitted: ports below 1024 need privileges, choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine"
    return f"port {port} on {host} cannot be bound: {error.strerror}"
