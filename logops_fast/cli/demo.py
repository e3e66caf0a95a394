"""``logops demo``: start both gateways, run a scenario against them, and show what was stored."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from logops_fast.cli.options import add_json, example, number_in
from logops_fast.cli.output import BOLD, DIM, GREEN, RED, complain, is_fancy, paint, print_json
from logops_fast.cli.progress import milliseconds
from logops_fast.cli.traffic import drive
from logops_fast.config.keys_file import Keyring, make_demo_keys
from logops_fast.config.slo import Slo, load_slo
from logops_fast.emitters.scenario import find, load
from logops_fast.emitters.target import Target
from logops_fast.emitters.totals import Totals

DEFAULT_DIR: Final = "data/demo"
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 30.0
SHOWN_LINES: Final = 3
_BLOCK: Final = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--dir", metavar="DIR", default=DEFAULT_DIR, help=f"directory of everything it writes (default: {DEFAULT_DIR})"
    )
    parser.add_argument("--scenario", metavar="NAME", default="demo", help="what to run (default: demo)")
    parser.add_argument("--duration", metavar="SEC", type=number_in(1, 86_400), help="seconds, overriding the scenario")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="the same events in each run (default: 1)")
    parser.add_argument("--workers", metavar="N", default="1", help="worker processes (default: 1)")
    add_json(parser)
    example(parser, "logops demo --duration 5")


class Stored(NamedTuple):
    """The content of the files: the number of lines, and the last few of them."""

    lines: int
    last: list[str]
    paths: list[Path]


class Outcome(NamedTuple):
    """The outcome of the demo."""

    totals: Totals
    stored: int
    last: list[str]
    paths: list[Path]
    slo: Slo

    @property
    def kept(self) -> bool:
        """Whether the files hold exactly the acknowledged events."""
        return self.stored == self.totals.accepted.events

    @property
    def fast(self) -> bool:
        """Whether the 95th percentile meets the SLO."""
        return self.totals.latency.p95 is not None and self.totals.latency.p95 < self.slo.p95


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 if every accepted event is in the files, else 1."""
    folder = Path(args.dir)
    scenario = load(find(args.scenario))
    if args.duration is not None:
        scenario = scenario.lasting(args.duration)
    keys = folder / "keys.yaml"
    if not keys.exists():
        make_demo_keys(keys)
    client = next(iter(Keyring.load(keys).clients.values()))
    before = _stored(folder / "ingest").lines
    with _gateways(folder, args.workers) as port:
        totals = drive(scenario, Target.of(client, f"http://127.0.0.1:{port}/ingest"), seed=args.seed)
    after = _stored(folder / "ingest")
    outcome = Outcome(totals, after.lines - before, after.last, after.paths, load_slo())
    if args.json:
        print_json(_as_fields(outcome))
    else:
        _show(outcome, folder)
    if not outcome.kept:
        complain(f"{outcome.totals.accepted.events} events were accepted and {outcome.stored} are in the files")
        return 1
    return 0


@contextlib.contextmanager
def _gateways(folder: Path, workers: str) -> Iterator[int]:
    """Run `logops up` on free ports in a process of its own, as a user would; yield the Auth Gateway's port."""
    auth, ingest = _free_ports()
    settings = {
        "AUTHGW__PORT": auth,
        "INGEST__PORT": ingest,
        "ADMIN__PORT": 0,
        "AUTH__KEYS_FILE": folder / "keys.yaml",
        "SINK__DIR": folder / "ingest",
        "STATE__DIR": folder / "state",
        "SERVER__PID_FILE": folder / "logops.pid",
        "SERVER__WORKERS": workers,
        # A small bucket, so that the scenario shows what a refusal looks like.
        "RATELIMIT__OVERRIDES__CSV__CAPACITY": 1000,
        "RATELIMIT__OVERRIDES__CSV__REFILL_PER_SEC": 100,
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOGOPS_")}
    env |= {f"LOGOPS_{name}": str(value) for name, value in settings.items()}
    log = folder / "gateway.log"
    with log.open("wb") as out:
        # In a session of its own: Ctrl-C reaches only the demo, which then stops the gateways.
        process = subprocess.Popen(
            [sys.executable, "-m", "logops_fast", "--config", os.devnull, "up"],
            env=env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        _wait_ready(process, auth, log)
        yield auth
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise OSError(f"the gateways did not start: {log.read_text('utf-8', 'replace').strip()[-500:]}")
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise OSError(f"the gateways were not ready in {START_SECONDS:.0f} s; {log} says why")


def _free_ports() -> tuple[int, int]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _stored(sink: Path) -> Stored:
    """Count the lines in the files of all days."""
    paths = sorted(sink.glob("*.ndjson"))
    lines = 0
    last: list[str] = []
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                lines += block.count(b"\n")
            file.seek(max(0, file.tell() - (64 << 10)))
            last += file.read().decode("utf-8", "replace").split("\n")[-1 - SHOWN_LINES : -1]
    return Stored(lines, last[-SHOWN_LINES:], paths)


def _show(outcome: Outcome, folder: Path) -> None:
    fancy = is_fancy()
    totals, slo = outcome.totals, outcome.slo

    def row(name: str, events: int, note: str = "", colour: str = "") -> None:
        print(f"  {name:<10}{paint(f'{events:>10,}', colour, fancy and bool(colour))}  {note}".rstrip())

    rate = totals.accepted.events / totals.seconds if totals.seconds else 0.0
    print(paint("Events", BOLD, fancy))
    row("sent", totals.sent.events, f"in {totals.sent.batches:,} signed batches, {totals.seconds:.1f} s")
    row("accepted", totals.accepted.events, f"{rate:,.0f} a second")
    if totals.rejected.events:
        row("unreadable", totals.rejected.events, f"kept, masked, in {folder / 'ingest' / 'rejected'}")
    row("refused", totals.lost.events)
    for reason, count in sorted(totals.refused.items()):
        row("", count.events, reason)
    for reason, number in sorted(totals.replays_refused.items()):
        print(f"  {'replays':<10}{number:>10,}  signed requests sent a second time, all refused: {reason}")
    if totals.replays_accepted:
        print(paint(f"  {'replays':<10}{totals.replays_accepted:>10,}  ACCEPTED", RED, fancy))
    verdict = "as many lines in the files as were accepted" if outcome.kept else "NOT what was accepted"
    row("stored", outcome.stored, verdict, GREEN if outcome.kept else RED)
    print(
        paint("Latency", BOLD, fancy)
        + " of a batch, from when it was due to its answer, which is given once it is on the disk"
    )
    for name, value in zip(("p50", "p95", "p99"), totals.latency, strict=True):
        note = ""
        if name == "p95":
            word = "met" if outcome.fast else "MISSED"
            note = f"SLO: under {slo.p95 * 1e3:.0f} ms: " + paint(word, GREEN if outcome.fast else RED, fancy)
        print(f"  {name:<10}{milliseconds(value):>10}  {note}".rstrip())
    print(paint("Stored lines", BOLD, fancy))
    for line in outcome.last:
        print(paint(f"  {line if len(line) <= 200 else line[:197] + '...'}", DIM, fancy))
    print(paint("Where", BOLD, fancy))
    for path in outcome.paths:
        print(f"  {path}")
    print(f"  {folder / 'gateway.log'}")


def _as_fields(outcome: Outcome) -> dict[str, Any]:
    fields = outcome.totals.as_fields()
    fields["stored"] = outcome.stored
    fields["stored_equals_accepted"] = outcome.kept
    fields["slo"] = {"p95_seconds": outcome.slo.p95, "met": outcome.fast}
    fields["files"] = [str(path) for path in outcome.paths]
    return fields
