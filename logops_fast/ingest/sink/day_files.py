"""Names of the sink's files: one for each UTC day and worker."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Final, NamedTuple

REJECTED_DIR: Final = "rejected"
JOURNAL_DIR: Final = ".journal"
TORN_SUFFIX: Final = ".torn"
DAY_SECONDS: Final = 86_400

_NAME: Final = re.compile(r"([0-9]{8})(?:\.w([0-9]{1,4}))?\.ndjson(\.torn)?")


_LINK: Final = re.compile(r"w([0-9]{1,4})\.(?:events|rejected)")


class DayFile(NamedTuple):
    """What the name of a file says; ``worker`` is None for the file of a single-worker gateway."""

    day: dt.date
    worker: int | None
    torn: bool


def day_of(wall: float) -> str:
    """Return the UTC day of ``wall`` (seconds since the epoch) as ``YYYYMMDD``."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%Y%m%d")


def file_name(day: str, worker: int, workers: int) -> str:
    """Return the name of ``worker``'s file of ``day``; it names the worker only if there are several."""
    return f"{day}.ndjson" if workers == 1 else f"{day}.w{worker}.ndjson"


def link_names(worker: int) -> tuple[str, str]:
    """Return the names, in the journal directory, of the links to a worker's open files: events, rejected events."""
    return f"w{worker}.events", f"w{worker}.rejected"


def linked_workers(journal: Path) -> set[int]:
    """Return the workers that have such links in the journal directory."""
    if not journal.is_dir():
        return set()
    return {int(match[1]) for path in journal.iterdir() if (match := _LINK.fullmatch(path.name))}


def parse_name(name: str) -> DayFile | None:
    """Read a file name. Return None if it is not one of ours (another form, or no such day)."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        day = dt.datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None
    return DayFile(day, None if match[2] is None else int(match[2]), match[3] is not None)


def owner(worker: int | None, workers: int) -> int:
    """Return the worker that is responsible for files of ``worker``: 0 if that worker does not exist any more."""
    return worker if worker is not None and worker < workers else 0
