"""When a reload has ended: once every worker that was asked for it has finished its own, or has ended itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from logops_fast.runtime.heartbeat import Board
from logops_fast.runtime.places import Place

PATIENCE: Final = 30.0
"""Seconds; a worker that hangs does not keep the service manager waiting."""


class Reloading:
    """Follows one reload at a time, through the counts on the board. Pure: the supervisor gives it the time."""

    def __init__(self, places: Sequence[Place], board: Board) -> None:
        self._places = places
        self._board = board
        self._asked: dict[int, int] = {}  # by process: the count of its place at which its reload has ended
        self._until = 0.0

    def begin(self, now: float) -> None:
        """Note that every worker is asked to reload at ``now`` (monotonic seconds); a later one replaces this one."""
        self._asked = {place.pid: self._board.reloads(place.number) + 1 for place in self._places if place.pid}
        self._until = now + PATIENCE

    def ended(self, now: float) -> bool:
        """Return True once, when the reload has ended or ``PATIENCE`` is over."""
        if not self._asked:
            return False
        # A process that has ended has no place any more; its successor reads everything at its start.
        if now < self._until and any(
            self._board.reloads(place.number) < self._asked.get(place.pid, 0) for place in self._places
        ):
            return False
        self._asked = {}
        return True
