"""Names of the sink's files: one a UTC day and worker, and who owns which."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, NamedTuple

REJECTED_DIR: Final = "rejected"
JOURNAL_DIR: Final = ".journal"
TORN_SUFFIX: Final = ".torn"
DAY_SECONDS: Final = 86_400

_NAME: Final = re.compile(r"([0-9]{8})(?:\.w([0-9]{1,4}))?\.ndjson(\.torn)?")


class DayFile(NamedTuple):
    """What a file's name says of it; ``worker`` is None for the file of a single-worker gateway."""

    day: dt.date
    worker: int | None
    torn: bool


def day_of(wall: float) -> str:
    """The UTC day of ``wall`` (seconds since the epoch) as ``YYYYMMDD``."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).strftime("%Y%m%d")


def file_name(day: str, worker: int, workers: int) -> str:
    """The name of ``worker``'s file of ``day``: the worker is named only where there are several."""
    return f"{day}.ndjson" if workers == 1 else f"{day}.w{worker}.ndjson"


def parse_name(name: str) -> DayFile | None:
    """Read a file name; None if it is not one of ours (another form, or no such day)."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        day = dt.datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None
    return DayFile(day, None if match[2] is None else int(match[2]), match[3] is not None)


def owner(worker: int | None, workers: int) -> int:
    """The worker that looks after files of ``worker``: worker 0 inherits those of workers that are no more."""
    return worker if worker is not None and worker < workers else 0
