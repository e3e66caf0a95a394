"""Memory over time: a steady load for minutes, and the slope of the workers' resident set.

    python -m bench.soak --eps 200000 --seconds 600

The files grow by about 0.25 KB an event and are removed at the end: 200,000 EPS for 10 minutes are 30 GB. The first
part does not count (``--settle``): tables that are filled once are no growth. Linux only.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import machine, report, servers, step
from logops_fast.config.slo import load_slo

INTERVAL: Final = 1.0


@dataclass
class Sampler:
    """Looks at the memory of processes once a second, in a thread beside the sender."""

    server: servers.Server
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, MiB of the largest process."""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        while not self._stop.wait(INTERVAL):
            self.samples.append((time.monotonic() - start, self.server.usage().rss / 2**20))


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """MiB an hour, by least squares; 0 for fewer than two samples."""
    if len(samples) < 2:
        return 0.0
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return 3600.0 * sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


def soak(args: argparse.Namespace) -> dict[str, Any]:
    """Carry it out."""
    with servers.scratch(args.dir) as folder:
        facts = machine.facts(folder)
        with servers.running(folder, workers=args.workers) as server:
            plan = step.plan_for(server, step.make_bodies(args.batch_size), connections=32 * args.workers)
            cores = machine.share_out(args.workers)
            with Sampler(server) as sampler:
                done = step.measure(server, plan, load_slo(), cores, eps=args.eps, seconds=args.seconds)
    counted = [(at, rss) for at, rss in sampler.samples if at >= args.settle]
    return {
        "kind": "soak",
        "machine": facts,
        "workers": args.workers,
        "batch_size": args.batch_size,
        "settle": args.settle,
        "step": done.to_json(),
        "rss_mib": [round(rss, 2) for _, rss in sampler.samples],
        "rss_mib_most": max((rss for _, rss in sampler.samples), default=0.0),
        "slope_mib_per_hour": slope(counted),
    }


def main(words: list[str] | None = None) -> int:
    """Entry point; 1 where the SLO was missed or something was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--eps", type=float, required=True, help="offered events a second")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--settle", type=float, default=60.0, help="seconds at the start that do not count")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="where the gateway writes (build/bench)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/soak.json"))
    args = parser.parse_args(words)
    results = soak(args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results) + "\n")
    done = step.Step.of_json(results["step"])
    faults = done.faults(load_slo())
    print(
        f"{args.eps:,.0f} EPS for {args.seconds:g} s: {'; '.join(faults) or 'ok'}; p95 {report.ms(done.p95)} ms, "
        f"p99 {report.ms(done.p99)} ms; RSS at most {results['rss_mib_most']:.1f} MiB, "
        f"{results['slope_mib_per_hour']:+.1f} MiB an hour"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
