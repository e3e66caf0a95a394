"""Bytes that a connection has read but not used yet, charged to the process's budget."""

from __future__ import annotations

from logops_fast.http.budget import Budget


class ReceiveBuffer:
    """The unused bytes of one connection: part of a head, pipelined requests, a body nobody has accepted.

    ``size`` is their number, all of it charged to the budget. ``searched`` is how many of them are known not to
    contain the end of a head: without it a head that arrives byte by byte is searched from its start each time.
    """

    __slots__ = ("_budget", "_data", "searched", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._data = b""
        self.size = 0
        self.searched = 0

    def __repr__(self) -> str:
        return f"<ReceiveBuffer {self.size} bytes, {self.searched} searched>"

    def with_next(self, data: bytes) -> bytes:
        """Return the buffered bytes followed by ``data``; the buffer itself does not change."""
        return self._data + data if self.size else data

    def fits(self, data: bytes) -> bool:
        """Whether the budget allows the buffer to hold ``data`` instead of what it holds now."""
        more = len(data) - self.size
        return more <= 0 or self._budget.fits(more)

    def replace(self, data: bytes) -> None:
        """Hold ``data`` instead of what is held now, and charge the difference."""
        self._budget.inflight_bytes += len(data) - self.size
        self.size = len(data)
        self._data = data

    def take(self) -> int:
        """Empty the buffer, release its charge, and return how many of its bytes were searched."""
        searched, self.searched = self.searched, 0
        self.clear()
        return searched

    def clear(self) -> None:
        """Drop what is held and release its charge."""
        if self.size:
            self._budget.inflight_bytes -= self.size
            self.size = 0
            self._data = b""
