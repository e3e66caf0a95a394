"""The turns of an event loop, made by hand: what is scheduled, and when a timer fires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from logops_fast.formats.work_queue import WorkQueue


class Timer:
    """A call_later that a test fires."""

    def __init__(self, delay: float, callback: Callable[[], None]) -> None:
        self.delay = delay
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Turns:
    """A loop whose turns a test makes one by one. Every step takes a whole slice of its clock."""

    def __init__(self, **options: Any) -> None:
        self.scheduled: list[Callable[[], None]] = []
        self.timers: list[Timer] = []
        self.made = 0
        self.now = 0.0
        self.queue = WorkQueue(call_soon=self.scheduled.append, call_later=self._later, clock=self._clock, **options)

    def _clock(self) -> float:
        self.now += 1.0
        return self.now

    def _later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(delay, callback))
        return self.timers[-1]

    def make(self, turns: int = 1) -> None:
        for _ in range(turns):
            if self.scheduled:
                self.made += 1
                self.scheduled.pop(0)()

    def run(self) -> int:
        """Make turns until nothing is scheduled; returns how many."""
        before = self.made
        while self.scheduled:
            self.make()
        return self.made - before
