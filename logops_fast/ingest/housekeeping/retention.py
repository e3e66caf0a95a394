"""Deletes or archives old files, by the day in their name: a pure plan, and a run that carries it out.

Never touched: today's files (UTC) and those of a later day, files whose name is not one of ours, files that a gateway
still has open (it holds a lock on them: yesterday's, just after midnight).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from logops_fast.files.locks import locked
from logops_fast.files.replace import sync_directory
from logops_fast.ingest.housekeeping.archive import ArchiveError, Stop, StoppedError, archive_file, remove_leftovers
from logops_fast.ingest.sink.day_files import REJECTED_DIR, parse_name

Mode = Literal["delete", "gzip", "zip"]

RUN_LOCK: Final = ".housekeeping.run.lock"


class OldFile(NamedTuple):
    """A file of the sink: ``name`` relative to the sink's directory, ``size`` in bytes."""

    name: str
    day: dt.date
    size: int


Waits = Callable[[OldFile], bool]
"""Whether a file is still needed: it has not been shipped."""


class Action(NamedTuple):
    """One file to delete or archive; ``why`` is age or size."""

    kind: Mode
    file: OldFile
    why: Literal["age", "size"]


class Result(NamedTuple):
    """The outcome of an action: ``error`` is a sentence, or None; ``skipped`` says why nothing was done."""

    action: Action
    error: str | None = None
    skipped: str | None = None


class Report:
    """The outcome of a run."""

    __slots__ = ("busy", "dry_run", "failure", "results", "stopped")

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.results: list[Result] = []
        self.busy = False
        self.stopped = False
        self.failure: str | None = None

    @property
    def errors(self) -> list[str]:
        """A sentence for each file that could not be deleted or archived, and one if the run itself failed."""
        own = [] if self.failure is None else [self.failure]
        return own + [f"{r.action.file.name}: {r.error}" for r in self.results if r.error is not None]

    @property
    def outcome(self) -> str:
        """``ok``; ``failed`` if there were errors; ``busy`` if another run was going on."""
        return "failed" if self.errors else "busy" if self.busy else "ok"

    @property
    def counts(self) -> dict[str, int]:
        """The number of files by what was done: delete, gzip, zip, in_use, error."""
        counted: dict[str, int] = {}
        for result in self.results:
            what = "error" if result.error else "in_use" if result.skipped else result.action.kind
            counted[what] = counted.get(what, 0) + 1
        return counted

    @property
    def freed(self) -> int:
        """Bytes that were removed from the sink's directory, or would be in a dry run."""
        return sum(r.action.file.size for r in self.results if r.error is None and r.skipped is None)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {
            "outcome": self.outcome,
            "dry_run": self.dry_run,
            "stopped": self.stopped,
            "counts": self.counts,
            "freed_bytes": self.freed,
            "errors": self.errors,
            "files": [
                {
                    "file": r.action.file.name,
                    "bytes": r.action.file.size,
                    "action": r.action.kind,
                    "why": r.action.why,
                    "error": r.error,
                    "skipped": r.skipped,
                }
                for r in self.results
            ],
        }

    def text(self) -> str:
        """Return the report for people: a line for each file, and a sum."""
        if self.busy:
            return "another run of the housekeeping is going on: nothing done"
        lines = []
        for result in self.results:
            action = result.action
            outcome = result.error or result.skipped or ("would be done" if self.dry_run else "done")
            size = f"{action.file.size} bytes, for its {action.why}"
            lines.append(f"{action.kind:6} {action.file.name} ({size}): {outcome}")
        if self.failure is not None:
            lines.append(self.failure)
        done = sum(1 for r in self.results if r.error is None and r.skipped is None)
        if not self.results and self.failure is None:
            lines.append("nothing to do")
        else:
            would = "would be " if self.dry_run else ""
            lines.append(f"{done} files, {self.freed} bytes {would}removed; {len(self.errors)} errors")
        if self.stopped:
            lines.append("stopped before the end")
        return "\n".join(lines)


def plan(
    files: Iterable[OldFile],
    today: dt.date,
    retention_days: int,
    archive: Mode,
    max_total_bytes: int = 0,
    waits: Waits = lambda _file: False,
) -> list[Action]:
    """Return what to do, oldest first.

    ``retention_days`` full days are kept besides today; a file that ``waits`` is kept for longer. ``max_total_bytes``
    of 0 is no limit. Past the limit whole days go, the oldest first, until the rest is under it, also those that wait;
    never today's, even if it alone is over.
    """
    ordered = sorted(files, key=lambda file: (file.day, file.name))
    actions = [
        Action(archive, file, "age")
        for file in ordered
        if file.day < today and (today - file.day).days > retention_days and not waits(file)
    ]
    if max_total_bytes <= 0:
        return actions
    going = {action.file for action in actions}
    kept = [file for file in ordered if file not in going]
    total = sum(file.size for file in kept)
    for day in sorted({file.day for file in kept if file.day < today}):
        if total <= max_total_bytes:
            break
        of_day = [file for file in kept if file.day == day]
        actions += [Action(archive, file, "size") for file in of_day]
        total -= sum(file.size for file in of_day)
    return actions


def find_files(directory: Path) -> list[OldFile]:
    """Return the sink's files in its directory and in ``rejected/``, by name; links and folders are not among them.

    Raises OSError.
    """
    found = []
    for folder in ("", REJECTED_DIR):
        path = directory / folder
        if not path.is_dir():
            continue
        with os.scandir(path) as entries:
            for entry in entries:
                name = parse_name(entry.name)
                if name is not None and entry.is_file(follow_symlinks=False):
                    relative = f"{folder}/{entry.name}" if folder else entry.name
                    found.append(OldFile(relative, name.day, entry.stat(follow_symlinks=False).st_size))
    return found


def run_once(
    directory: Path,
    *,
    retention_days: int,
    archive: Mode,
    archive_dir: Path,
    max_total_bytes: int = 0,
    dry_run: bool = False,
    now: float | None = None,
    stop: Stop = lambda: False,
    waits: Waits = lambda _file: False,
) -> Report:
    """Plan and carry out. Never raises for a file: errors are in the report and do not stop the rest.

    ``now`` is in wall seconds; ``stop`` is called between files and pieces, and ends the run early if it returns True.
    Archives of rejected files go to ``<archive_dir>/rejected``. Archives themselves are kept for ever.
    """
    report = Report(dry_run=dry_run)
    today = dt.datetime.fromtimestamp(time.time() if now is None else now, dt.UTC).date()
    try:
        if not directory.is_dir():
            return report
        with contextlib.nullcontext(True) if dry_run else locked(directory / RUN_LOCK) as free:
            if not free:
                report.busy = True
                return report
            if archive != "delete" and not dry_run:
                remove_leftovers(archive_dir)
                remove_leftovers(archive_dir / REJECTED_DIR)
            for action in plan(find_files(directory), today, retention_days, archive, max_total_bytes, waits):
                if stop():
                    raise StoppedError  # noqa: TRY301
                report.results.append(Result(action) if dry_run else _carry_out(directory, action, archive_dir, stop))
    except StoppedError:
        report.stopped = True
    except OSError as error:
        report.failure = f"{directory}: {error.strerror or error}"
    return report


def _carry_out(directory: Path, action: Action, archive_dir: Path, stop: Callable[[], bool]) -> Result:
    path = directory / action.file.name
    try:
        # A gateway holds the lock of a file as long as it may write to it.
        with locked(path, create=False) as free:
            if not free:
                return Result(action, skipped="a gateway still has it open")
            before = path.stat()
            if action.kind != "delete":
                archive_file(path, archive_dir / Path(action.file.name).parent, action.kind, stop)
            after = path.stat()
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                return Result(action, error="it changed while it was archived: kept")
            path.unlink()
            sync_directory(path.parent)
    except FileNotFoundError:
        return Result(action, skipped="it was removed meanwhile")
    except (OSError, ArchiveError) as error:
        return Result(action, error=str(error))
    return Result(action)
