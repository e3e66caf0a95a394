"""``python -m tests.faults --faults 1000 --out TABLE``: many faults of every kind, and what became of the events.

The kinds take turns until so many faults have been injected; the table names seed, commit and machine. Exits with 1 at
the first event that was lost or doubled.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("LOGOPS_FAULT_RUNS", "1")  # before the kinds are read: the long waits

import pytest

from tests.faults.harness import Fault, Row, run, table
from tests.faults.kinds import FAULTS

TITLE = "# Injected faults: the table of a long run\n\nWritten by `make faults`; [how it is made and read](README.md)."
ROUND = 4  # faults of one kind on one started gateway, at most


def schedule(faults: int, kinds: list[Fault], seed: int) -> list[tuple[Fault, int, int]]:
    """Return kinds with the number of runs and the number of the first, in turns, until there are ``faults``."""
    planned = {fault.name: 0 for fault in kinds}
    size = max(1, min(ROUND, faults // len(kinds)))
    turns = []
    left = faults
    while left > 0:
        before = left
        for fault in kinds:
            runs = min(size, fault.most - planned[fault.name], left)
            if runs > 0:
                turns.append((fault, runs, seed + planned[fault.name]))
                planned[fault.name] += runs
                left -= runs
        if left == before:  # every kind has reached its limit
            break
    return turns


def header(seed: int) -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, seed {seed}, {os.cpu_count()} CPUs, "
        f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000, help="how many to inject (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="number of the first run of each kind (default 0)")
    parser.add_argument("--kind", action="append", help="only kinds whose name contains this; may be repeated")
    parser.add_argument("--out", type=Path, help="where the table goes besides standard output")
    options = parser.parse_args()
    wanted = [f for f in FAULTS if not options.kind or any(word in f.name for word in options.kind)]
    described = header(options.seed)
    rows: dict[str, Row] = {}
    failed = text = ""
    for fault, runs, first in schedule(options.faults, wanted, options.seed):
        row = rows.setdefault(fault.name, Row(fault.name))
        print(f"{sum(r.runs for r in rows.values()):5} {fault.name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="logops-faults-") as folder:
            try:
                row.add(run(fault, Path(folder), runs, first))
            except AssertionError as error:
                failed = f"{fault.name}: {error}"
            except pytest.skip.Exception as skipped:
                print(f"skipped: {skipped}", file=sys.stderr)
        # After each turn, so that a run that is interrupted leaves what it has found.
        text = f"{described}\n\n{table([row for row in rows.values() if row.runs])}\n"
        text += f"\nFAILED {failed}\n" if failed else ""
        if options.out is not None:
            options.out.write_text(f"{TITLE}\n\n{text}")
        if failed:
            break
    print(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
