"""What the live page shows beyond the figures of one moment: the last minutes, and the health in words. Pure.

The figures are those of ``logops top``, :mod:`logops_fast.telemetry.overview`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from logops_fast.telemetry.overview import AUTH_LATENCY, BATCH_LATENCY, Overview, WorkerFigures
from logops_fast.telemetry.scrape import Scrape, histogram_quantile

SECONDS: Final = 300
"""Seconds that the charts and the table of refusals look back."""
LATENCY_WINDOW: Final = 10.0
"""Seconds over which a point of the latency chart is computed: in a second alone there may be few batches."""
MAX_REASONS: Final = 12
LAGGING: Final = 60.0
"""Seconds from which on a shipper's lag is a warning."""

State = Literal["good", "warn", "bad", "off"]


class Check(NamedTuple):
    """One line of the health panel."""

    name: str
    state: State
    text: str


class Moment(NamedTuple):
    """One point of the charts. Rates are a second, latencies in seconds; None if nothing was answered.

    ``at`` is in epoch seconds. ``offered`` are the events that were authenticated and counted, ``accepted`` those that
    the rate limit let through, ``stored`` those that are in the files; ``refused`` are requests.
    """

    at: float
    offered: float
    accepted: float
    stored: float
    refused: float
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class _Counters:
    """What is kept of one reading: a scrape has thousands of series."""

    at: float
    stored: float
    unreadable: float
    denied: float
    refused: Mapping[str, float] = field(repr=False)
    latency: Mapping[float, float] = field(repr=False)

    @classmethod
    def of(cls, scrape: Scrape) -> _Counters:
        def total(name: str) -> float:
            return scrape.total(name) or 0.0

        return cls(
            at=scrape.at,
            stored=total("logops_accepted_total"),
            unreadable=total("logops_parse_errors_total") + total("logops_events_too_large_total"),
            denied=total("logops_ratelimit_denied_events_total"),
            refused=scrape.by("reason", "logops_rejected_total"),
            latency=scrape.buckets(BATCH_LATENCY) or scrape.buckets(AUTH_LATENCY),
        )


class Timeline:
    """The readings of the last ``SECONDS``. One that failed leaves a gap."""

    def __init__(self) -> None:
        self._kept: deque[_Counters] = deque()
        self._moments: deque[Moment | None] = deque()
        self._interrupted = False

    @property
    def moments(self) -> Sequence[Moment | None]:
        """One for each reading after the first, the newest last; None for a gap."""
        return tuple(self._moments)

    @property
    def latest(self) -> Moment | None:
        """The newest; None if the last reading failed or was the first."""
        return self._moments[-1] if self._moments else None

    def add(self, scrape: Scrape, wall: float) -> None:
        """Take the next scrape, of ``wall`` in epoch seconds."""
        now = _Counters.of(scrape)
        before = self._kept[-1] if self._kept else None
        self._kept.append(now)
        if before is not None and not self._interrupted and now.at > before.at:
            self._moments.append(self._moment(before, now, wall))
        self._interrupted = False
        while self._kept[0].at < now.at - SECONDS:
            self._kept.popleft()
        while self._moments and (first := self._moments[0]) is not None and first.at < wall - SECONDS:
            self._moments.popleft()
            while self._moments and self._moments[0] is None:
                self._moments.popleft()

    def fail(self) -> None:
        """Note that nothing could be read."""
        self._interrupted = True
        if self._moments and self._moments[-1] is not None:
            self._moments.append(None)

    def refusals(self) -> list[tuple[str, float]]:
        """Return how many requests were refused by reason in what is kept, the most frequent first."""
        if not self._kept:
            return []
        first, last = self._kept[0].refused, self._kept[-1].refused
        grown = [(reason, _growth(first.get(reason, 0.0), count)) for reason, count in last.items()]
        return sorted((pair for pair in grown if pair[1] > 0), key=lambda pair: -pair[1])[:MAX_REASONS]

    def _moment(self, before: _Counters, now: _Counters, wall: float) -> Moment:
        seconds = now.at - before.at
        stored = _growth(before.stored, now.stored) / seconds
        accepted = stored + _growth(before.unreadable, now.unreadable) / seconds
        offered = accepted + _growth(before.denied, now.denied) / seconds
        refused = sum(_growth(before.refused.get(reason, 0.0), count) for reason, count in now.refused.items())
        start = next((one for one in reversed(self._kept) if one.at <= now.at - LATENCY_WINDOW), self._kept[0])
        window = {edge: _growth(start.latency.get(edge, 0.0), count) for edge, count in now.latency.items()}
        p50, p95, p99 = (histogram_quantile(quantile, window) for quantile in (0.5, 0.95, 0.99))
        return Moment(wall, offered, accepted, stored, refused / seconds, p50, p95, p99)


def health(overview: Overview) -> list[Check]:
    """Return the health of everything that answers; what does not is said first."""
    found = [Check("admin listener", "bad", problem) for problem in overview.problems]
    if overview.unready:
        found.append(Check("gateway", "bad", overview.unready))
    found += [_worker(one) for one in overview.workers]
    sink = overview.sink
    if sink is not None:
        commit = "" if sink.commit_p99 is None else f", commit p99 {sink.commit_p99 * 1e3:,.1f} ms"
        text = f"{sink.bytes_per_second / 1e6:,.2f} MB/s{commit}"
        if sink.errors:
            text += f", {sink.errors:,.0f} failed writes since the start: the gateway's log says why"
        if sink.stalled:
            text = "stalled: the disk does not answer"
        found.append(Check("sink", "bad" if sink.stalled else "warn" if sink.errors else "good", text))
    if overview.breaker is not None:
        found.append(Check("circuit breaker", "good" if overview.breaker == "closed" else "bad", overview.breaker))
    if overview.restarts:
        found.append(Check("restarts", "warn", f"{overview.restarts:,.0f} workers were restarted"))
    found.append(_shipper(overview))
    return found


def _worker(one: WorkerFigures) -> Check:
    parts = [one.state, f"heartbeat {one.heartbeat_age:.1f} s ago"]
    if one.cores is not None:
        parts.append(f"{one.cores:.0%} of a core")
    if one.resident_bytes is not None:
        parts.append(f"{one.resident_bytes / 1e6:,.0f} MB")
    if one.connections is not None:
        parts.append(f"{one.connections:,.0f} connections")
    text = ", ".join(parts) + (f": {one.detail}" if one.detail else "")
    return Check(f"worker {one.number}", "good" if one.state == "ready" else "bad", text)


def _shipper(overview: Overview) -> Check:
    shipper = overview.shipper
    if shipper is None:
        return Check("shipper", "off", "does not run here")
    text = (
        f"{shipper.lag_bytes / 1e6:,.2f} MB and {shipper.lag_seconds:,.0f} s behind, "
        f"{shipper.lines_per_second:,.0f} lines a second"
    )
    if shipper.refused:
        text += f"; Loki took {shipper.refused:,.0f} lines not"
    return Check("shipper", "warn" if shipper.refused or shipper.lag_seconds > LAGGING else "good", text)


def _growth(before: float, now: float) -> float:
    """Return how much a counter grew; one that is lower was reset, and grew by what it has."""
    return now if now < before else now - before
