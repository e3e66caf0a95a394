"""Fluent Bit, the OpenTelemetry Collector and Vector beside our gateways on the same events, if they are installed.

``python -m bench.peers.collectors``. Each takes the events over HTTP and appends them to a file on the gateway's core:
once as they come, once with their time, level and message settled and addresses masked by its own language
(``configs/``; tests/bench/test_collectors.py compares what is stored with what ours store). None of them checks a
signature, a nonce or a limit, masks secrets, or syncs before it answers, and none waits for its file: what was answered
and never got there is the column *lost*. A program is looked for on the PATH, or under the variable that is named in
the note if it is absent.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from bench import corpus, load, machine, servers, step
from bench.corpus import Kind
from bench.peers import programs
from logops_fast.config.slo import load_slo
from logops_fast.formats.protobuf_wire import bytes_field
from tests.support.ports import free_port

CONFIGS: Final = Path(__file__).parent / "configs"
SETTLE_TIMEOUT: Final = 60.0
QUIET: Final = 3.0
"""Seconds without a new line, after which what has not been written counts as lost."""
WARM_UP: Final = 1.0
JOB: Final = "job"
PASS: Final = "as they come"
OURS: Final = "logops-up"
TITLE: Final = "LogOps Fast, `up`"


@dataclass(frozen=True)
class Collector:
    """One program. ``settle`` is what BENCH_SETTLE says with and without the job, which its configuration reads."""

    name: str
    title: str
    variable: str
    programs: tuple[str, ...]
    words: tuple[str, ...]
    settle: tuple[str, str]
    otlp: bool = False
    """Whether events go to it as an export of OTLP, each as the JSON that is a record's body, instead of an array."""
    marker: bytes = b"\n"
    """What its file has once for each event."""

    def binary(self) -> str | None:
        """The program, if it is installed."""
        named = os.environ.get(self.variable)
        if named:
            return shutil.which(named)
        return next((path for program in self.programs if (path := shutil.which(program))), None)

    def content_type(self) -> bytes:
        """Of what is sent to it."""
        return corpus.CONTENT_TYPES["otlp" if self.otlp else "json"]

    def bodies(self, count: int, size: int, kind: Kind) -> list[bytes]:
        """``count`` bodies of ``size`` events: those of `bench.corpus.bodies` in what it reads."""
        if not self.otlp:
            return corpus.bodies(count, size, kind)
        return [export(corpus.events(size, kind, seed)) for seed in range(count)]

    def version(self) -> str:
        """The number in what it says of itself; empty if it is not installed."""
        path = self.binary()
        if path is None:
            return ""
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30)
        found = re.search(r"\d+\.[\w.+-]+", done.stdout + done.stderr)
        return found[0] if found else "unknown"


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
        otlp=True,
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


def main(words: list[str] | None = None) -> int:
    """Entry point."""
    args = arguments(words)
    results = run(args)
    text = table(results)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(text)
    print("\n" + text)
    return 0


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers.collectors", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each program, job and corpus in each round (2)")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--corpora", nargs="+", choices=("mixed", "field"), default=["mixed", "field"])
    parser.add_argument("--dir", type=Path, help="where they write (build/bench)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/collectors"), help="results, without a suffix")
    return parser.parse_args(words)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All that are installed, and ours, in alternation; figures a round."""
    with servers.scratch(args.dir) as folder:
        facts = machine.facts(folder)
    present = [one for one in ALL if one.binary() is not None]
    for absent in ALL:
        if absent not in present:
            print(f"left out, {absent.programs[0]} is not installed (or name it in {absent.variable}): {absent.title}")
    kinds: list[Kind] = args.corpora
    rows: dict[Kind, dict[str, Any]] = {kind: {} for kind in kinds}
    turns: list[tuple[Collector | None, str]] = [(None, JOB), *((one, job) for one in present for job in (JOB, PASS))]
    for number in range(args.rounds):
        for kind, found in rows.items():
            for one, job in turns:
                with servers.scratch(args.dir) as folder:
                    figures = _measure(one, folder, job, kind, args) if one else _ours(folder, kind, args)
                found.setdefault(one.name if one else OURS, {}).setdefault(job, []).append(figures)
                print(
                    f"round {number + 1}  {kind:<6} {one.title if one else TITLE:<36} {job:<12} "
                    f"{figures['cpu_eps']:>9,.0f} a CPU second  {figures['eps']:>9,.0f} EPS  "
                    f"{figures['lost']:,} lost  others {figures['others']:.2f}",
                    flush=True,
                )
    return {
        "kind": "collectors",
        "machine": facts,
        "versions": {one.name: one.version() for one in present},
        "batch_size": args.batch_size,
        "seconds": args.seconds,
        "rounds": args.rounds,
        "corpora": rows,
    }


def table(results: dict[str, Any]) -> str:
    """The rows, in Markdown."""
    corpora, versions = results["corpora"], results["versions"]
    text = [
        f"Collectors on the same events: HTTP in, file out, batches of {results['batch_size']}, one core, median of "
        f"{results['rounds']} rounds of {results['seconds']:g} s in alternation. Events stored for each CPU second of "
        "the program. *Job*: time, level and message settled, e-mail and IPv4 addresses masked, by the configurations "
        "in `bench/peers/configs`. *As they come*: taken and written; Fluent Bit and Vector parse the events for that, "
        "the OpenTelemetry Collector carries each as a text. The collectors check no signature, nonce or limit, mask "
        "no secrets, sync nothing and answer before they have written; ours does all of it. Lost: answered, and not in "
        "the file.",
        "",
    ]
    if not versions:
        text += ["None of Fluent Bit, the OpenTelemetry Collector and Vector is installed here.", ""]
    cells = [cell for kind in corpora for cell in (f"`{kind}`: job", "ours is", "as they come", "ours is")]
    text += [
        "| | " + " | ".join([*cells, "EPS, wall", "RSS MiB", "lost", "others"]) + " |",
        "|---|" + "---:|" * (len(cells) + 4),
    ]
    for name in (OURS, *versions):
        title = TITLE if name == OURS else next(one.title for one in ALL if one.name == name)
        row = [f"{title} ({versions[name]})" if name in versions else title]
        for found in corpora.values():
            ours = _median(found[OURS][JOB], "cpu_eps")
            for job in (JOB, PASS):
                if job in found[name]:
                    here = _median(found[name][job], "cpu_eps")
                    row += [f"{here:,.0f}", "1" if name == OURS else f"{ours / here:.1f} x"]
                else:
                    row += ["", ""]
        jobs = [figures for found in corpora.values() for figures in found[name][JOB]]
        everything = [figures for found in corpora.values() for part in found[name].values() for figures in part]
        row += [
            ", ".join(f"{_median(found[name][JOB], 'eps'):,.0f}" for found in corpora.values()),
            f"{max(figures['rss_mib'] for figures in jobs):,.0f}",
            f"{sum(figures['lost'] for figures in everything):,}",
            f"{_median(everything, 'others'):.2f}",
        ]
        text.append("| " + " | ".join(row) + " |")
    text += [
        "",
        "EPS, wall and RSS (the largest): of the job. Others: cores in use by other processes, the median.",
        "",
        machine.one_line(results["machine"]) + ".",
        "",
    ]
    return "\n".join(text)


def _ours(folder: Path, kind: Kind, args: argparse.Namespace) -> dict[str, float]:
    with servers.running(folder) as server:
        plan = step.plan_for(server, step.make_bodies(args.batch_size, kind), connections=_connections(args))
        done = step.measure(
            server, plan, load_slo(), machine.share_out(1), eps=None, seconds=args.seconds, warmup=WARM_UP
        )
    if done.refused or not done.events_accepted or done.events_stored is None:
        raise SystemExit(f"ours refused what it was sent: {done.refused}")
    return {
        "eps": done.achieved_eps,
        "cpu_eps": done.cpu_eps or 0.0,
        "rss_mib": done.rss_mib or 0.0,
        "lost": done.events_accepted - done.events_stored,
        "others": done.others or 0.0,
    }


def _measure(one: Collector, folder: Path, job: str, kind: Kind, args: argparse.Namespace) -> dict[str, float]:
    bodies = [load.Body.of(body, args.batch_size) for body in one.bodies(step.BODIES, args.batch_size, kind)]
    with running(one, folder, settles=job == JOB) as server, machine.on_cores(machine.share_out(1).send):
        plan = load.Plan(
            server.port,
            bodies,
            content_type=one.content_type(),
            key=None,
            target=server.target,
            connections=_connections(args),
            seconds=WARM_UP,
        )
        warm = load.run(plan)
        written = await_events(server, warm.events_accepted)
        before, busy = server.usage(), machine.busy_time()
        start, sender = time.monotonic(), time.process_time()
        result = load.run(replace(plan, seconds=args.seconds))
        stored = await_events(server, written + result.events_accepted) - written
        now, passed = server.usage(), time.monotonic() - start
        cpu = max(now.cpu - before.cpu, 0.01)  # a clock tick
        others = machine.busy_time() - busy - (time.process_time() - sender) - cpu
    if result.refused or result.unanswered or not result.events_accepted:
        raise SystemExit(f"{one.name}: {dict(result.refused)} refused, {result.unanswered} not answered")
    return {
        "eps": result.achieved_eps,
        "cpu_eps": stored / cpu,
        "rss_mib": now.rss / 2**20,
        "lost": result.events_accepted - stored,
        "others": max(0.0, others / passed) if busy else 0.0,
    }


def export(events: list[dict[str, Any]]) -> bytes:
    """An ExportLogsServiceRequest as an agent makes it of lines: each event's JSON is a record's body."""
    records = b"".join(bytes_field(2, bytes_field(5, bytes_field(1, orjson.dumps(event)))) for event in events)
    return bytes_field(1, bytes_field(2, records))


def _connections(args: argparse.Namespace) -> int:
    return 32 if args.batch_size >= 100 else 128


def environment(one: Collector, port: int, files: Path, *, settles: bool) -> dict[str, str]:
    """What its configuration asks for, and one thread, as all share a core."""
    return {
        "BENCH_PORT": str(port),
        "BENCH_DIR": str(files),
        "BENCH_CONFIGS": str(CONFIGS),
        "BENCH_SETTLE": one.settle[0 if settles else 1],
        "GOMAXPROCS": "1",
        "VECTOR_THREADS": "1",
        # Without it, Vector 0.57 and newer puts no variables into its configuration.
        "VECTOR_DANGEROUSLY_ALLOW_ENV_VAR_INTERPOLATION": "true",
    }


@contextmanager
def running(one: Collector, folder: Path, *, settles: bool) -> Iterator[servers.Server]:
    """The collector, serving, with or without the job; ended with all its processes."""
    port, files = free_port(), folder / "data"
    files.mkdir(parents=True)
    log = folder / "log"
    with programs.serving(
        [str(one.binary()), *one.words], port, log, environment(one, port, files, settles=settles), CONFIGS
    ) as pid:
        yield servers.Server(one.name, port, roots=[pid], files=files, marker=one.marker)


def await_events(server: servers.Server, events: int) -> int:
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


if __name__ == "__main__":
    sys.exit(main())
