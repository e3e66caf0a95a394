"""What all connections of one process hold together: sockets, requests and bytes."""

from __future__ import annotations

from logops_fast.http.limits import HttpLimits


class Budget:
    """Counters with caps, shared by every HTTP server of a process.

    The numbers are plain attributes because only the event loop's thread writes them; any thread may read them
    for a gauge. ``inflight_bytes`` counts body bytes delivered for a request that is not answered yet, and bytes
    that were read but not used yet (half a head, pipelined requests, a body nobody has accepted).
    """

    __slots__ = (
        "_per_address",
        "connections",
        "inflight_bytes",
        "inflight_requests",
        "max_connections",
        "max_connections_per_address",
        "max_inflight_bytes",
    )

    def __init__(self, limits: HttpLimits) -> None:
        self.max_connections = limits.max_connections
        self.max_connections_per_address = limits.max_connections_per_address
        self.max_inflight_bytes = limits.max_inflight_bytes
        self.connections = 0
        self.inflight_requests = 0
        self.inflight_bytes = 0
        self._per_address: dict[str, int] = {}

    def fits(self, more: int) -> bool:
        """Whether ``more`` bytes can be taken in without exceeding the cap."""
        return self.inflight_bytes + more <= self.max_inflight_bytes

    def admits(self, address: str) -> bool:
        """Whether ``address`` is below its own cap of connections."""
        return self._per_address.get(address, 0) < self.max_connections_per_address

    def add_connection(self, address: str | None) -> None:
        """Count an accepted connection; None for one that counts against no address (a trusted proxy's)."""
        self.connections += 1
        if address is not None:
            self._per_address[address] = self._per_address.get(address, 0) + 1

    def remove_connection(self, address: str | None) -> None:
        """Undo ``add_connection``."""
        self.connections -= 1
        if address is not None:
            left = self._per_address[address] - 1
            if left:
                self._per_address[address] = left
            else:
                del self._per_address[address]
