"""What became of the events: counted for each emitter and tick, and summed up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from hdrh.histogram import HdrHistogram

MAX_LATENCY_US: Final = 600_000_000
PERCENTILES: Final = (50.0, 95.0, 99.0)
_DIGITS: Final = 3


class Latency(NamedTuple):
    """Percentiles in seconds, from the moment a batch was due; None if nothing was answered."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class LatencyRecorder:
    """An HdrHistogram of seconds, microsecond resolution, three digits."""

    __slots__ = ("_histogram",)

    def __init__(self) -> None:
        self._histogram: Any = HdrHistogram(1, MAX_LATENCY_US, _DIGITS)

    def record(self, seconds: float) -> None:
        """Count one latency."""
        self._histogram.record_value(min(MAX_LATENCY_US, max(1, int(seconds * 1e6))))

    def latency(self) -> Latency:
        """Return the percentiles so far."""
        if not self._histogram.get_total_count():
            return Latency()
        found = self._histogram.get_percentile_to_value_dict(list(PERCENTILES))
        return Latency(*(found[percentile] / 1e6 for percentile in PERCENTILES))


class Count(NamedTuple):
    """A number of events, and of the batches that had them."""

    events: int = 0
    batches: int = 0

    def plus(self, events: int, batches: int = 1) -> Count:
        """Return the sum."""
        return Count(self.events + events, self.batches + batches)


NOTHING: Final = Count()
UNKNOWN: Final = Latency()


@dataclass(slots=True)
class Totals:
    """What became of the events of an emitter or of a whole run.

    Each batch ends in one way: ``accepted`` (``rejected`` are its events that could not be read), or ``refused``, by
    ``"<status> <reason>"`` or, without an answer, by the kind of failure. ``lost`` is what was neither accepted nor
    rejected. Replays are the copies of an attack, which count nowhere else.
    """

    sent: Count = NOTHING
    accepted: Count = NOTHING
    rejected: Count = NOTHING
    refused: dict[str, Count] = field(default_factory=dict)
    retries: int = 0
    replays_refused: Counter[str] = field(default_factory=Counter)
    replays_accepted: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    latency: Latency = UNKNOWN
    seconds: float = 0.0
    interrupted: bool = False
    emitters: dict[str, Totals] = field(default_factory=dict)

    @property
    def lost(self) -> Count:
        """Everything that was finally refused or never answered."""
        return Count(sum(c.events for c in self.refused.values()), sum(c.batches for c in self.refused.values()))

    @property
    def p50(self) -> float | None:
        """In seconds; None if nothing was answered."""
        return self.latency.p50

    @property
    def p95(self) -> float | None:
        """In seconds; None if nothing was answered."""
        return self.latency.p95

    @property
    def p99(self) -> float | None:
        """In seconds; None if nothing was answered."""
        return self.latency.p99

    def refuse(self, reason: str, events: int) -> None:
        """Count one batch as refused."""
        self.refused[reason] = self.refused.get(reason, Count()).plus(events)

    def add(self, other: Totals) -> None:
        """Add the counts of another; latency, time and emitters are not added."""
        self.sent = self.sent.plus(*other.sent)
        self.accepted = self.accepted.plus(*other.accepted)
        self.rejected = self.rejected.plus(*other.rejected)
        for reason, count in other.refused.items():
            self.refused[reason] = self.refused.get(reason, Count()).plus(*count)
        self.retries += other.retries
        self.replays_refused += other.replays_refused
        self.replays_accepted += other.replays_accepted
        self.levels += other.levels

    def as_fields(self) -> dict[str, Any]:
        """Return the fields for telemetry: events, batches and percentiles in seconds."""
        fields: dict[str, Any] = {
            "sent": self.sent.events,
            "accepted": self.accepted.events,
            "rejected": self.rejected.events,
            "refused": {reason: count.events for reason, count in sorted(self.refused.items())},
            "lost": self.lost.events,
            "batches": {
                "sent": self.sent.batches,
                "accepted": self.accepted.batches,
                "refused": {reason: count.batches for reason, count in sorted(self.refused.items())},
                "retries": self.retries,
            },
            "latency": self.latency._asdict(),
            "levels": dict(sorted(self.levels.items())),
        }
        if self.replays_refused or self.replays_accepted:
            fields["replays"] = {
                "refused": dict(sorted(self.replays_refused.items())),
                "accepted": self.replays_accepted,
            }
        return fields


def unmet(totals: Totals, refused_with: tuple[int, ...], all_accepted: tuple[str, ...]) -> list[str]:
    """Return a sentence for each expectation that was not met; no replay may ever be accepted."""
    found = []
    if totals.replays_accepted:
        found.append(f"{totals.replays_accepted} replayed requests were accepted")
    statuses = {reason.split(" ", 1)[0] for reason in totals.refused}
    statuses |= {reason.split(" ", 1)[0] for reason in totals.replays_refused}
    found += [f"nothing was refused with {status}" for status in refused_with if str(status) not in statuses]
    for name in all_accepted:
        emitter = totals.emitters.get(name, Totals())
        if emitter.lost.events:
            found.append(
                f"{emitter.lost.events} events of {name} were not accepted ({', '.join(sorted(emitter.refused))})"
            )
        elif not emitter.sent.events:
            found.append(f"{name} sent nothing")
    return found
