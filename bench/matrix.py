"""All that is claimed about events for each CPU second, by one command that can be stopped and goes on where it was.

    make compiled test-native                 # what is measured; without either its cells are left out, with a note
    python -m bench.matrix                    # the most important cells first; Ctrl-C loses the run under way, no more
    python -m bench.matrix --list
    python -m bench.matrix --only targets knee --rounds 7
    python -m bench.matrix --report           # the table of what there is so far

A group of cells answers one question. Each round measures every cell of a group once, one after the other, so that a
slow minute of the machine meets all of them; what the table shows is the median of the rounds. A cell starts a gateway
of its own (`logops up`, HMAC, nonce, masks, secrets, fsync), sends as fast as it is answered, and divides the events
that were accepted by the CPU seconds of the gateway's processes and of the kernel's threads that sync for it. Every
line must be in the files at the end, or the run counts as failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench import corpus, eps_sweep, load, machine, matrix_report, servers, step
from bench.cells import COMPILED, WITH_KERNEL, Cell, Group, groups
from logops_fast.config.slo import Slo, load_slo
from logops_fast.files.replace import replacing

ROOT: Final = Path(__file__).resolve().parent.parent
TREES: Final = {"compiled": ROOT / "build" / "compiled", "native": ROOT / "build" / "native"}
SECONDS: Final = 4.0
WARM_UP: Final = 1.0
MOST_EVENTS: Final = 200_000
"""Events in all the bodies of a cell: 64 different bodies, fewer of large ones."""
LARGE: Final = {"backpressure": {"max_body_bytes": 64 << 20}, "server": {"max_large_per_emitter": 8}}
"""Settings of cells whose bodies are over the default limits: 100,000 events of the corpus are 22 MB."""


class Matrix:
    """The results file, and what is missing in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Any] = {"kind": "matrix", "groups": {}}
        if path.exists():
            self.results = json.loads(path.read_text())

    def runs(self, group: Group, cell: Cell) -> list[dict[str, Any]]:
        """The runs of a cell so far. Each group has its own, since only what was measured in alternation compares."""
        found: list[dict[str, Any]] = self.results["groups"].get(group.key, {}).get(cell.name, [])
        return found

    def add(self, group: Group, cell: Cell, run: dict[str, Any]) -> None:
        """Note a run, and write the file at once."""
        self.results["groups"].setdefault(group.key, {}).setdefault(cell.name, []).append(run)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as out:
            out.write(json.dumps(self.results, indent=1).encode() + b"\n")

    def check(self, facts: dict[str, Any]) -> None:
        """Note the machine and the commit, or refuse to mix two of them in one file."""
        known = self.results.setdefault("machine", facts)
        for name in ("cpu", "cores", "python", "commit", "packages"):
            if known[name] != facts[name]:
                raise SystemExit(
                    f"{self.path} was measured with {name} {known[name]}, and this is {facts[name]}: give another "
                    "--out, or remove that file"
                )


def main(words: list[str] | None = None) -> int:
    """Entry point."""
    args = arguments(words)
    chosen = [group for group in groups() if not args.only or group.key in args.only]
    matrix = Matrix(args.out.with_suffix(".json"))
    if args.list:
        for group in chosen:
            print(f"{group.key}: {group.title}")
            for cell in group.cells:
                print(f"  {cell.name}: {len(matrix.runs(group, cell))} of {args.rounds} runs")
        return 0
    if not args.report:
        with servers.scratch(args.dir) as folder:
            matrix.check(machine.facts(folder) | {"build": "builds as in the rows"})
        try:
            for group in chosen:
                measure(group, matrix, args)
        except KeyboardInterrupt:
            print("\nstopped; the same command goes on from here", file=sys.stderr)
        except TimeoutError:
            print("\nthe time is over; the same command goes on from here", file=sys.stderr)
    if not matrix.results["groups"]:
        print("nothing is measured yet", file=sys.stderr)
        return 1
    text = matrix_report.markdown(matrix.results, groups())
    args.out.with_suffix(".md").write_text(text)
    print("\n" + text)
    return 0


def measure(group: Group, matrix: Matrix, args: argparse.Namespace) -> None:
    """Bring every cell of a group to its number of runs, in alternation. Raises TimeoutError past ``--minutes``."""
    cells = [cell for cell in group.cells if not missing(cell)]
    for cell in group.cells:
        if why := missing(cell):
            print(f"left out, {why}: {cell.name}", file=sys.stderr)
    slo = load_slo()
    for number in range(args.rounds):
        for cell in cells:
            if len(matrix.runs(group, cell)) > number:
                continue
            if args.until is not None and time.monotonic() > args.until:
                raise TimeoutError
            run = run_cell(cell, slo, args)
            matrix.add(group, cell, run)
            print(f"{group.key} {number + 1}  {cell.name:<60} {matrix_report.line(run)}", flush=True)


def missing(cell: Cell) -> str:
    """What a cell lacks on this machine; empty if it can be measured."""
    if cell.build in COMPILED and not TREES["compiled"].is_dir():
        return "`make compiled` has not been run"
    if cell.build in WITH_KERNEL and not (TREES["native"] / "logops_kernel").is_dir():
        return "there is no kernel in build/native"
    return ""


def environment(cell: Cell) -> dict[str, str]:
    """The environment of a cell's gateway: which tree it is imported from, and whether the kernel is."""
    paths = [str(TREES["compiled"])] if cell.build in COMPILED else [str(ROOT)]
    if cell.build in WITH_KERNEL:
        paths.append(str(TREES["native"]))
    return {"PYTHONPATH": os.pathsep.join(paths), "LOGOPS_NATIVE": "1" if cell.build in WITH_KERNEL else "0"}


def bodies_of(cell: Cell) -> list[load.Body]:
    """The bodies that are sent in turn, hashed."""
    count = max(2, min(step.BODIES, MOST_EVENTS // cell.size))
    found = []
    for seed in range(count):
        events = corpus.events(cell.size, cell.corpus, seed)
        if cell.event_bytes:
            for event in events:
                name = "msg" if "msg" in event else "message"
                text = str(event[name]) + " "
                event[name] = (text * (cell.event_bytes // len(text) + 1))[: cell.event_bytes]
        found.append(load.Body.of(corpus.body(events, cell.body_format), cell.size))
    return found


def run_cell(cell: Cell, slo: Slo, args: argparse.Namespace) -> dict[str, Any]:
    """One run: a gateway of its own, closed-loop, or all the way to the knee."""
    large = cell.size > 10_000
    with (
        servers.scratch(args.dir) as folder,
        servers.running(folder, workers=cell.workers, env=environment(cell), extra=LARGE if large else None) as server,
    ):
        plan = step.plan_for(server, bodies_of(cell), body_format=cell.body_format, connections=cell.connections)
        cores = machine.share_out(cell.workers)
        if not cell.knee:
            warm_up = max(WARM_UP, 4.0 if large else 0.0)
            done = step.measure(server, plan, slo, cores, eps=None, seconds=args.seconds, warmup=warm_up)
            return done.to_json() | {"body_bytes": sum(len(one.data) for one in plan.bodies) // len(plan.bodies)}
        words = ["--batch-size", str(cell.size), "--corpus", cell.corpus, "--workers", str(cell.workers)]
        words += [
            "--format",
            cell.body_format,
            "--connections",
            str(cell.connections),
            "--patience",
            str(args.patience),
        ]
        sweep = eps_sweep.Sweep(server, eps_sweep.arguments(words), eps_sweep.Ladder(start=args.start), slo)
        knee = sweep.run()
        half = step.least_disturbed(lambda: sweep.at(round(knee / 2, -2)), 3) if knee else None
    return {"knee_eps": knee, "half_knee": half.to_json() if half else None}


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.matrix", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=[group.key for group in groups()], help="groups of cells")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each cell (5)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each closed-loop run (4)")
    parser.add_argument("--start", type=float, default=20_000.0, help="first rate on the way to a knee (20000)")
    parser.add_argument("--patience", type=int, default=10, help="steps to a knee made again because others were busy")
    parser.add_argument("--minutes", type=float, help="stop before the first run that would begin later than this")
    parser.add_argument("--list", action="store_true", help="the cells, and how many runs each has")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the table")
    parser.add_argument("--dir", type=Path, help="where the gateways write (build/bench)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/matrix"), help="results, without a suffix")
    args = parser.parse_args(words)
    args.until = None if args.minutes is None else time.monotonic() + args.minutes * 60
    return args


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
