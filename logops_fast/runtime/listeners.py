"""The listening sockets, which belong to the supervisor: one per worker and address, all in one SO_REUSEPORT group.

A worker inherits the sockets of all places and accepts on its own. Since the supervisor keeps them open, a connection
in the accept queue of a worker that dies or hangs is not lost: the next worker, or one that adopts the socket, accepts
it. (Taking the socket out of the group instead, by shutdown(2), resets every connection in its queue.)
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from logops_fast.errors import StartupError
from logops_fast.runtime.port_owner import port_owner

Listeners = Mapping[str, Sequence[socket.socket]]
"""By the name of the gateway, the socket of each place."""


class PortName(NamedTuple):
    """What a port is called where people set it: ``authgw.port``, ``--authgw-port``; empty if it has no option."""

    setting: str
    option: str = ""


def bind_listeners(
    host: str,
    port: int,
    places: int,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    *,
    name: PortName | None = None,
) -> list[socket.socket]:
    """Bind one socket per place, none of them listening yet; port 0 takes one free port for all.

    SO_REUSEPORT would let a second gateway of the same user share the port silently. So the port is first bound
    without it, which fails while another process listens there or has reserved it. The sockets returned have
    SO_REUSEPORT but not SO_REUSEADDR, which makes the same check fail for the next gateway even before any of them
    listens.

    Raises StartupError if the port is in use or not permitted, or the host is not an address of this machine; it says
    what to change by the ``name``.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartupError(f"{_host_of(name)}host {host!r} cannot be resolved: {error.strerror}") from None
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
        raise StartupError(_bind_message(host, port, error, name, kind)) from None
    return bound


def bind_listener(host: str, port: int, *, name: PortName | None = None) -> socket.socket:
    """Bind a single socket and listen on it. Raises StartupError as ``bind_listeners`` does."""
    (sock,) = bind_listeners(host, port, 1, name=name)
    try:
        listen(sock)
    except OSError as error:
        sock.close()
        raise StartupError(_bind_message(host, port, error, name)) from None
    return sock


def listen(sock: socket.socket, backlog: int = 128) -> None:
    """Start listening on a socket of ``bind_listeners``."""
    # Inherited by the accepted connections: in TIME_WAIT they must not keep the next start from taking the port.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.listen(backlog)


def _only_ipv6(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:  # as asyncio binds it
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bind_message(
    host: str, port: int, error: OSError, name: PortName | None, kind: socket.SocketKind = socket.SOCK_STREAM
) -> str:
    place = f"{'' if name is None else f'{name.setting}: '}port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(port, udp=kind == socket.SOCK_DGRAM)
        if owner is None:
            return f"{place} is in use: stop the process that listens there, or {_another(name)}"
        return f"{place} is in use by {owner}: stop it, or {_another(name)}"
    if error.errno == errno.EACCES:
        return f"{place} is not permitted: ports below 1024 need privileges, {_another(name)}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{_host_of(name)}{host} is not an address of this machine"
    return f"{place} cannot be bound: {error.strerror}"


def _another(name: PortName | None) -> str:
    if name is None:
        return "choose another port"
    return f"choose another port with {name.option} or {name.setting}" if name.option else f"set another {name.setting}"


def _host_of(name: PortName | None) -> str:
    """Return the setting of the host, to stand before a message; that of a syslog address is the port's too."""
    if name is None:
        return ""
    section, _, last = name.setting.rpartition(".")
    return f"{section}.host: " if last == "port" else f"{name.setting}: "
