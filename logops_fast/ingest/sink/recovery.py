"""What a start does with the files that a crash left: torn ends are moved away, stored batches remembered."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from logops_fast.files.locks import try_lock
from logops_fast.ingest.sink.append_file import COPY_BYTES, cut_torn_tail, move_tail
from logops_fast.ingest.sink.commit_log import TTL, GroupRecord, Part, decode_segment, rewrite_segment, segments
from logops_fast.ingest.sink.day_files import JOURNAL_DIR, REJECTED_DIR, owner, parse_name
from logops_fast.ingest.sink.group_writer import SinkBusyError, WorkerLock

MAX_REMEMBERED: Final = 100_000  # as many as the store of batch ids holds by default


class Remembered(NamedTuple):
    """A batch that is stored; ``age`` is in seconds."""

    emitter: str
    batch_id: str
    answer: bytes
    age: float


class RecoveryReport(NamedTuple):
    """What was found: stored batches, oldest first, and what was moved to ``.torn`` files, by file."""

    remembered: tuple[Remembered, ...] = ()
    torn: tuple[tuple[str, int], ...] = ()

    @property
    def torn_bytes(self) -> int:
        """All bytes that were moved away; none of them was ever acknowledged."""
        return sum(size for _, size in self.torn)

    def text(self) -> str:
        """One sentence for the log; empty where there is nothing to tell."""
        told = []
        if self.torn:
            files = ", ".join(sorted({name for name, _ in self.torn}))
            told.append(f"moved {self.torn_bytes} bytes of batches that were never acknowledged to .torn ({files})")
        if self.remembered:
            told.append(f"remembered {len(self.remembered)} stored batch ids from the journal")
        return "; ".join(told)


def recover(
    directory: Path,
    *,
    worker: int,
    workers: int,
    now: float | None = None,
    ttl: float = TTL,
    limit: int = MAX_REMEMBERED,
) -> RecoveryReport:
    """Bring a worker's files in order, and those of workers that are no more (by worker 0). Its lock must be held.

    Raises OSError where a file cannot be read or repaired: a gateway must not write behind a torn line.
    """
    wall = time.time() if now is None else now
    torn: list[tuple[str, int]] = []
    groups: list[GroupRecord] = []
    for index, paths in segments(directory / JOURNAL_DIR).items():
        if owner(index, workers) != worker:
            continue
        if index == worker:
            groups += _recover_journal(directory, paths, torn)
            continue
        try:
            lock = WorkerLock(directory, index)
        except SinkBusyError:
            continue  # that worker is alive after all
        try:
            groups += _recover_journal(directory, paths, torn)
        finally:
            lock.release()
    for folder in (directory, directory / REJECTED_DIR):
        _cut_torn_lines(directory, folder, worker, workers, torn)
    return RecoveryReport(_remembered(groups, wall, ttl, limit), tuple(torn))


def _recover_journal(directory: Path, paths: list[Path], torn: list[tuple[str, int]]) -> list[GroupRecord]:
    """The complete groups of one journal. A group that is not is cut out of the files, then out of the journal."""
    stored: list[GroupRecord] = []
    read = [(path, list(decode_segment(path.read_bytes()))) for path in paths]
    last = next((records[-1] for _, records in reversed(read) if records), None)
    for path, records in read:
        kept = [record for record in records if _complete(directory, record, deep=record is last)]
        if len(kept) != len(records):
            if last is not None and records[-1] is last and kept[-1:] != [last]:
                for part in last.parts:
                    _cut_group(directory, part, torn)
            rewrite_segment(path, kept)
        stored += kept
    return stored


def _complete(directory: Path, record: GroupRecord, *, deep: bool) -> bool:
    """Whether all of a group is in its files.

    Records before the last are complete by construction, whatever has become of their files since (moved away,
    deleted); a file that is there but too short has lost its end with the power. ``deep`` looks for holes as well.
    """
    for part in record.parts:
        status = _status(directory / part.name)
        if status is None or status.st_ino != part.inode:
            if deep:
                return False
            continue
        if status.st_size < part.end or (deep and _has_hole(directory / part.name, part)):
            return False
    return True


def _has_hole(path: Path, part: Part) -> bool:
    """A NUL never stands in a line; a file system that lost power may leave them for data it never wrote."""
    with path.open("rb") as file:
        file.seek(part.start)
        left = part.end - part.start
        while left > 0 and (piece := file.read(min(COPY_BYTES, left))):
            if b"\0" in piece:
                return True
            left -= len(piece)
    return False


def _cut_group(directory: Path, part: Part, torn: list[tuple[str, int]]) -> None:
    path = directory / part.name
    status = _status(path)
    if status is None or status.st_ino != part.inode or status.st_size <= part.start:
        return
    _repair(directory, path, part.start, torn)


def _cut_torn_lines(directory: Path, folder: Path, worker: int, workers: int, torn: list[tuple[str, int]]) -> None:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        name = parse_name(path.name)
        if name is not None and not name.torn and owner(name.worker, workers) == worker:
            _repair(directory, path, None, torn)


def _repair(directory: Path, path: Path, start: int | None, torn: list[tuple[str, int]]) -> None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # another worker, which has started already, archives old files
    try:
        if not try_lock(fd):
            return  # a live writer has it: nothing of it is torn
        moved = cut_torn_tail(path, fd) if start is None else move_tail(path, fd, start)
    finally:
        os.close(fd)
    if moved:
        torn.append((str(path.relative_to(directory)), moved))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _remembered(groups: Iterable[GroupRecord], now: float, ttl: float, limit: int) -> tuple[Remembered, ...]:
    newest: dict[tuple[str, str], Remembered] = {}
    for group in sorted(groups, key=lambda record: record.wall):
        age = max(0.0, now - group.wall)
        if age > ttl:
            continue
        for entry in group.entries:
            newest[entry.emitter, entry.batch_id] = Remembered(*entry, age)
    return tuple(newest.values())[-limit:]
