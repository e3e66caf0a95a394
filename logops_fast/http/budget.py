"""What all connections of one process hold together: sockets, requests and bytes."""

from __future__ import annotations

from logops_fast.http.limits import HttpLimits


class Budget:
    """Counters with two caps, shared by every HTTP server of a process.

    The numbers are plain attributes because the event loop's thread alone writes them; any thread may read them
    for a gauge. ``inflight_bytes`` counts body bytes handed over for a request that is not answered yet, and bytes
    that were read but not yet used (half a head, pipelined requests, a body nobody has accepted).
    """

    __slots__ = ("connections", "inflight_bytes", "inflight_requests", "max_connections", "max_inflight_bytes")

    def __init__(self, limits: HttpLimits) -> None:
        self.max_connections = limits.max_connections
        self.max_inflight_bytes = limits.max_inflight_bytes
        self.connections = 0
        self.inflight_requests = 0
        self.inflight_bytes = 0

    def fits(self, more: int) -> bool:
        """Whether ``more`` bytes can be taken in without passing the cap."""
        return self.inflight_bytes + more <= self.max_inflight_bytes
