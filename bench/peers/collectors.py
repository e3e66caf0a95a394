"""Fluent Bit, the OpenTelemetry Collector and Vector on the same bodies, if they are installed.

Each takes the events over HTTP and appends them to a file on the gateway's core: once as they come, once with their
time, level and message settled and addresses masked by its own language (``configs/``). None of them checks a
signature, a nonce or a limit, masks secrets, or syncs before it answers, and none waits for its file: what was answered
and never got there is the column *lost*. A program is looked for on the PATH, or under the variable that is named in
the note if it is absent.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import load, machine, servers, step
from bench.corpus import CONTENT_TYPES, BodyFormat, Kind
from bench.peers import programs
from tests.support.ports import free_port

CONFIGS: Final = Path(__file__).parent / "configs"
SETTLE_TIMEOUT: Final = 60.0
QUIET: Final = 3.0
"""Seconds without a new line, after which what has not been written counts as lost."""
WARM_UP: Final = 1.0


@dataclass(frozen=True)
class Collector:
    """One program. ``settle`` is what BENCH_SETTLE says with and without the job, which its configuration reads."""

    name: str
    title: str
    variable: str
    programs: tuple[str, ...]
    words: tuple[str, ...]
    settle: tuple[str, str]
    body_format: BodyFormat = "json"
    marker: bytes = b"\n"
    """What its file has once for each event."""
    version_words: tuple[str, ...] = ("--version",)

    def binary(self) -> str | None:
        """The program, if it is installed."""
        named = os.environ.get(self.variable)
        if named:
            return shutil.which(named)
        return next((path for program in self.programs if (path := shutil.which(program))), None)

    def version(self) -> str:
        """The first line of what it says of itself."""
        path = self.binary()
        if path is None:
            return ""
        done = subprocess.run([path, *self.version_words], capture_output=True, text=True, check=False, timeout=30)
        return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "unknown")


ALL: Final = (
    Collector(
        "fluent-bit",
        "Fluent Bit, Lua",
        "BENCH_FLUENT_BIT",
        ("fluent-bit", "td-agent-bit"),
        ("-c", "fluent-bit.conf"),
        ("*", "nothing"),
    ),
    Collector(
        "otelcol",
        "OpenTelemetry Collector, transform",
        "BENCH_OTELCOL",
        ("otelcol-contrib", "otelcol"),
        ("--config", "otelcol.yaml"),
        ("[transform]", "[]"),
        body_format="ndjson",
        marker=b'"body":{',
    ),
    Collector(
        "vector",
        "Vector, VRL",
        "BENCH_VECTOR",
        ("vector",),
        ("--quiet", "--config", "vector.yaml"),
        ("settle", "in"),
    ),
)


def run(args: Any) -> dict[str, Any]:
    """All that are installed, in alternation; figures a round."""
    found: dict[str, Any] = {}
    present = [one for one in ALL if one.binary() is not None]
    for one in ALL:
        if one not in present:
            print(f"left out, {one.programs[0]} is not installed (or name it in {one.variable}): {one.title}")
    for number in range(args.rounds):
        for one in present:
            for settles in (True, False):
                row = found.setdefault(one.name, {"version": one.version(), "job": [], "pass": []})
                with servers.scratch(args.dir) as folder:
                    figures = _measure(one, folder, settles, args)
                row["job" if settles else "pass"].append(figures)
                print(
                    f"round {number + 1}  {one.title:<36} {'job' if settles else 'as they come':<12} "
                    f"{figures['cpu_eps']:>9,.0f} a CPU second  {figures['eps']:>9,.0f} EPS  "
                    f"{figures['lost']:,} lost",
                    flush=True,
                )
    return found


def table(found: dict[str, Any]) -> list[str]:
    """The rows, in Markdown."""
    if not found:
        return ["None of Fluent Bit, the OpenTelemetry Collector and Vector is installed here."]
    text = [
        "Collectors on the same events: JSON over HTTP in, file out; no signature, no nonce, no limits, no secrets "
        "masked, not synced, answered before anything is written. *Job*: time, level and message settled, e-mail and "
        "IPv4 addresses masked, by the configurations in `bench/peers/configs`.",
        "",
        "| | events a CPU second: job | as they come | EPS, wall: job | p99 ms | lost |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for one in ALL:
        row = found.get(one.name)
        if row:
            job = row["job"]
            text.append(
                f"| {one.title} ({row['version']}) | {_median(job, 'cpu_eps'):,.0f} | "
                f"{_median(row['pass'], 'cpu_eps'):,.0f} | {_median(job, 'eps'):,.0f} | "
                f"{_median(job, 'p99') * 1e3:.1f} | {sum(figures['lost'] for figures in job):,} |"
            )
    return text


def _measure(one: Collector, folder: Path, settles: bool, args: Any) -> dict[str, float]:
    kind: Kind = args.corpus
    bodies = step.make_bodies(args.batch_size, kind, one.body_format)
    with _running(one, folder, settles) as server, machine.on_cores(machine.share_out(1).send):
        plan = load.Plan(
            server.port,
            bodies,
            content_type=CONTENT_TYPES[one.body_format],
            key=None,
            target=server.target,
            connections=32 if args.batch_size >= 100 else 128,
            seconds=WARM_UP,
        )
        warm = load.run(plan)
        written = _await_events(server, warm.events_accepted)
        before = server.usage()
        result = load.run(replace(plan, seconds=args.seconds))
        stored = _await_events(server, written + result.events_accepted) - written
        cpu = max(server.usage().cpu - before.cpu, 0.01)  # a clock tick
    if result.refused or not result.events_accepted:
        raise SystemExit(f"{one.name} refused what it was sent: {dict(result.refused)}")
    return {
        "eps": result.achieved_eps,
        "cpu_eps": stored / cpu,
        "p99": result.percentile(99),
        "lost": result.events_accepted - stored,
    }


@contextmanager
def _running(one: Collector, folder: Path, settles: bool) -> Iterator[servers.Server]:
    port, files = free_port(), folder / "data"
    files.mkdir(parents=True)
    log = folder / "log"
    environment = {
        "BENCH_PORT": str(port),
        "BENCH_DIR": str(files),
        "BENCH_CONFIGS": str(CONFIGS),
        "BENCH_SETTLE": one.settle[0 if settles else 1],
        "GOMAXPROCS": "1",
        "VECTOR_THREADS": "1",
    }
    with programs.serving([str(one.binary()), *one.words], port, log, environment, CONFIGS) as pid:
        yield servers.Server(one.name, port, roots=[pid], files=files, marker=one.marker)


def _await_events(server: servers.Server, events: int) -> int:
    """Wait until so many events are in the file, or no more come; return their number."""
    deadline = time.monotonic() + SETTLE_TIMEOUT
    stored, since = server.lines_stored(), time.monotonic()
    while stored < events and time.monotonic() < min(deadline, since + QUIET):
        time.sleep(0.05)
        now = server.lines_stored()
        if now != stored:
            stored, since = now, time.monotonic()
    return stored


def _median(figures: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in figures)
