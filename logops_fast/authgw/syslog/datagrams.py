"""Syslog over UDP (RFC 5426): one socket of a worker, and the kernel's own count of what it dropped."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Final

from logops_fast.authgw.syslog.framer import datagram
from logops_fast.authgw.syslog.lane import Lane
from logops_fast.authgw.syslog.metrics import SyslogMetrics

RECEIVE_BUFFER: Final = 4_194_304
"""Bytes asked of the kernel for datagrams that wait to be read (it gives at most net.core.rmem_max)."""
A_TURN: Final = 256
"""Datagrams read at once, before other connections are served."""

_LARGEST: Final = 65_535
_SO_RXQ_OVFL: Final = 40  # Linux: each datagram comes with the number that the socket's queue has dropped so far
_COUNTER: Final = 1 << 32

LaneOf = Callable[[str], Lane | None]
"""Returns the lane of an address, None if it may not send."""


class Datagrams:
    """Reads one socket. ``fresh``: no other process has read it, so its losses are still to be counted."""

    def __init__(
        self, sock: socket.socket, lane_of: LaneOf, metrics: SyslogMetrics, limit: int, *, fresh: bool = True
    ) -> None:
        self.sock: Final = sock
        self._lane_of = lane_of
        self._metrics = metrics
        self._limit = limit
        self._buffer = bytearray(_LARGEST)
        self._lost: int | None = 0 if fresh else None
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._ancillary_size = 0
        if sys.platform == "linux":
            sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            self._ancillary_size = socket.CMSG_SPACE(4)

    def read(self, at_most: int = A_TURN) -> bool:
        """Take the datagrams that are there; return False once there is none left."""
        for _ in range(at_most):
            try:
                size, ancillary, _flags, address = self.sock.recvmsg_into([self._buffer], self._ancillary_size)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                continue  # an ICMP error of an earlier packet
            if ancillary:
                self._count_lost(ancillary)
            lane = self._lane_of(str(address[0]))
            if lane is None:
                self._metrics.dropped("udp", "not_allowed")
                continue
            segment = datagram(bytes(memoryview(self._buffer)[:size]), self._limit)
            if segment is not None:
                lane.put(segment)
        return True

    def _count_lost(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                total = int.from_bytes(data[:4], sys.byteorder)
                if self._lost is not None and total != self._lost:
                    self._metrics.dropped("udp", "kernel", (total - self._lost) % _COUNTER)
                self._lost = total
