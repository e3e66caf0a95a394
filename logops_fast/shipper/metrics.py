"""Metrics of the shipper."""

from __future__ import annotations

from typing import Final

from logops_fast.shipper.answers import Effect
from logops_fast.telemetry.registry import Registry

PUSH_EDGES: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ShipMetrics:
    """What the shipper counts; it is the ``Tally`` of its deliveries."""

    def __init__(self, registry: Registry) -> None:
        self._entries = registry.counter("logops_ship_entries_total", "Lines that are in Loki.", ("stream",))
        self._bytes = registry.counter("logops_ship_bytes_total", "Bytes of lines that are in Loki.", ("stream",))
        self._pushes = registry.counter("logops_ship_pushes_total", "Pushes to Loki, by outcome.", ("outcome",))
        self._seconds = registry.histogram(
            "logops_ship_push_seconds", "From sending a push to its answer.", edges=PUSH_EDGES
        ).labels()
        self._questions = registry.counter(
            "logops_ship_questions_total", "Queries to Loki for the lines it has, by outcome.", ("outcome",)
        )
        self._refused = registry.counter(
            "logops_ship_refused_entries_total", "Lines that Loki does not take, kept in unshippable/.", ("reason",)
        )
        self._retimed = registry.counter(
            "logops_ship_retimed_entries_total", "Lines pushed with the time of shipping, as Loki refused theirs.",
            ("reason",),
        )  # fmt: skip
        self._doubtful = registry.counter(
            "logops_ship_doubtful_entries_total", "Lines pushed again that Loki may already have."
        ).labels()
        self._moved = registry.counter(
            "logops_ship_moved_entries_total", "Lines moved on by nanoseconds, as an equal line had the same time."
        ).labels()
        self._lost_files = registry.counter(
            "logops_ship_lost_files_total", "Files removed before they were shipped."
        ).labels()
        self.lag_bytes: Final = registry.gauge(
            "logops_ship_lag_bytes", "Acknowledged bytes that are not in Loki."
        ).labels()
        self.lag_seconds: Final = registry.gauge(
            "logops_ship_lag_seconds", "Seconds since everything acknowledged was in Loki; 0 if it is.", mode="max"
        ).labels()
        self.limit_bytes: Final = registry.gauge(
            "logops_ship_limit_bytes",
            "housekeeping.max_total_bytes: past it files are deleted, shipped or not; 0: there is no limit.",
        ).labels()
        self.unshippable_bytes: Final = registry.gauge(
            "logops_ship_unshippable_bytes", "Bytes of lines kept in unshippable/."
        ).labels()

    def shipped(self, stream: str, entries: int, size: int) -> None:
        """Count lines that are in Loki."""
        self._entries.labels(stream).inc(entries)
        self._bytes.labels(stream).inc(size)

    def pushed(self, effect: Effect, seconds: float) -> None:
        """Count a push."""
        self._pushes.labels(effect.value).inc()
        self._seconds.observe(seconds)

    def asked(self, outcome: str) -> None:
        """Count a question: ``answered``, ``failed``, ``denied``."""
        self._questions.labels(outcome).inc()

    def doubtful(self, entries: int) -> None:
        """Count entries that were pushed again although Loki may have them."""
        self._doubtful.inc(entries)

    def retimed(self, reason: str, entries: int) -> None:
        """Count entries that were given the time of shipping."""
        self._retimed.labels(reason).inc(entries)

    def refused(self, reason: str) -> None:
        """Count an unshippable entry."""
        self._refused.labels(reason).inc()

    def moved(self, entries: int) -> None:
        """Count entries moved on in time."""
        self._moved.inc(entries)

    def lost(self) -> None:
        """Count a file that is gone."""
        self._lost_files.inc()
