"""Housekeeping by the settings, for the command, the gateway and the tool alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from logops_fast.config.settings import Settings, ship_dir
from logops_fast.ingest.housekeeping.retention import Report, Waits, run_once
from logops_fast.shipper import positions


def run(settings: Settings, *, dry_run: bool = False, stop: Callable[[], bool] = lambda: False) -> Report:
    """Run once over ``sink.dir`` and return the report, errors included.

    ``stop`` is called between files and pieces of files; the run ends once it returns true.
    """
    rules = settings.housekeeping
    return run_once(
        Path(settings.sink.dir),
        retention_days=rules.retention_days,
        archive=rules.archive,
        archive_dir=Path(rules.archive_dir),
        max_total_bytes=rules.max_total_bytes,
        dry_run=dry_run,
        stop=stop,
        waits=_unshipped(settings) if rules.wait_for_shipper else lambda _file: False,
    )


def _unshipped(settings: Settings) -> Waits:
    """Return what tells whether a file is not in Loki yet, by the shipper's positions. Without any, none is."""
    try:
        saved = positions.load(ship_dir(settings) / positions.FILE)
    except (ValueError, OSError, positions.PositionsError):
        saved = None
    shipped = {position.name: position.offset for position in saved.files} if saved is not None else {}
    return lambda file: shipped.get(file.name, 0) < file.size
