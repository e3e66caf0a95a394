"""Metrics of the Auth Gateway."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from logops_fast.telemetry.families import GatewayMetrics
from logops_fast.telemetry.registry import Counter, Histogram, Registry

GATEWAY: Final = "auth"
# Refusals take well under a millisecond, a forwarded batch up to its deadline.
LATENCY_EDGES: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05,
    0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class AuthMetrics(GatewayMetrics):
    """The counters of the Auth Gateway. ``emitters`` are those that the configuration knows; others are ``other``."""

    def __init__(self, registry: Registry, emitters: Iterable[str]) -> None:
        super().__init__(registry, GATEWAY, emitters)
        self._requests_total = registry.counter(
            "logops_auth_requests_total", "Requests answered by the Auth Gateway.", ("status", "emitter")
        )
        self._latency_seconds = registry.histogram(
            "logops_auth_request_latency_seconds",
            "From the first byte of a request to the Auth Gateway's answer.",
            ("emitter",),
            edges=LATENCY_EDGES,
        )
        self._attempts_total = registry.counter(
            "logops_forward_attempts_total", "Tries to hand a batch to the Ingest Gateway.", ("outcome",)
        )
        self._denied_total = registry.counter(
            "logops_ratelimit_denied_events_total", "Events refused by the rate limit.", ("emitter",)
        )
        self._state_errors_total = registry.counter(
            "logops_state_errors_total", "Failures of the state store, by part.", ("store",)
        )
        self._done: dict[tuple[int, str], tuple[Counter, Histogram]] = {}
        self.breaker_state: Final = registry.gauge(
            "logops_circuit_breaker_state",
            "0 closed, 1 half-open, 2 open; the worst of all workers.",
            mode="max",
        ).labels()

    def request_done(self, status: int, emitter: str, seconds: float) -> None:
        """Count an answer, whatever its status; ``seconds`` from the request's first byte."""
        done = self._done.get((status, emitter))
        if done is None:
            done = self._series_of(status, emitter)
        done[0].inc()
        done[1].observe(seconds)

    def _series_of(self, status: int, emitter: str) -> tuple[Counter, Histogram]:
        known = self.emitter(emitter)
        code = str(status) if 100 <= status <= 599 else "other"
        series = (self._requests_total.labels(code, known), self._latency_seconds.labels(known))
        if known == emitter and code != "other":  # otherwise names chosen by strangers would fill the dict
            self._done[status, emitter] = series
        return series

    def forward_attempt(self, outcome: str) -> None:
        """Count one try; ``outcome`` is one of the forwarder's own words, never text of a downstream."""
        self._attempts_total.labels(outcome).inc()

    def denied(self, emitter: str, events: int) -> None:
        """Count the events of a batch that the emitter's bucket refused."""
        self._denied_total.labels(self.emitter(emitter)).inc(events)

    def state_error(self, store: str) -> None:
        """Count a failure of ``nonces`` (fails closed), ``buckets`` (fail open, to local ones) or ``batch_ids``."""
        self._state_errors_total.labels(store).inc()
