"""How long each worker has been silent. Pure: the supervisor feeds it the time and the heartbeats.

A silence counts only while the supervisor itself ran. A machine that was suspended, a container that was frozen or a
supervisor that was stopped together with its workers must not find them all "silent" when it wakes up: so each tick
adds at most ``MAX_STEP`` seconds, whatever the clock says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

TICK: Final = 0.5
"""Seconds between two ticks of the supervisor, and between two heartbeats of a worker."""
MAX_STEP: Final = 2 * TICK
SILENT_AFTER: Final = 5.0
"""Seconds without a heartbeat after which another worker accepts a worker's connections."""
START_PATIENCE: Final = 300.0
"""Seconds of silence allowed to a worker that starts: it may have a long journal to replay before its loop runs."""
UNHEALTHY_AFTER: Final = 30.0
"""Seconds without any serving worker after which the admin listener answers 503 to /healthz."""


class Watchdog:
    """The ages of the last heartbeats, in seconds of the supervisor's own running time."""

    __slots__ = ("_beats", "_heard", "_last_tick", "_running", "_served")

    def __init__(self, places: int, now: float) -> None:
        self._last_tick = now
        self._running = 0.0
        self._served = 0.0
        self._beats = [0] * places
        self._heard = [0.0] * places

    def __repr__(self) -> str:
        return f"<Watchdog {[round(self.age(place), 1) for place in range(len(self._heard))]}>"

    def tick(self, now: float, beats: Sequence[int], serving: Sequence[bool]) -> None:
        """Advance to ``now`` (monotonic seconds).

        ``beats`` are the heartbeat counts of the places; ``serving`` says which of them have a worker that started
        successfully and is not draining.
        """
        self._running += min(max(now - self._last_tick, 0.0), MAX_STEP)
        self._last_tick = now
        for place, count in enumerate(beats):
            if count != self._beats[place]:
                self._beats[place] = count
                self._heard[place] = self._running
                if serving[place]:
                    self._served = self._running

    def restarted(self, place: int) -> None:
        """Reset the age: a new process has taken the place."""
        self._heard[place] = self._running

    def age(self, place: int) -> float:
        """Return the seconds since the last heartbeat of ``place``."""
        return self._running - self._heard[place]

    def silent(self, place: int) -> bool:
        """Return whether the worker of ``place`` has missed its heartbeats for ``SILENT_AFTER`` seconds."""
        return self.age(place) >= SILENT_AFTER

    @property
    def unserved(self) -> float:
        """Seconds since any worker last served."""
        return self._running - self._served
