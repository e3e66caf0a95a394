#!/usr/bin/env python3
"""Run a scenario: a thin wrapper of `logops scenario run`, with the options of the original script."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a checkout, not installed


def main() -> int:
    from logops_fast.cli.main import main as logops

    parser = argparse.ArgumentParser(
        description="Run a scenario: run_scenario.py -s deploy/scenarios/default.yaml --log-file run.jsonl --seed 1",
        epilog="All other options are those of `logops scenario run --help`.",
        allow_abbrev=False,
    )
    parser.add_argument("-s", "--scenario", metavar="FILE", required=True, help="a file, or a name of the library")
    args, rest = parser.parse_known_args()
    return logops(["scenario", "run", args.scenario, *rest])


if __name__ == "__main__":
    sys.exit(main())
