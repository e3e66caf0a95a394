"""A run as its telemetry recorded it: the ticks of all emitters put together, and the totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.config.errors import ConfigError
from logops_fast.config.slo import Slo, load_slo
from logops_fast.emitters.telemetry import END, START, TICK

OTHERS: Final = "others"


@dataclass(slots=True)
class Step:
    """One tick of all emitters together. Rates are events a second; latencies in seconds, of the slowest emitter."""

    at: float
    lasted: float
    target: float = 0.0
    accepted: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    latency: dict[str, float] = field(default_factory=dict)

    @property
    def middle(self) -> float:
        """Seconds from the start to the middle of the tick."""
        return self.at + self.lasted / 2


@dataclass(slots=True)
class Record:
    """A recorded run. ``end`` is empty if the run was cut off."""

    start: dict[str, Any]
    steps: list[Step]
    end: dict[str, Any]
    slo: Slo

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self.start["name"])

    @property
    def seconds(self) -> float:
        """Seconds from the start to the end of the last tick."""
        return self.steps[-1].at + self.steps[-1].lasted

    @property
    def edges(self) -> list[float]:
        """Seconds from the start to the beginning of each tick, and to the end of the last."""
        return [*(step.at for step in self.steps), self.seconds]

    @property
    def totals(self) -> dict[str, Any]:
        """The totals of all emitters."""
        found: dict[str, Any] = self.end.get("totals", {})
        return found

    @property
    def reasons(self) -> list[str]:
        """Reasons for which events were refused, the most frequent first."""
        summed: Counter[str] = Counter()
        for step in self.steps:
            summed.update(step.refused)
        return [reason for reason, _ in summed.most_common()]

    def refusals(self, most: int) -> dict[str, list[float]]:
        """Return the rate of each step by reason: the ``most`` frequent reasons, and all others together."""
        reasons = self.reasons
        series = {reason: [0.0] * len(self.steps) for reason in reasons[:most]}
        if len(reasons) > most:
            series[OTHERS] = [0.0] * len(self.steps)
        for number, step in enumerate(self.steps):
            for reason, rate in step.refused.items():
                series[reason if reason in series else OTHERS][number] += rate
        return series

    def latencies(self, name: str) -> list[tuple[float, float]]:
        """Return the middle of each answered step and its latency ``name`` (``p50``, ``p95``, ``p99``), in seconds."""
        return [(step.middle, step.latency[name]) for step in self.steps if name in step.latency]


def read(path: Path) -> Record:
    """Read telemetry. Raises ConfigError if it is none, OSError if it cannot be read."""
    return parse(path.read_bytes().splitlines(), str(path))


def parse(lines: Iterable[bytes], name: str) -> Record:
    """Read the lines of telemetry; ``name`` is that of the file, for errors. Raises ConfigError."""
    start: dict[str, Any] = {}
    end: dict[str, Any] = {}
    steps: dict[int, Step] = {}
    lines = list(lines)
    for number, line in enumerate(lines, 1):
        try:
            row = orjson.loads(line)
            if row["event"] == START:
                start, end, steps = row, {}, {}  # several runs in one file: the last one counts
            elif row["event"] == END:
                end = row
            elif row["event"] == TICK:
                _add(steps, row)
        except (ValueError, KeyError, TypeError, AttributeError):
            if number == len(lines):
                break  # the unfinished line of a killed run
            raise ConfigError("expected the telemetry of a run (--log-file)", f"{name}:{number}") from None
    if not start or not steps:
        raise ConfigError(f"{name}: holds no run; it is what `logops scenario run --log-file` writes")
    if start.get("dry_run"):
        raise ConfigError(f"{name}: is of a dry run, in which nothing was sent")
    return Record(start, [steps[number] for number in sorted(steps)], end, load_slo())


def _add(steps: dict[int, Step], row: dict[str, Any]) -> None:
    number, lasted = row["tick"], row["tick_sec"]
    step = steps.setdefault(number, Step(row["t_rel"], lasted))
    step.target += row["eff_eps"]
    step.accepted += row["accepted"] / lasted
    for reason, events in row["refused"].items():
        step.refused[reason] += events / lasted
    for name, value in row["latency"].items():
        if value is not None:
            step.latency[name] = max(value, step.latency.get(name, 0.0))
