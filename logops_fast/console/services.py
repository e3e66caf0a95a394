"""What the pages are given: made by ``logops console``, which knows the settings and the keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from logops_fast.console.history import Runs
from logops_fast.console.monitor import Monitor
from logops_fast.console.orchestrator import Orchestrator
from logops_fast.emitters.scenario import Scenario


@dataclass(frozen=True)
class Services:
    """The parts of one console. ``scenarios`` is the library, ``files`` lists the stored files, oldest first."""

    monitor: Monitor
    orchestrator: Orchestrator
    scenarios: Mapping[str, Scenario]
    files: Callable[[], Sequence[Path]]

    @property
    def runs(self) -> Runs:
        """The past runs."""
        return self.orchestrator.runs
