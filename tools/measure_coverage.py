"""``python tools/measure_coverage.py PYTEST_ARGUMENTS``: tests, and the line and branch coverage of the package.

Child processes are measured too: forked workers, gateways and commands (pyproject.toml, ``[tool.coverage.run]``), but
for those that tests of faults and of benchmarks start (tests/conftest.py).
Exits with the tests' code, or with 2 if the tests pass and less than LEAST percent is covered.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LEAST: Final = 95


def main(arguments: list[str]) -> int:
    """Run the tests under coverage, put the processes' data together, and print the report."""
    env = {**os.environ, "COVERAGE_FILE": str(ROOT / ".coverage")}

    def coverage(*words: str) -> int:
        command = [sys.executable, "-m", "coverage", *words]
        return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode  # noqa: S603 - words of this file and of the Makefile

    coverage("erase")
    tests = coverage("run", "-m", "pytest", *arguments)
    coverage("combine", "--quiet")
    enough = coverage("report", f"--fail-under={LEAST}")
    return tests or enough


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
