"""Runs ``logops ship``. Its first start continues where Promtail or Alloy stopped, if one of them ran here.

Without that it would begin at the beginning of all files, and push again what is in Loki already.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from logops_fast.config.loader import load
from logops_fast.config.settings import ship_dir
from logops_fast.shipper.positions import FILE, PositionsError, foreign_positions

PROMTAIL = Path("promtail", "positions.yaml")
ALLOY = Path("alloy", "loki.source.file.logops", "positions.yml")


def positions_before(collectors: Path) -> Path | None:
    """Return the positions of the collector that ran last, or None if none has read a file of the gateway's."""
    found = []
    for path in (collectors / PROMTAIL, collectors / ALLOY):
        try:
            foreign_positions(path)
            found.append((path.stat().st_mtime, path))
        except (PositionsError, OSError):
            continue
    return max(found)[1] if found else None


def main(argv: list[str]) -> None:
    """Become ``logops ship``, with the arguments that are not understood here."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--positions", type=Path, required=True, help="the directory of the collectors' positions")
    args, rest = parser.parse_known_args(argv)
    own = ship_dir(load(None, os.environ).settings) / FILE
    if not own.exists() and (before := positions_before(args.positions)) is not None:
        rest = ["--import-positions", str(before), *rest]
    os.execvp("logops", ["logops", "ship", *rest])  # noqa: S606, S607 - the image's own command


if __name__ == "__main__":
    main(sys.argv[1:])
