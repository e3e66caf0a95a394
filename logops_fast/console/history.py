"""Past runs: the telemetry files of a directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from logops_fast.config.errors import ConfigError
from logops_fast.emitters.record import Record, read
from logops_fast.emitters.telemetry import END, START

SUFFIX: Final = ".jsonl"
MAX_LISTED: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\.jsonl", re.ASCII)
_TAIL: Final = 262_144  # bytes from the end of a file in which its last line is


@dataclass(frozen=True)
class PastRun:
    """One file of telemetry. ``totals`` is empty if the run was cut off, or goes on."""

    file: str
    scenario: str
    started: str
    seconds: float
    totals: dict[str, Any]
    unmet: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """In a word: ``as expected``, ``not as expected``, ``cut off``."""
        if not self.totals:
            return "cut off"
        return "not as expected" if self.unmet else "as expected"


class Runs:
    """The runs in ``directory``, which is made with the first one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def new(self, scenario: str, now: float) -> Path:
        """Return the path of a new run's file; ``now`` is its start in epoch seconds."""
        self.directory.mkdir(parents=True, exist_ok=True)
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        names = (f"{scenario}-{stamp}{extra}{SUFFIX}" for extra in ("", *(f"-{n}" for n in range(2, 1000))))
        return next(path for name in names if not (path := self.directory / name).exists())

    def path(self, file: str) -> Path:
        """Return the path of a file that is named in a URL. Raises ConfigError if it is no name of a run."""
        path = self.directory / file
        if not _NAME.fullmatch(file) or not path.is_file():
            raise ConfigError(f"there is no run {file[:160]!r} in {self.directory}")
        return path

    def record(self, file: str) -> Record:
        """Read a run. Raises ConfigError."""
        return read(self.path(file))

    def listed(self) -> list[PastRun]:
        """Return the runs, the newest first, without those that cannot be read."""
        try:
            paths = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        found = (summary(path) for path in paths)
        runs = [run for run in found if run is not None]
        return sorted(runs, key=lambda run: (run.started, run.file), reverse=True)[:MAX_LISTED]


def summary(path: Path) -> PastRun | None:
    """Read the first and the last line of a run; None if it is none."""
    try:
        with path.open("rb") as file:
            first = orjson.loads(file.readline())
            file.seek(max(0, path.stat().st_size - _TAIL))
            last = _row(file.read().splitlines()[-1:])
        if first["event"] != START or first.get("dry_run"):
            return None
        ended = last.get("event") == END
        return PastRun(
            path.name,
            str(first["name"]),
            str(first["ts_iso"]),
            float(last["t_rel"] if ended else first["duration_sec"]),
            last["totals"] if ended else {},
            tuple(map(str, last["unmet"])) if ended else (),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _row(lines: list[bytes]) -> dict[str, Any]:
    try:
        row = orjson.loads(lines[0])
    except (IndexError, orjson.JSONDecodeError):  # the unfinished line of a run that was killed
        return {}
    return row if isinstance(row, dict) else {}
