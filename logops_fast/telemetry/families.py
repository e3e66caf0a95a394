"""The metric families that both gateways share, and those of the process itself."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from logops_fast import __version__
from logops_fast.telemetry.log_output import non_blocking_handler
from logops_fast.telemetry.registry import Bounded, Counter, Family, Gauge, Registry

MAX_REASONS: Final = 64  # the vocabulary of refusals is fixed, but the answers of a downstream are not
_STATM: Final = Path("/proc/self/statm")


class GatewayMetrics:
    """Refusals and load of one gateway. Two gateways in one process share the families."""

    def __init__(self, registry: Registry, gateway: str, emitters: Iterable[str]) -> None:
        self._gateway = gateway
        self._rejected_total = registry.counter(
            "logops_rejected_total", "Requests refused, by reason.", ("gateway", "reason", "emitter")
        )
        self._reason = Bounded(limit=MAX_REASONS)
        self._rejections: dict[tuple[str, str], Counter] = {}
        self.emitter: Final = Bounded(emitters)
        self.inflight: Final = registry.gauge("logops_inflight", "Requests being worked on.", ("gateway",)).labels(
            gateway
        )
        self.inflight_bytes: Final = registry.gauge(
            "logops_inflight_bytes", "Bytes of request bodies held in memory.", ("gateway",)
        ).labels(gateway)

    def rejected(self, reason: str, emitter: str) -> None:
        """Count a refusal by the ``reason`` of its :class:`Refusal`."""
        key = (self._reason(reason), self.emitter(emitter))
        series = self._rejections.get(key)
        if series is None:
            series = self._rejections[key] = self._rejected_total.labels(self._gateway, *key)
        series.inc()


class ProcessMetrics:
    """CPU seconds, resident memory and dropped log lines of a worker, brought up to date by :meth:`sample`.

    ``worker`` is its number. Of CPU and memory there is a series of each worker besides the sum.
    """

    def __init__(self, registry: Registry, worker: int = 0) -> None:
        self._cpu = registry.counter("process_cpu_seconds_total", "CPU time of all workers, user and system.").labels()
        self._resident: Gauge = registry.gauge(
            "process_resident_memory_bytes", "Resident memory of all workers; pages they share count in each."
        ).labels()
        number = str(worker)
        self._worker_cpu = registry.counter(
            "logops_worker_cpu_seconds_total", "CPU time of the worker, user and system.", ("worker",)
        ).labels(number)
        self._worker_resident: Gauge = registry.gauge(
            "logops_worker_resident_memory_bytes", "Resident memory of the worker.", ("worker",)
        ).labels(number)
        self._cpu_seen = 0.0
        self._dropped_lines = DroppedLines(registry)

    def sample(self) -> None:
        """Bring the figures up to date. It takes about 20 us: call it from a timer or a scrape, not per request."""
        cpu = time.process_time()
        used = cpu - self._cpu_seen  # differences, so that a successor continues its predecessor's sum
        self._cpu.inc(used)
        self._worker_cpu.inc(used)
        self._cpu_seen = cpu
        resident = resident_bytes()
        self._resident.set(resident)
        self._worker_resident.set(resident)
        self._dropped_lines.sample()


class DroppedLines:
    """Log lines of this process that its full standard error has cost."""

    def __init__(self, registry: Registry) -> None:
        self._total = registry.counter(
            "logops_log_lines_dropped_total", "Log lines dropped because the reader of standard error did not keep up."
        ).labels()
        self._seen = 0

    def sample(self) -> None:
        """Bring the counter up to date."""
        handler = non_blocking_handler()
        if handler is not None:
            self._total.inc(handler.dropped - self._seen)
            self._seen = handler.dropped


def resident_bytes() -> float:
    """Return the resident memory of this process in bytes; without /proc (macOS) the peak."""
    try:
        return float(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(peak if sys.platform == "darwin" else peak * 1024)


def build_info(registry: Registry, accelerator: str, build: str) -> None:
    """Publish what runs: the event loop (``uvloop``, ``asyncio``) and the package (see ``runtime.build``)."""
    registry.gauge(
        "logops_build_info", "What runs; always 1.", ("version", "python", "accelerator", "build"), mode="max"
    ).labels(__version__, platform.python_version(), accelerator, build).set(1.0)


def worker_restarts(registry: Registry) -> Counter:
    """Return the counter of workers the supervisor restarted; it counts in its own region."""
    return registry.counter("logops_worker_restarts_total", "Workers restarted after one ended.").labels()


def worker_kills(registry: Registry) -> Counter:
    """Return the counter of workers the supervisor killed because they were silent."""
    return registry.counter(
        "logops_worker_kills_total", "Workers killed after `server.worker_timeout` of silence."
    ).labels()


def worker_connections(registry: Registry, worker: int) -> Gauge:
    """Return the gauge of the HTTP connections that clients have to a worker."""
    return registry.gauge(
        "logops_worker_connections", "Open HTTP connections of clients to the worker.", ("worker",)
    ).labels(str(worker))


def heartbeat_age(registry: Registry) -> Family[Gauge]:
    """Return the gauge of the seconds since each worker's last heartbeat, kept by the supervisor."""
    return registry.gauge("logops_worker_heartbeat_age_seconds", "Seconds since the worker last reported.", ("worker",))
