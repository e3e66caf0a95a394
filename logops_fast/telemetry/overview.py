"""What running gateways do, from their metrics and /readyz: the figures that people watch. Pure.

``History`` takes what each admin listener answered at one moment and returns an ``Overview``. Rates are over the last
``RECENT`` seconds; the latency is over the window of the SLO's 95th percentile, or since the first reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from logops_fast.telemetry.scrape import Scrape, histogram_quantile

RECENT: Final = 5.0
"""Seconds that a rate is taken over."""
KEPT: Final = 1000
"""Readings whose rates are kept for a chart."""

BATCH_LATENCY: Final = "logops_batch_latency_seconds"
AUTH_LATENCY: Final = "logops_auth_request_latency_seconds"
SINK_STALLED: Final = "sink_stalled"
BREAKER: Final = ("closed", "half-open", "open")
_LATENCY_EVERY: Final = 1.0  # seconds between two readings of the latency that are kept

Buckets = Mapping[float, float]


@dataclass(frozen=True)
class Reading:
    """What one admin listener answered: /metrics, and the members of /readyz. ``problem`` says why it did not."""

    door: str
    scrape: Scrape | None = None
    ready: Mapping[str, Any] | None = None
    problem: str = ""


@dataclass(frozen=True)
class Rates:
    """Events a second: ``received`` are those stored, unreadable, too large and over the rate limit."""

    received: float
    stored: float


@dataclass(frozen=True)
class Latency:
    """Of batches over the last ``seconds``, in seconds; ``share_fast`` (0 to 1) took less than the SLO's threshold."""

    p50: float | None
    p95: float | None
    p99: float | None
    share_fast: float | None
    batches: float
    seconds: float


@dataclass(frozen=True)
class Refusals:
    """Requests refused by one gateway for one reason: a second, and since the gateway's start."""

    gateway: str
    reason: str
    emitter: str
    per_second: float
    total: float


@dataclass(frozen=True)
class EmitterFigures:
    """Events stored and requests refused of an emitter, a second and in all, and its recent 95th percentile."""

    name: str
    stored_per_second: float
    stored: float
    refused_per_second: float
    p95: float | None


@dataclass(frozen=True)
class WorkerFigures:
    """One worker: its state as /readyz names it, seconds since its heartbeat, cores, bytes, connections of clients."""

    door: str
    number: str
    state: str
    detail: str
    heartbeat_age: float
    cores: float | None
    resident_bytes: float | None
    connections: float | None


@dataclass(frozen=True)
class SinkFigures:
    """The file sink: bytes a second, recent times of a group commit in seconds, failed commits, whether it stalls."""

    bytes_per_second: float
    commit_p50: float | None
    commit_p99: float | None
    errors: float
    stalled: bool


@dataclass(frozen=True)
class ShipperFigures:
    """The shipper: bytes and seconds it lags behind, lines a second, and lines that Loki did not take."""

    lag_bytes: float
    lag_seconds: float
    lines_per_second: float
    refused: float


@dataclass(frozen=True)
class Overview:
    """All figures of one moment. What no listener reports is None."""

    version: str
    build: str
    problems: tuple[str, ...]
    unready: str
    rates: Rates | None
    latency: Latency | None
    refusals: tuple[Refusals, ...]
    emitters: tuple[EmitterFigures, ...]
    workers: tuple[WorkerFigures, ...]
    sink: SinkFigures | None
    shipper: ShipperFigures | None
    breaker: str | None
    inflight: float | None
    inflight_bytes: float | None
    queued: float | None
    restarts: float


class History:
    """Readings over time. ``window`` is that of the SLO, in seconds, and ``threshold`` its latency."""

    def __init__(self, window: float, threshold: float) -> None:
        self._window = window
        self._threshold = threshold
        self._doors: dict[str, deque[Scrape]] = {}
        self._latencies: deque[tuple[float, Buckets]] = deque()
        self.rates: deque[Rates] = deque(maxlen=KEPT)
        """The rates between each two readings, oldest first."""

    def add(self, readings: Sequence[Reading]) -> Overview:
        """Take what the listeners answered at one moment, and return the figures."""
        scrapes = [reading.scrape for reading in readings if reading.scrape is not None]
        now = merged(scrapes)
        steps, recents = [], {}
        for reading in readings:
            if reading.scrape is None:
                self._doors.pop(reading.door, None)
                continue
            before = self._doors.setdefault(reading.door, deque())
            while len(before) > 1 and before[1].at <= reading.scrape.at - RECENT:
                before.popleft()
            if before:
                steps.append(reading.scrape.since(before[-1]))
                recents[reading.door] = reading.scrape.since(before[0])
            before.append(reading.scrape)
        recent = merged([*recents.values()])
        if steps and (rates := _rates(merged(steps))) is not None:
            self.rates.append(rates)
        version, build = _build(scrapes)
        return Overview(
            version=version,
            build=build,
            problems=tuple(reading.problem for reading in readings if reading.problem),
            unready=_unready(readings),
            rates=_rates(recent),
            latency=self._latency(now),
            refusals=_refusals(now, recent),
            emitters=_emitters(now, recent),
            workers=tuple(one for reading in readings for one in _workers(reading, recents.get(reading.door))),
            sink=_sink(now, recent, readings),
            shipper=_shipper(now, recent),
            breaker=_breaker(scrapes),
            inflight=now.total("logops_inflight"),
            inflight_bytes=now.total("logops_inflight_bytes"),
            queued=now.total("logops_queued_batches"),
            restarts=now.total("logops_worker_restarts_total") or 0.0,
        )

    def _latency(self, now: Scrape) -> Latency | None:
        """Return the latency over the window, from the oldest reading in it."""
        buckets = now.buckets(BATCH_LATENCY) or now.buckets(AUTH_LATENCY)
        kept = self._latencies
        if not buckets:
            if now.total("logops_inflight") is not None:  # a gateway without a batch yet: its first ones count
                kept.clear()
                kept.append((now.at, {}))
            return None
        while len(kept) > 1 and kept[1][0] <= now.at - self._window:
            kept.popleft()
        if kept and buckets[inf] < kept[-1][1].get(inf, 0.0):
            kept.clear()  # the gateway was started again
        if not kept:
            kept.append((now.at, buckets))
            return Latency(None, None, None, None, 0.0, 0.0)
        began, before = kept[0]
        if now.at - kept[-1][0] >= _LATENCY_EVERY:
            kept.append((now.at, buckets))
        grown = {edge: count - before.get(edge, 0.0) for edge, count in buckets.items()}
        batches = grown[inf]
        p50, p95, p99 = (histogram_quantile(q, grown) for q in (0.5, 0.95, 0.99))
        share = grown[self._threshold] / batches if batches > 0 and self._threshold in grown else None
        return Latency(p50, p95, p99, share, batches, now.at - began)


def merged(scrapes: Sequence[Scrape]) -> Scrape:
    """Return one scrape with the sum of each series."""
    if len(scrapes) == 1:
        return scrapes[0]
    samples: dict[str, dict[Any, float]] = {}
    for scrape in scrapes:
        for name, series in scrape.samples.items():
            sums = samples.setdefault(name, {})
            for labels, value in series.items():
                sums[labels] = sums.get(labels, 0.0) + value
    return Scrape(max((scrape.at for scrape in scrapes), default=0.0), samples)


def _rates(grown: Scrape) -> Rates | None:
    """Return the rates; None if no Ingest Gateway was asked, which alone knows what is stored."""
    if grown.at <= 0.0 or "logops_sink_bytes_total" not in grown.samples:
        return None
    stored = grown.rate("logops_accepted_total") or 0.0  # no series yet: nothing was stored since the start
    lost = sum(
        grown.rate(name) or 0.0
        for name in (
            "logops_parse_errors_total",
            "logops_events_too_large_total",
            "logops_ratelimit_denied_events_total",
        )
    )
    return Rates(stored + lost, stored)


def _refusals(now: Scrape, recent: Scrape) -> tuple[Refusals, ...]:
    name = "logops_rejected_total"
    grown = recent.samples.get(name, {})
    found = []
    for labels, total in now.samples.get(name, {}).items():
        of = dict(labels)
        rate = grown.get(labels, 0.0) / recent.at if recent.at > 0.0 else 0.0
        found.append(Refusals(of["gateway"], of["reason"], of["emitter"], rate, total))
    return tuple(found)


def _emitters(now: Scrape, recent: Scrape) -> tuple[EmitterFigures, ...]:
    seconds = recent.at if recent.at > 0.0 else inf
    stored = now.by("emitter", "logops_accepted_total")
    rates = recent.by("emitter", "logops_accepted_total")
    refused = recent.by("emitter", "logops_rejected_total")
    latencies = recent.buckets_by("emitter", BATCH_LATENCY) or recent.buckets_by("emitter", AUTH_LATENCY)
    names = sorted({*stored, *now.by("emitter", "logops_rejected_total")})
    return tuple(
        EmitterFigures(
            name,
            rates.get(name, 0.0) / seconds,
            stored.get(name, 0.0),
            refused.get(name, 0.0) / seconds,
            histogram_quantile(0.95, latencies.get(name, {})),
        )
        for name in names
    )


def _workers(reading: Reading, recent: Scrape | None) -> list[WorkerFigures]:
    if reading.ready is None:
        return []
    scrape = reading.scrape or Scrape(0.0, {})
    cpu = recent.by("worker", "logops_worker_cpu_seconds_total") if recent is not None and recent.at > 0.0 else {}
    resident = scrape.by("worker", "logops_worker_resident_memory_bytes")
    connections = scrape.by("worker", "logops_worker_connections")
    found = []
    for one in reading.ready.get("workers", ()):
        number = str(one.get("worker", ""))
        found.append(
            WorkerFigures(
                reading.door,
                number,
                str(one.get("state", "")),
                str(one.get("detail", "")),
                float(one.get("heartbeat_age", 0.0)),
                cpu[number] / recent.at if recent is not None and number in cpu else None,
                resident.get(number),
                connections.get(number),
            )
        )
    return found


def _sink(now: Scrape, recent: Scrape, readings: Sequence[Reading]) -> SinkFigures | None:
    if now.total("logops_sink_bytes_total") is None:
        return None
    states = {one.get("state") for reading in readings for one in (reading.ready or {}).get("workers", ())}
    return SinkFigures(
        recent.rate("logops_sink_bytes_total") or 0.0,
        recent.quantile(0.5, "logops_sink_commit_seconds"),
        recent.quantile(0.99, "logops_sink_commit_seconds"),
        now.total("logops_sink_errors_total") or 0.0,
        SINK_STALLED in states,
    )


def _shipper(now: Scrape, recent: Scrape) -> ShipperFigures | None:
    lag = now.total("logops_ship_lag_bytes")
    if lag is None:
        return None
    return ShipperFigures(
        lag,
        now.total("logops_ship_lag_seconds") or 0.0,
        recent.rate("logops_ship_entries_total") or 0.0,
        now.total("logops_ship_refused_entries_total") or 0.0,
    )


def _breaker(scrapes: Sequence[Scrape]) -> str | None:
    states = [state for scrape in scrapes if (state := scrape.total("logops_circuit_breaker_state")) is not None]
    return BREAKER[min(int(max(states)), len(BREAKER) - 1)] if states else None


def _build(scrapes: Sequence[Scrape]) -> tuple[str, str]:
    for scrape in scrapes:
        for labels in scrape.samples.get("logops_build_info", {}):
            of = dict(labels)
            return of.get("version", ""), of.get("build", "")
    return "", ""


def _unready(readings: Sequence[Reading]) -> str:
    for reading in readings:
        if reading.ready is not None and "error" in reading.ready:
            door = f"{reading.door} is " if len(readings) > 1 else ""
            return f"{door}{reading.ready['error']}: {reading.ready.get('detail', '')}"
    return ""
