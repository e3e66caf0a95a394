"""Metrics of the Ingest Gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from logops_fast.telemetry.families import GatewayMetrics
from logops_fast.telemetry.registry import Bounded, Counter, Histogram, Registry

GATEWAY: Final = "ingest"
MAX_SCENARIOS: Final = 200
# Fine below 50 ms, where the service lives, with an edge at 0.5, where its objective stands.
LATENCY_EDGES: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05,
    0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
COMMIT_EDGES: Final = (
    0.00005, 0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
BATCH_SIZE_EDGES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


class _Series:
    """The series of one emitter and scenario that each batch counts in."""

    __slots__ = ("accepted", "emitter", "levels")

    def __init__(self, accepted: Counter, emitter: str) -> None:
        self.accepted = accepted
        self.emitter = emitter
        """As the label has it."""
        self.levels: dict[str, Counter] = {}


class StoredBatch(Protocol):
    """What is counted of a stored batch."""

    @property
    def count(self) -> int:
        """Events stored."""

    @property
    def missing_ts(self) -> int:
        """Of these, without a readable time of their own."""

    @property
    def missing_level(self) -> int:
        """Of these, without a level of their own."""

    @property
    def levels(self) -> Mapping[str, int]:
        """Events by level."""

    @property
    def masked(self) -> Mapping[str, int]:
        """Personal data masked, by kind."""


class IngestMetrics(GatewayMetrics):
    """What the Ingest Gateway counts. ``emitters`` are those the configuration knows; others count as ``other``.

    The sink and housekeeping work in threads: their figures are handed over on the event loop, as all others are.
    """

    def __init__(self, registry: Registry, emitters: Iterable[str]) -> None:
        super().__init__(registry, GATEWAY, emitters)
        self._accepted_total = registry.counter("logops_accepted_total", "Events stored.", ("emitter", "scenario_id"))
        self._ingested_total = registry.counter(
            "logops_ingested_total", "Events stored, by level.", ("emitter", "level")
        )
        self._missing_ts_total = registry.counter(
            "logops_missing_ts_total", "Events that had no readable time of their own.", ("emitter",)
        )
        self._missing_level_total = registry.counter(
            "logops_missing_level_total", "Events that had no level of their own.", ("emitter",)
        )
        self._parse_errors_total = registry.counter(
            "logops_parse_errors_total", "Events that could not be read.", ("emitter", "format")
        )
        self._events_too_large_total = registry.counter(
            "logops_events_too_large_total", "Events over backpressure.max_event_bytes, set aside.", ("emitter",)
        )
        self._deduplicated_total = registry.counter(
            "logops_deduplicated_batches_total",
            "Batches recognised by their bodies and not stored again.",
            ("emitter",),
        )
        self._pii_masked_total = registry.counter("logops_pii_masked_total", "Personal data masked.", ("kind",))
        self._latency_seconds = registry.histogram(
            "logops_batch_latency_seconds",
            "From the first byte of a request to its answer.",
            ("emitter",),
            edges=LATENCY_EDGES,
        )
        self._runs_total = registry.counter("logops_housekeeping_runs_total", "Runs of the housekeeping.", ("outcome",))
        self._files_total = registry.counter(
            "logops_housekeeping_files_total", "Files that housekeeping dealt with.", ("action",)
        )
        self._batch_size = registry.histogram(
            "logops_batch_size", "Events of a stored batch.", edges=BATCH_SIZE_EDGES
        ).labels()
        self._sink_bytes = registry.counter("logops_sink_bytes_total", "Bytes written to the day's files.").labels()
        self._sink_commit = registry.histogram(
            "logops_sink_commit_seconds", "Time of one group commit: write and fdatasync.", edges=COMMIT_EDGES
        ).labels()
        self._sink_errors = registry.counter("logops_sink_errors_total", "Group commits that failed.").labels()
        self.queued: Final = registry.gauge(
            "logops_queued_batches", "Batches being worked on in slices, or waiting for that."
        ).labels()
        self._scenario = Bounded(
            limit=MAX_SCENARIOS, elsewhere=lambda: registry.label_values("logops_accepted_total", "scenario_id")
        )
        self._series: dict[tuple[str, str], _Series] = {}
        self._masked: dict[str, Counter] = {}
        self._latency: dict[str, Histogram] = {}

    def stored(self, emitter: str, scenario_id: str, batch: StoredBatch) -> None:
        """Count a stored batch once."""
        series = self._series.get((emitter, scenario_id))
        if series is None:
            series = self._series_of(emitter, scenario_id)
        count = batch.count
        series.accepted.inc(count)
        self._batch_size.observe(count)
        for level, n in batch.levels.items():
            if n:
                ingested = series.levels.get(level)
                if ingested is None:
                    ingested = series.levels[level] = self._ingested_total.labels(series.emitter, level)
                ingested.inc(n)
        if batch.missing_ts:
            self._missing_ts_total.labels(series.emitter).inc(batch.missing_ts)
        if batch.missing_level:
            self._missing_level_total.labels(series.emitter).inc(batch.missing_level)
        for kind, n in batch.masked.items():
            if n:
                masked = self._masked.get(kind)
                if masked is None:
                    masked = self._masked[kind] = self._pii_masked_total.labels(kind)
                masked.inc(n)

    def _series_of(self, emitter: str, scenario_id: str) -> _Series:
        known, scenario = self.emitter(emitter), self._scenario(scenario_id)
        series = _Series(self._accepted_total.labels(known, scenario), known)
        if known == emitter and scenario == scenario_id:  # else a stranger's words would fill the dict
            self._series[emitter, scenario_id] = series
        return series

    def answered(self, emitter: str, seconds: float) -> None:
        """Note a batch's latency: ``seconds`` from the request's first byte to its answer."""
        latency = self._latency.get(emitter)
        if latency is None:
            known = self.emitter(emitter)
            latency = self._latency_seconds.labels(known)
            if known == emitter:  # else a stranger's words would fill the dict
                self._latency[emitter] = latency
        latency.observe(seconds)

    def parse_errors(self, emitter: str, body_format: str, events: int) -> None:
        """Count events that could not be read; ``body_format`` is the parser's own name."""
        self._parse_errors_total.labels(self.emitter(emitter), body_format).inc(events)

    def events_too_large(self, emitter: str, events: int) -> None:
        """Count events that were set aside for their size."""
        self._events_too_large_total.labels(self.emitter(emitter)).inc(events)

    def deduplicated(self, emitter: str) -> None:
        """Count a batch that was recognised by its body and not stored again."""
        self._deduplicated_total.labels(self.emitter(emitter)).inc()

    def sink_committed(self, written: int, seconds: float) -> None:
        """Note one group commit of ``written`` bytes."""
        self._sink_bytes.inc(written)
        self._sink_commit.observe(seconds)

    def sink_failed(self) -> None:
        """Count a group commit that failed."""
        self._sink_errors.inc()

    def housekeeping_run(self, outcome: str, files: Mapping[str, int]) -> None:
        """Count a run (``ok`` or ``failed``) and its ``files`` by action."""
        self._runs_total.labels(outcome).inc()
        for action, n in files.items():
            if n:
                self._files_total.labels(action).inc(n)
