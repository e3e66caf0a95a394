"""``python tools/stress.py [--runs 5] [--loops 4] [--out FILE] [PYTEST_ARGUMENTS]``: the tests beside busy loops.

``--with COMMAND`` runs something useful in the loops, the fuzzer for example.
A test that passes here does not depend on an idle machine. Each run appends a line to FILE (tests/stress.md): commit,
machine, load, result. Exits with 1 if a run fails; its output stays in build/stress.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.machine import commit, facts  # noqa: E402

HEAD: Final = """# Runs beside busy loops

`make stress` runs all tests beside busy loops, several times in a row: what passes does not depend on an idle machine.

| at (UTC) | commit | machine | busy loops | run | load average after | minutes | result |
|---|---|---|---:|---:|---:|---:|---|
"""


@contextmanager
def busy(loops: int, command: str) -> Iterator[None]:
    """Keep ``loops`` processes busy with ``command`` until the block ends; ``{n}`` in it is the number of a process."""
    processes = [
        subprocess.Popen(shlex.split(command.replace("{n}", str(number))), cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603
        for number in range(1, loops + 1)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> int:
    """Run the tests as often as asked, and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument(
        "--with",
        dest="command",
        default=f"{shlex.quote(sys.executable)} -c 'while True: pass'",
        help="what each loop runs; {n} is its number",
    )
    parser.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 1), help="test processes")
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "stress.md")
    options, tests = parser.parse_known_args()
    logs = ROOT / "build" / "stress"
    logs.mkdir(parents=True, exist_ok=True)
    if not options.out.exists():
        options.out.write_text(HEAD)
    machine = facts(logs)
    described = f"{machine['cpu']}, {machine['cores']} cores, {machine['python']}"
    failed = 0
    with busy(options.loops, options.command):
        for run in range(1, options.runs + 1):
            log = logs / f"run-{run}.log"
            started = time.monotonic()
            command = [sys.executable, "-m", "pytest", "-n", str(options.jobs), "--dist", "worksteal"]
            with log.open("wb") as output:
                done = subprocess.run(  # noqa: S603
                    [*command, *tests], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
                )
            minutes = (time.monotonic() - started) / 60
            summary = (log.read_text("utf-8", "replace").rstrip().splitlines() or ["nothing"])[-1]
            row = (
                f"| {datetime.now(UTC):%Y-%m-%d %H:%M} | {commit()} | {described} | {options.loops} | {run} "
                f"| {os.getloadavg()[0]:.1f} | {minutes:.1f} | {summary} |"
            )
            print(row, flush=True)
            with options.out.open("a") as table:
                table.write(row + "\n")
            failed += done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
