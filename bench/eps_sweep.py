"""How many events a second the gateways take while they meet their service level objective.

    python -m bench.eps_sweep                                   # `logops up`, one worker, batches of 100, fsync
    python -m bench.eps_sweep --mode split --batch-size 10 --format ndjson --out build/split
    python -m bench.eps_sweep --target http://10.0.0.5:8081/ingest
    python -m bench.eps_sweep --compare before.json after.json

Offers more and more, open-loop, and judges each step by the thresholds of the alert rules (deploy/prometheus/rules).
The knee is the highest rate at which they are met with nothing lost; a step holds if two of three tries do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench import machine, report, servers, step
from bench.corpus import CONTENT_TYPES
from logops_fast.config.slo import Slo, load_slo

KIND: Final = "eps_sweep"
CLOSE_ENOUGH: Final = 1.03
"""The knee is known once the best rate that held and the least that failed are this near."""

PAUSE: Final = 3.0
"""Seconds to let a neighbour finish."""


@dataclass(frozen=True)
class Ladder:
    """Which rates are offered, in events a second, and for how many seconds each."""

    start: float = 20_000.0
    factor: float = 1.6
    most: float = 2_000_000.0
    bisections: int = 5
    seconds: float = 3.0
    warmup: float = 0.3


class Sweep:
    """One sweep over one server."""

    def __init__(self, server: servers.Server, args: argparse.Namespace, ladder: Ladder, slo: Slo) -> None:
        self._server = server
        self._ladder = ladder
        self._slo = slo
        self._cores = machine.share_out(args.workers)
        bodies = step.make_bodies(args.batch_size, args.corpus, args.format)
        self._plan = step.plan_for(
            server,
            bodies,
            body_format=args.format,
            connections=args.connections or connections_for(args.batch_size, args.workers),
            client=(args.key, args.secret) if args.auth else None,
        )
        self.steps: list[step.Step] = []
        self._patience = args.patience

    def run(self) -> float:
        """Climb, bisect; the knee, 0 where not even the first step held."""
        ladder = self._ladder
        good, bad, eps = 0.0, 0.0, ladder.start
        while eps <= ladder.most:
            if not self._holds(eps):
                bad = eps
                break
            good, eps = eps, eps * ladder.factor
        for _ in range(ladder.bisections if good and bad else 0):
            if bad / good <= CLOSE_ENOUGH:
                break
            middle = (good * bad) ** 0.5
            if self._holds(middle):
                good = middle
            else:
                bad = middle
        return good

    def at(self, eps: float) -> step.Step:
        """Run one step and print it."""
        ladder = self._ladder
        done = step.measure(
            self._server, self._plan, self._slo, self._cores, eps=eps, seconds=ladder.seconds, warmup=ladder.warmup
        )
        print(report.line(done, self._slo), flush=True)
        return done

    def _holds(self, eps: float) -> bool:
        # Two of three: a machine that others share has lucky seconds as well as bad ones. What others disturbed decides
        # nothing while there is patience left. All tries are written down.
        held = failed = 0
        while max(held, failed) < 2:
            done = self.at(round(eps, -2))
            self.steps.append(done)
            if done.disturbed and self._patience > 0:
                self._patience -= 1
                time.sleep(PAUSE)
            elif done.faults(self._slo):
                failed += 1
            else:
                held += 1
        return held == 2


def sweep(args: argparse.Namespace, ladder: Ladder) -> dict[str, Any]:
    """Carry out a sweep; its results as they are written to a file."""
    slo = load_slo()
    with servers.scratch(args.dir) as folder:
        facts = machine.facts(folder)
        print(f"{facts['cpu']}, {facts['cores']} cores; p95 < {slo.p95:g} s, {slo.objective:.0%} < {slo.threshold:g} s")
        with _server(args, folder) as server:
            print(report.LINE_HEADER, flush=True)
            run = Sweep(server, args, ladder, slo)
            knee = run.run()
            half = step.least_disturbed(lambda: run.at(round(knee / 2, -2)), 3) if knee else None
    return {
        "kind": KIND,
        "machine": facts,
        "slo": slo._asdict(),
        "config": {
            "mode": args.mode if args.target is None else "target",
            "workers": args.workers,
            "batch_size": args.batch_size,
            "format": args.format,
            "corpus": args.corpus,
            "durability": args.durability,
            "auth": args.auth,
            "seconds": ladder.seconds,
            "sender_apart": machine.share_out(args.workers).apart,
        },
        "steps": [done.to_json() for done in run.steps],
        "half_knee": half.to_json() if half else None,
        "knee_eps": knee,
    }


@contextmanager
def _server(args: argparse.Namespace, folder: Path) -> Iterator[servers.Server]:
    if args.target is None:
        options = {"workers": args.workers, "durability": args.durability, "auth": args.auth}
        with servers.running(folder, args.mode, **options) as server:
            yield server
        return
    url = urlsplit(args.target)
    if url.scheme != "http" or not url.hostname:
        raise SystemExit("--target: expected http://HOST:PORT/ingest")
    port = url.port or 80
    yield servers.Server(
        "target", port, url.hostname, (url.path or "/ingest").encode(), port, [args.pid] if args.pid else []
    )


def write(results: dict[str, Any], out: Path) -> list[Path]:
    """Write JSON, the Markdown table and, with matplotlib, the plot; the paths."""
    out.parent.mkdir(parents=True, exist_ok=True)
    written = [out.with_suffix(".json"), out.with_suffix(".md")]
    written[0].write_text(json.dumps(results, indent=1) + "\n")
    written[1].write_text(report.markdown(results))
    try:
        from bench import plot
    except ImportError:
        print("no plot: it needs matplotlib (pip install --group bench)", file=sys.stderr)
    else:
        written.append(out.with_suffix(".png"))
        plot.draw(results, written[2])
    return written


def connections_for(batch_size: int, workers: int) -> int:
    """Enough senders that none of them is what holds the rate down: each answer takes a commit's time."""
    return (32 if batch_size >= 100 else 128) * workers


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.eps_sweep", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False
    )
    ladder = Ladder()
    parser.add_argument("--mode", choices=("up", "split"), default="up", help="both gateways in one process, or two")
    parser.add_argument("--target", metavar="URL", help="a gateway that runs already, such as http://host:8081/ingest")
    parser.add_argument("--key", default="bench", help="with --target: a client of its keys file")
    parser.add_argument("--secret", default="bench-secret", help="with --target: that client's secret")
    parser.add_argument("--pid", type=int, help="with --target: the process whose CPU and memory are counted")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=100, help="events a request (100)")
    parser.add_argument("--format", choices=tuple(CONTENT_TYPES), default="json")
    parser.add_argument("--corpus", choices=("mixed", "clean", "field"), default="mixed", help="see bench/corpus.py")
    parser.add_argument("--durability", choices=("fsync", "written"), default="fsync")
    parser.add_argument("--no-auth", dest="auth", action="store_false", help="unsigned, `auth.mode: none`")
    parser.add_argument("--connections", type=int, default=0, help="default: 32 a worker, 128 for batches under 100")
    parser.add_argument("--start", type=float, default=ladder.start, help="first rate offered, events a second")
    parser.add_argument("--factor", type=float, default=ladder.factor, help="from one step to the next")
    parser.add_argument("--max", type=float, default=ladder.most)
    parser.add_argument(
        "--bisect", type=int, default=ladder.bisections, help="at most so many halvings of the last gap"
    )
    parser.add_argument("--patience", type=int, default=20, help="steps made again because others were busy (20)")
    parser.add_argument("--seconds", type=float, default=ladder.seconds, help="for each step")
    parser.add_argument("--dir", type=Path, help="where the gateway writes (build/bench)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/eps_sweep"), help="results, without a suffix")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A.json", "B.json"), help="ratios of two results")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Entry point; 1 where not even the first step met the SLO."""
    args = arguments(words)
    if args.compare:
        before, after = (json.loads(path.read_text()) for path in args.compare)
        print(report.compare(before, after))
        return 0
    results = sweep(args, Ladder(args.start, args.factor, args.max, args.bisect, args.seconds))
    paths = write(results, args.out)
    print(f"\nknee: {report.summary(results)}")
    print("written: " + ", ".join(map(str, paths)))
    return 0 if results["knee_eps"] else 1


if __name__ == "__main__":
    sys.exit(main())
