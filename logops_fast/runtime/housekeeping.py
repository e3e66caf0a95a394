"""Housekeeping by the settings: the one door for the command, the gateway and the tool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from logops_fast.config.settings import Settings
from logops_fast.ingest.housekeeping.retention import Report, run_once


def run(settings: Settings, *, dry_run: bool = False, stop: Callable[[], bool] = lambda: False) -> Report:
    """One run over ``sink.dir``; ``stop`` is asked between files and pieces. Errors are in the report."""
    rules = settings.housekeeping
    return run_once(
        Path(settings.sink.dir),
        retention_days=rules.retention_days,
        archive=rules.archive,
        archive_dir=Path(rules.archive_dir),
        max_total_bytes=rules.max_total_bytes,
        dry_run=dry_run,
        stop=stop,
    )
