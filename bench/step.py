"""One measured step: so much offered for so long, and all that became of it, judged by the SLO."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench import corpus, load, machine
from bench.machine import Cores, on_cores
from bench.servers import Server
from logops_fast.config.slo import Slo
from logops_fast.telemetry.scrape import histogram_quantile, parse

ENOUGH: Final = 0.99
"""Share of the offered rate that must be taken in time: else a queue grows, however short the step hides it."""
QUIET: Final = 0.1
"""Cores that others may use: past it a step says less about the gateway than about its neighbours."""
BODIES: Final = 64
"""Different bodies that are sent in turn."""


@dataclass(frozen=True)
class Step:
    """One step. Rates in events a second, latencies in seconds from the moment a batch was due."""

    offered_eps: float | None
    achieved_eps: float
    seconds: float
    due: int
    answered: int
    events_due: int
    events_accepted: int
    events_stored: int | None
    refused: dict[str, int]
    unanswered: int
    unsent: int
    p50: float
    p95: float
    p99: float
    p999: float
    share_fast: float
    p95_gateway: float | None
    cpu_seconds: float | None
    rss_mib: float | None
    others: float | None
    """Cores that other processes used meanwhile: shows a disturbed step."""

    @property
    def us_per_event(self) -> float | None:
        """CPU microseconds of the gateway, and of the kernel's threads for it, for each event accepted."""
        return self.cpu_seconds / self.events_accepted * 1e6 if self.cpu_seconds and self.events_accepted else None

    @property
    def cpu_eps(self) -> float | None:
        """Events for each CPU second of the gateway."""
        return self.events_accepted / self.cpu_seconds if self.cpu_seconds and self.events_accepted else None

    @property
    def core_share(self) -> float | None:
        """Cores in use."""
        return None if self.cpu_seconds is None else self.cpu_seconds / self.seconds

    @property
    def disturbed(self) -> bool:
        """Whether others used so much of the machine that the step should not decide anything."""
        return (self.others or 0.0) > QUIET

    def faults(self, slo: Slo) -> list[str]:
        """Why this step does not meet the SLO with nothing lost; empty where it does."""
        found = []
        if self.p95 >= slo.p95:
            found.append(f"p95 {self.p95 * 1e3:.0f} ms")
        if self.p95_gateway is not None and self.p95_gateway >= slo.p95:
            found.append(f"gateway's p95 {self.p95_gateway * 1e3:.0f} ms")
        if self.share_fast < slo.objective:
            found.append(f"{self.share_fast:.1%} under {slo.threshold:g} s")
        if self.offered_eps is not None and self.achieved_eps < ENOUGH * self.offered_eps:
            found.append(f"{self.achieved_eps / self.offered_eps:.1%} in time")
        found.extend(f"{count} x {reason}" for reason, count in self.refused.items())
        if self.unanswered:
            found.append(f"{self.unanswered} unanswered")
        if self.events_stored is not None and self.events_stored != self.events_accepted:
            found.append(f"{self.events_stored - self.events_accepted:+d} lines in the files")
        return found

    def to_json(self) -> dict[str, Any]:
        """The step as it is written to a results file."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Step:
        """The step read back."""
        return cls(**data)


def make_bodies(size: int, kind: corpus.Kind = "mixed", body_format: corpus.BodyFormat = "json") -> list[load.Body]:
    """The bodies of a step, hashed."""
    return [load.Body.of(data, size) for data in corpus.bodies(BODIES, size, kind, body_format)]


def plan_for(
    server: Server,
    bodies: Sequence[load.Body],
    *,
    body_format: corpus.BodyFormat = "json",
    connections: int = 32,
    client: tuple[str, str] | None = ("bench", "bench-secret"),
) -> load.Plan:
    """What is sent to ``server``, but for how fast and how long. ``client``: name and secret, None for unsigned."""
    return load.Plan(
        server.port,
        bodies,
        content_type=corpus.CONTENT_TYPES[body_format],
        key=client[0].encode() if client else None,
        secret=client[1].encode() if client else b"",
        target=corpus.TARGETS.get(body_format, server.target),
        host=server.host,
        connections=connections,
    )


def measure(
    server: Server, plan: load.Plan, slo: Slo, cores: Cores, *, eps: float | None, seconds: float, warmup: float = 0.3
) -> Step:
    """Offer ``eps`` events a second (None: what it takes) for ``seconds``, after a warm-up that does not count."""
    size = plan.bodies[0].events
    plan = replace(plan, rate=None if eps is None else eps / size, spin=cores.apart)
    with on_cores(cores.send):
        if warmup:
            load.run(replace(plan, seconds=warmup))
        stored, buckets, used, kernel = server.lines_stored(), scrape(server), server.usage(), machine.kernel_work()
        start, sender, busy = time.monotonic(), time.process_time(), machine.busy_time()
        result = load.run(replace(plan, seconds=seconds))
        now, passed = server.usage(), time.monotonic() - start
        cpu = now.cpu - used.cpu + max(0.0, machine.kernel_work() - kernel)
        others = machine.busy_time() - busy - (time.process_time() - sender) - cpu
        delta = {edge: count - buckets.get(edge, 0.0) for edge, count in scrape(server).items()}
        lines = server.lines_stored() - stored
    return Step(
        offered_eps=eps,
        achieved_eps=result.achieved_eps,
        seconds=seconds,
        due=result.due,
        answered=result.answered,
        events_due=result.due * size,
        events_accepted=result.events_accepted,
        events_stored=lines if server.files is not None else None,
        refused=dict(result.refused),
        unanswered=result.unanswered,
        unsent=result.unsent,
        p50=result.percentile(50),
        p95=result.percentile(95),
        p99=result.percentile(99),
        p999=result.percentile(99.9),
        share_fast=result.share_below(slo.threshold),
        p95_gateway=histogram_quantile(0.95, delta) if delta else None,
        cpu_seconds=cpu if server.roots else None,
        rss_mib=now.rss / 2**20 if server.roots else None,
        others=max(0.0, others / passed) if server.roots and busy else None,
    )


def least_disturbed(attempt: Callable[[], Step], patience: int, pause: float = 3.0) -> Step:
    """Repeat while other processes use the machine, ``patience`` times at most; return the least disturbed step."""
    best = attempt()
    for _ in range(patience):
        if not best.disturbed:
            break
        time.sleep(pause)
        best = min(best, attempt(), key=lambda one: one.others or 0.0)
    return best


def scrape(server: Server) -> dict[float, float]:
    """The gateway's own latency histogram: batches at or below each edge, over all emitters."""
    if server.metrics_port is None:
        return {}
    with urllib.request.urlopen(f"http://{server.host}:{server.metrics_port}/metrics", timeout=10) as answer:
        return parse(answer.read().decode(), 0.0).buckets("logops_batch_latency_seconds")
