"""Bytes to a port as they are, in whatever pieces, and the answers to them."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from tests.http.support import read_answers

STEP = 1500  # bytes: longer requests are delivered in larger pieces, or byte by byte would take too long


def exchange(port: int, pieces: Iterable[bytes], timeout: float = 15.0, *, end: bool = False) -> bytes:
    """Send the pieces, each in a segment of its own, and read until the other side closes or ``timeout`` passes.

    ``end`` half-closes behind the last piece. A gateway that closes before it has read all is no error.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                sock.sendall(piece)
            if end:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while piece := sock.recv(65_536):
                received += piece
        except (TimeoutError, ConnectionResetError):
            pass
    return received


def bytewise(data: bytes) -> list[bytes]:
    """One byte each; a long request in about STEP pieces."""
    size = max(1, len(data) // STEP)
    return [data[at : at + size] for at in range(0, len(data), size)]


def statuses(received: bytes) -> list[int]:
    """The final statuses in ``received``; interim ones are passed over."""
    while received.startswith(b"HTTP/1.1 100 "):
        received = received.partition(b"\r\n\r\n")[2]
    return [status for status, _, _ in read_answers(received)]
