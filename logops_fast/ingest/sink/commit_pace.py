"""How long a commit waits for more batches: not at all while CPU is idle, two milliseconds when none is.

A commit costs a sync whatever it holds (100 to 150 us of CPU), a fifth of all with single events. With CPU to spare,
waiting would only add to every answer; under load it lets batches share a commit, which gives that CPU back.
Pure: clocks are parameters.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 0.002
"""Seconds from the begin of one commit to the next when the process is as busy as a core can be."""

IDLE: Final = 0.25
"""Cores in use below which nothing waits."""

FULL: Final = 0.9
"""Cores in use from which on a commit waits for ``LONGEST``."""

WINDOW: Final = 0.025
"""Seconds over which the process's CPU time is measured: long against a commit, short against a burst."""


class CommitPace:
    """The time of the next commit. ``longest`` in seconds; 0 never waits."""

    __slots__ = ("_longest", "_not_before", "_seconds", "_since", "_used")

    def __init__(self, longest: float = LONGEST) -> None:
        self._longest = longest
        self._seconds = 0.0
        self._not_before = 0.0
        self._since = 0.0
        self._used = 0.0

    def begin(self, now: float, cpu: float) -> None:
        """Note that a commit begins: ``now`` in monotonic seconds, ``cpu`` the seconds of CPU the process has used."""
        elapsed = now - self._since
        if elapsed >= WINDOW:
            busy = (cpu - self._used) / elapsed
            share = min(1.0, max(0.0, (busy - IDLE) / (FULL - IDLE)))
            # Squared: at half load CPU is available, and the wait would be most of the latency of an answer.
            self._seconds = self._longest * share * share
            self._since = now
            self._used = cpu
        self._not_before = now + self._seconds

    def wait(self, now: float) -> float:
        """Return the seconds until the next commit may begin; 0 or less is now."""
        return self._not_before - now
