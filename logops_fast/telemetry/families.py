"""The families that both gateways have, and those of the process itself."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from logops_fast import __version__
from logops_fast.telemetry.registry import Bounded, Counter, Gauge, Registry

MAX_REASONS: Final = 64  # the vocabulary of refusals is fixed; a downstream's answer is not ours to trust
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
        """Count a refusal; ``reason`` is its :class:`Refusal`'s."""
        key = (self._reason(reason), self.emitter(emitter))
        series = self._rejections.get(key)
        if series is None:
            series = self._rejections[key] = self._rejected_total.labels(self._gateway, *key)
        series.inc()


class ProcessMetrics:
    """CPU seconds and resident memory of the workers; a worker's own sample goes in when it calls :meth:`sample`."""

    def __init__(self, registry: Registry) -> None:
        self._cpu = registry.counter("process_cpu_seconds_total", "CPU time of all workers, user and system.").labels()
        self._resident: Gauge = registry.gauge(
            "process_resident_memory_bytes", "Resident memory of all workers; pages they share count in each."
        ).labels()
        self._cpu_seen = 0.0

    def sample(self) -> None:
        """Bring the figures up to date; about 20 us, so by a timer or a scrape, not by a request."""
        cpu = time.process_time()
        self._cpu.inc(cpu - self._cpu_seen)  # differences, so that a successor goes on from its predecessor's sum
        self._cpu_seen = cpu
        self._resident.set(resident_bytes())


def resident_bytes() -> float:
    """Resident memory of this process; where there is no /proc (macOS), the highest it has been."""
    try:
        return float(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(peak if sys.platform == "darwin" else peak * 1024)


def build_info(registry: Registry, accelerator: str, build: str) -> None:
    """Say what runs: the event loop (``uvloop``, ``asyncio``) and the package (``compiled``, ``interpreted``)."""
    registry.gauge(
        "logops_build_info", "What runs; always 1.", ("version", "python", "accelerator", "build"), mode="max"
    ).labels(__version__, platform.python_version(), accelerator, build).set(1.0)


def worker_restarts(registry: Registry) -> Counter:
    """Workers that the supervisor started again; counted in the supervisor's own region."""
    return registry.counter("logops_worker_restarts_total", "Workers started again after one ended.").labels()
