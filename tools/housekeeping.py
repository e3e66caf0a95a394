#!/usr/bin/env python3
"""Delete or archive old NDJSON files once: a thin wrapper of `logops housekeeping`, and `run_once()` for programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logops_fast.ingest.housekeeping.retention import Report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a checkout, not installed


def run_once(*, dry_run: bool = False) -> Report:
    """One run by `logops.yaml` of the working directory and the environment; the report. Raises ConfigError."""
    from logops_fast.config.loader import config_path, load
    from logops_fast.runtime import housekeeping

    return housekeeping.run(load(config_path(None), os.environ).settings, dry_run=dry_run)


def main() -> int:
    from logops_fast.cli.main import main as logops

    return logops(["housekeeping", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
