"""``python tools/long_runs.py [NAME ...]``: what takes too long for every change; writes docs/long-runs.md.

``faults``  each kind of fault six times, with the long waits
``fuzz``    every target of tests/fuzz for two minutes, from a new seed
``long``    all other tests that are marked ``long``
``soak``    ten minutes at half of the highest rate: nothing lost, memory flat
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.machine import facts, one_line  # noqa: E402

FUZZING: Final = """\
To fuzz alone: `make fuzz MINUTES=10`, or `make fuzz MINUTES=10 ARGS="http parsers masks config"` for some targets
of `tests/fuzz/targets.py`. With `pip install atheris` in `.venv` it is coverage-guided, otherwise the built-in engine
mutates the seeds. Input that breaks a target is kept in `build/fuzz`: repair the fault, and make the input a test.
"""
OUT: Final = ROOT / "docs" / "long-runs.md"
LOGS: Final = ROOT / "build" / "long"
PYTEST: Final = ("-m", "pytest", "-m")
STEPS: Final = {
    "faults": ((*PYTEST, "fault and not long", "tests/faults"), {"LOGOPS_FAULT_RUNS": "6"}),
    "fuzz": ((*PYTEST, "long", "-s", "-n", "2", "tests/fuzz"), {}),
    "long": ((*PYTEST, "long", "--ignore=tests/fuzz"), {}),
    "soak": (("-m", "bench.soak", "--eps", "50000", "--seconds", "600", "--out", str(LOGS / "soak.json")), {}),
}
NOTHING_COLLECTED: Final = 5  # pytest's exit code when no test is marked so


def main(names: list[str]) -> int:
    """Run the steps, and write the table of what came out."""
    LOGS.mkdir(parents=True, exist_ok=True)
    seed = random.randrange(1 << 30)
    machine = one_line(facts(LOGS))
    rows, failed = [], 0
    for name in names or STEPS:
        words, variables = STEPS[name]
        print(f"{name} ...", flush=True)
        started = time.monotonic()
        log = LOGS / f"{name}.log"
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603
                [sys.executable, *words],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables, "LOGOPS_FUZZ_SEED": str(seed)},
                check=False,
            )
        good = done.returncode in (0, NOTHING_COLLECTED)
        failed += not good
        last = (log.read_text("utf-8", "replace").rstrip().splitlines() or [""])[-1]
        minutes = (time.monotonic() - started) / 60
        rows.append(f"| {name} | {'passed' if good else 'FAILED'} | {minutes:.1f} | {last.replace('|', '/')} |")
        print(rows[-1], flush=True)
    table = "\n".join(["| step | result | minutes | last line |", "|---|---|---:|---|", *rows])
    OUT.write_text(f"# Long runs\n\nMade by `make long`. Seed {seed}.\n\n{FUZZING}\n{table}\n\n{machine}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
