"""What the live page shows, from one reading of the metrics after another. Pure: time comes with the readings."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from logops_fast.config.slo import Slo
from logops_fast.telemetry.scrape import Scrape, histogram_quantile

SECONDS: Final = 300
"""Seconds of history that the charts show; the SLO's p95 window is kept besides if it is longer."""
LATENCY_WINDOW: Final = 10.0
"""Seconds over which a point of the latency chart is computed: in a second alone there may be few batches."""
MAX_REASONS: Final = 12
PERCENTILES: Final = (0.5, 0.95, 0.99)

_LATENCIES: Final = ("logops_batch_latency_seconds", "logops_auth_request_latency_seconds")
_COMMIT: Final = "logops_sink_commit_seconds"
_BREAKER: Final = ("closed", "half-open", "open")

State = Literal["good", "warn", "bad", "off"]


class Check(NamedTuple):
    """One line of the health panel."""

    name: str
    state: State
    text: str


@dataclass(frozen=True)
class Reading:
    """What is kept of one scrape: counters as they were at ``at`` (seconds), and histograms' cumulative buckets."""

    at: float
    stored: float = 0.0
    unreadable: float = 0.0
    denied: float = 0.0
    refused: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[float, float] = field(default_factory=dict)
    commit: Mapping[float, float] = field(default_factory=dict)
    sink_bytes: float = 0.0
    sink_errors: float = 0.0
    restarts: float = 0.0
    breaker: float | None = None
    inflight: float = 0.0
    memory: float = 0.0

    @classmethod
    def of(cls, scrape: Scrape) -> Reading:
        """Return what is kept of a scrape of a gateway."""

        def total(name: str) -> float:
            return scrape.total(name) or 0.0

        return cls(
            at=scrape.at,
            stored=total("logops_accepted_total"),
            unreadable=total("logops_parse_errors_total") + total("logops_events_too_large_total"),
            denied=total("logops_ratelimit_denied_events_total"),
            refused=scrape.by("reason", "logops_rejected_total"),
            latency=next((found for name in _LATENCIES if (found := scrape.buckets(name))), {}),
            commit=scrape.buckets(_COMMIT),
            sink_bytes=total("logops_sink_bytes_total"),
            sink_errors=total("logops_sink_errors_total"),
            restarts=total("logops_worker_restarts_total"),
            breaker=scrape.total("logops_circuit_breaker_state"),
            inflight=total("logops_inflight"),
            memory=total("process_resident_memory_bytes"),
        )


class Rates(NamedTuple):
    """What came between two readings. Rates are a second, latencies in seconds; None if nothing was answered.

    ``offered`` are the events that were authenticated and counted, ``accepted`` those that the rate limit let through,
    ``stored`` those that are in the files; ``refused`` are requests, by reason.
    """

    at: float
    offered: float
    accepted: float
    stored: float
    refused: float
    p50: float | None
    p95: float | None
    p99: float | None


class History:
    """The readings of the last minutes. A reading that failed leaves a gap."""

    def __init__(self, slo: Slo) -> None:
        self._slo = slo
        self._readings: deque[Reading] = deque()
        self._rates: deque[Rates | None] = deque(maxlen=SECONDS)
        self._interrupted = False

    @property
    def rates(self) -> Sequence[Rates | None]:
        """One for each reading after the first, the newest last; None for a gap."""
        return tuple(self._rates)

    @property
    def latest(self) -> Rates | None:
        """The newest rates; None if the last reading failed or was the first."""
        return self._rates[-1] if self._rates else None

    def add(self, reading: Reading) -> None:
        """Take the next reading."""
        if self._readings and not self._interrupted and reading.at > self._readings[-1].at:
            self._rates.append(self._between(self._readings[-1], reading))
        self._interrupted = False
        self._readings.append(reading)
        oldest = reading.at - max(SECONDS, self._slo.p95_window)
        while self._readings[0].at < oldest:
            self._readings.popleft()

    def fail(self) -> None:
        """Note that nothing could be read."""
        self._interrupted = True
        if self._rates and self._rates[-1] is not None:
            self._rates.append(None)

    def p95(self) -> float | None:
        """Return the p95 in seconds over the SLO's window, or as much of it as there is."""
        return self._quantile(0.95, self._slo.p95_window)

    def fast_share(self) -> float | None:
        """Return the share of batches under the SLO's threshold in what is kept; None if there was no batch."""
        grown = self._grown("latency", float("inf"))
        total = grown.get(float("inf"), 0.0)
        under = max((count for edge, count in grown.items() if edge <= self._slo.threshold), default=0.0)
        return under / total if total else None

    def refusals(self) -> list[tuple[str, float]]:
        """Return how many requests were refused by reason in what is kept, the most frequent first."""
        if not self._readings:
            return []
        first, last = self._readings[0].refused, self._readings[-1].refused
        grown = [(reason, _growth(first.get(reason, 0.0), count)) for reason, count in last.items()]
        return sorted((pair for pair in grown if pair[1] > 0), key=lambda pair: -pair[1])[:MAX_REASONS]

    def checks(self) -> list[Check]:
        """Return the health of sink, breaker and processes as the metrics have it."""
        if not self._readings:
            return []
        first, last = self._readings[0], self._readings[-1]
        found = [self._sink(first, last)]
        if last.breaker is not None:
            state = _BREAKER[min(2, max(0, int(last.breaker)))]
            found.append(Check("circuit breaker", "good" if last.breaker == 0 else "bad", state))
        restarts = _growth(first.restarts, last.restarts)
        processes = f"{last.memory / 2**20:,.0f} MiB, {last.inflight:,.0f} requests in flight"
        if restarts:
            processes += f", {restarts:,.0f} workers restarted in the last minutes"
        found.append(Check("processes", "warn" if restarts else "good", processes))
        return found

    def _sink(self, first: Reading, last: Reading) -> Check:
        errors = _growth(first.sink_errors, last.sink_errors)
        if errors:
            return Check("sink", "bad", f"{errors:,.0f} writes failed in the last minutes: the gateway's log says why")
        commit = histogram_quantile(0.99, self._grown("commit", 60.0))
        if commit is None:
            return Check("sink", "good", "nothing to write in the last minute")
        seconds = min(60.0, last.at - first.at) or 1.0
        before = self._before(seconds)
        rate = _growth(before.sink_bytes, last.sink_bytes) / seconds
        return Check("sink", "good", f"{rate / 1e6:,.2f} MB/s, commit p99 {commit * 1e3:,.1f} ms")

    def _between(self, before: Reading, now: Reading) -> Rates:
        seconds = now.at - before.at
        stored = _growth(before.stored, now.stored) / seconds
        accepted = stored + _growth(before.unreadable, now.unreadable) / seconds
        offered = accepted + _growth(before.denied, now.denied) / seconds
        refused = sum(_growth(before.refused.get(reason, 0.0), count) for reason, count in now.refused.items())
        window = _difference(self._before(LATENCY_WINDOW, now).latency, now.latency)
        quantiles = [histogram_quantile(quantile, window) for quantile in PERCENTILES]
        return Rates(now.at, offered, accepted, stored, refused / seconds, *quantiles)

    def _before(self, seconds: float, now: Reading | None = None) -> Reading:
        """Return the newest reading that is at least ``seconds`` old, else the oldest."""
        at = (now or self._readings[-1]).at
        return next((one for one in reversed(self._readings) if one.at <= at - seconds), self._readings[0])

    def _grown(self, name: str, seconds: float) -> dict[float, float]:
        if not self._readings:
            return {}
        return _difference(getattr(self._before(seconds), name), getattr(self._readings[-1], name))

    def _quantile(self, quantile: float, seconds: float) -> float | None:
        return histogram_quantile(quantile, self._grown("latency", seconds))


def workers(readyz: Mapping[str, Any]) -> list[Check]:
    """Return the gateway's and its workers' state from the answer of the admin listener's /readyz."""
    ready = readyz.get("status") == "ready"
    found = [Check("gateway", "good" if ready else "bad", "ready" if ready else str(readyz.get("detail", "not ready")))]
    for one in readyz.get("workers", ()):
        state = str(one.get("state", "?"))
        text = f"{state}, heartbeat {one.get('heartbeat_age', 0):g} s ago"
        if one.get("detail"):
            text += f": {one['detail']}"
        found.append(Check(f"worker {one.get('worker', '?')}", "good" if state == "ready" else "bad", text))
    return found


def shipper(scrape: Scrape | None, behind: float = 60.0) -> Check:
    """Return the shipper's state from a scrape of it, None if it does not answer; ``behind`` seconds are a warning."""
    if scrape is None:
        return Check("shipper", "off", "not running here")
    lag, seconds = scrape.total("logops_ship_lag_bytes"), scrape.total("logops_ship_lag_seconds")
    if lag is None or seconds is None:
        return Check("shipper", "warn", "runs, and does not say how far it is yet")
    text = f"{lag / 1e6:,.2f} MB behind, {seconds:,.0f} s"
    refused = scrape.total("logops_ship_refused_entries_total") or 0.0
    if refused:
        text += f"; Loki refused {refused:,.0f} lines"
    return Check("shipper", "warn" if seconds > behind or refused else "good", text)


def _difference(before: Mapping[float, float], now: Mapping[float, float]) -> dict[float, float]:
    return {edge: _growth(before.get(edge, 0.0), count) for edge, count in now.items()}


def _growth(before: float, now: float) -> float:
    """Return how much a counter grew; one that is lower was reset, and grew by what it has."""
    return now if now < before else now - before
