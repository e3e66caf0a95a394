"""Metrics of the syslog listener, besides those of every batch."""

from __future__ import annotations

from typing import Final, Literal

from logops_fast.telemetry.registry import Registry

Transport = Literal["tcp", "tls", "udp"]
DropReason = Literal[
    "not_allowed", "too_many_connections", "rate_limited", "too_large_for_bucket", "overloaded", "kernel", "refused",
    "stopped", "frame_timeout",
]  # fmt: skip


class SyslogMetrics:
    """Open connections, and what was not taken."""

    def __init__(self, registry: Registry) -> None:
        self.connections: Final = registry.gauge("logops_syslog_connections", "Open syslog connections.").labels()
        self._dropped_total = registry.counter(
            "logops_syslog_dropped_total",
            "Syslog messages lost, and connections turned away, by reason.",
            ("transport", "reason"),
        )

    def dropped(self, transport: Transport, reason: DropReason, number: int = 1) -> None:
        """Count messages, or a connection, that were not taken."""
        self._dropped_total.labels(transport, reason).inc(number)
