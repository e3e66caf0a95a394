"""The state of the one run that a console has, and what may follow what. Pure.

idle -> running -> done | failed -> running ...
           |-> stopping -> done | failed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from logops_fast.console.profile import Curve
from logops_fast.emitters.runner import Progress
from logops_fast.emitters.scenario import Scenario
from logops_fast.emitters.totals import Totals
from logops_fast.errors import LogOpsError

MAX_POINTS: Final = 2_000
"""Ticks whose rate is kept for the chart: of a longer run, every second one, then every fourth, and so on."""


class Phase(StrEnum):
    """Where a run is."""

    IDLE = "idle"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"


class RunError(LogOpsError):
    """What was asked for cannot be done now; the text says why."""


@dataclass
class RunState:
    """A run from its start to its outcome; a new one replaces it."""

    phase: Phase = Phase.IDLE
    scenario: Scenario | None = None
    curve: Curve = field(default_factory=Curve)
    record: str = ""
    """The name of the file with the run's telemetry."""
    points: list[tuple[float, float, float]] = field(default_factory=list)
    """For each tick: its end in seconds, the target and the achieved events a second."""
    progress: Progress | None = None
    totals: Totals | None = None
    unmet: Sequence[str] = ()
    problem: str = ""
    version: int = 0
    """Grows with each change, so that a page knows whether it is up to date."""
    _every: int = 1
    _ticks: int = 0

    @property
    def active(self) -> bool:
        """Whether traffic is being sent."""
        return self.phase in (Phase.RUNNING, Phase.STOPPING)

    @property
    def share(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.phase is Phase.DONE:
            return 1.0
        progress = self.progress
        return 0.0 if progress is None else min(1.0, progress.elapsed / progress.duration)

    def begin(self, scenario: Scenario, curve: Curve, record: str) -> RunState:
        """Return the state of the next run, which starts. Raises RunError if this one is not over."""
        if self.active:
            name = "" if self.scenario is None else self.scenario.name
            raise RunError(f"{name} is still running: stop it first, or wait for its end.")
        return RunState(Phase.RUNNING, scenario, curve, record, version=self.version + 1)

    def tick(self, progress: Progress) -> None:
        """Note the end of a tick. One that comes after the end of the run changes nothing."""
        if not self.active:
            return
        self.progress = progress
        if self._ticks % self._every == 0:
            self.points.append((progress.elapsed, progress.target_eps, progress.achieved_eps))
            if len(self.points) > MAX_POINTS:
                del self.points[1::2]
                self._every *= 2
        self._ticks += 1
        self.version += 1

    def ask_stop(self) -> None:
        """Note that the run shall end after this tick. Raises RunError if there is none."""
        if not self.active:
            raise RunError("Nothing is running.")
        self.phase = Phase.STOPPING
        self.version += 1

    def end(self, totals: Totals, unmet: Sequence[str]) -> None:
        """Note the outcome of a run that came to its end, or was stopped."""
        self._finish(Phase.DONE)
        self.totals = totals
        self.unmet = unmet

    def fail(self, problem: str) -> None:
        """Note why a run could not go on."""
        self._finish(Phase.FAILED)
        self.problem = problem

    def verdict(self) -> str:
        """Return the outcome in a sentence; nothing while there is none."""
        if self.phase is Phase.FAILED:
            return f"The run failed: {self.problem}"
        if self.phase is not Phase.DONE or self.totals is None:
            return ""
        totals = self.totals
        if totals.interrupted:
            return f"Stopped after {totals.seconds:g} s: {totals.accepted.events:,} of {totals.sent.events:,} accepted."
        if self.unmet:
            return f"Not as expected: {'; '.join(self.unmet)}."
        return f"As expected: {totals.accepted.events:,} of {totals.sent.events:,} events accepted."

    def _finish(self, phase: Phase) -> None:
        if not self.active:
            raise RunError("Nothing is running.")
        self.phase = phase
        self.version += 1
