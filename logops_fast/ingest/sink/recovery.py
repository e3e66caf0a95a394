"""What a start does with the files that a crash left.

Torn ends are moved away; stored batches are remembered, and handed to the store of batch ids so that a repeat of one is
answered and not stored again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from logops_fast.files.locks import try_lock
from logops_fast.ingest.sink.append_file import COPY_BYTES, cut_torn_tail, move_tail
from logops_fast.ingest.sink.commit_log import (
    BY_BODY,
    NO_DIGEST,
    TTL,
    CommitLog,
    GroupRecord,
    Part,
    decode_segment,
    rewrite_segment,
    segments,
)
from logops_fast.ingest.sink.day_files import (
    JOURNAL_DIR,
    REJECTED_DIR,
    TORN_SUFFIX,
    day_of,
    file_name,
    link_names,
    linked_workers,
    owner,
    parse_name,
)
from logops_fast.ingest.sink.file_ops import FileOps
from logops_fast.ingest.sink.group_writer import SinkBusyError, WorkerLock

MAX_REMEMBERED: Final = 100_000  # as many as the store of batch ids holds by default


class Remembered(NamedTuple):
    """A batch that is stored; ``age`` is in seconds."""

    emitter: str
    batch_id: str
    answer: bytes
    digest: int
    age: float


class RecoveryReport(NamedTuple):
    """The stored batches, oldest first, and the bytes that were moved to ``.torn`` files, by file."""

    remembered: tuple[Remembered, ...] = ()
    torn: tuple[tuple[str, int], ...] = ()

    @property
    def torn_bytes(self) -> int:
        """All bytes that were moved away; none of them was ever acknowledged."""
        return sum(size for _, size in self.torn)

    def text(self) -> str:
        """Return one sentence for the log; empty if there is nothing to report."""
        sentences = []
        if self.torn:
            files = ", ".join(sorted({name for name, _ in self.torn}))
            sentences.append(f"moved {self.torn_bytes} bytes of unacknowledged batches to .torn ({files})")
        if self.remembered:
            sentences.append(f"remembered {len(self.remembered)} stored batch ids from the journal")
        return "; ".join(sentences)


class AnswerStore(Protocol):
    """The part of the store of batch ids that a replay needs."""

    def finish(
        self, emitter: str, batch_id: str, answer: bytes, digest: int = NO_DIGEST, ttl: float | None = None
    ) -> None:
        """Note that the batch is stored with this answer; creates the entry if there is none."""


def replay(report: RecoveryReport, store: AnswerStore, window: float = TTL) -> int:
    """Finish every batch that a crash left stored but perhaps unanswered; return how many.

    Call it before ``StateStore.worker_started``, which frees the claims that the worker left in progress: those of
    stored batches must be finished by then. A batch that is recognised by its body is so for ``window`` seconds in all.
    """
    for batch in report.remembered:
        if not batch.batch_id.startswith(BY_BODY):
            store.finish(batch.emitter, batch.batch_id, batch.answer, batch.digest)
        elif batch.age < window:
            store.finish(batch.emitter, batch.batch_id, batch.answer, batch.digest, ttl=window - batch.age)
    return len(report.remembered)


def recover(
    directory: Path,
    *,
    worker: int,
    workers: int,
    now: float | None = None,
    booted: float | None = None,
    ttl: float = TTL,
    limit: int = MAX_REMEMBERED,
) -> RecoveryReport:
    """Repair a worker's files; worker 0 also those of workers that do not exist any more. Its lock must be held.

    ``now`` and ``booted``, when the machine was started, are in wall seconds. Raises OSError or StepFailedError if a
    file cannot be read or repaired: a gateway must not append to a torn line.
    """
    wall = time.time() if now is None else now
    boot = boot_time() if booted is None else booted
    torn: list[tuple[str, int]] = []
    groups: list[GroupRecord] = []
    journals = segments(directory / JOURNAL_DIR)
    for index in sorted({*journals, *linked_workers(directory / JOURNAL_DIR)}):
        paths = journals.get(index, [])
        if owner(index, workers) != worker:
            continue
        journal = _Journal(directory, index, torn, wall, boot)
        if index == worker:
            groups += journal.recover(paths)
            continue
        try:
            lock = WorkerLock(directory, index)
        except SinkBusyError:
            continue  # that worker is alive after all
        try:
            groups += journal.recover(paths)
        finally:
            lock.release()
    for folder in (directory, directory / REJECTED_DIR):
        _cut_torn_lines(directory, folder, worker, workers, torn)
    return RecoveryReport(_remembered(groups, wall, ttl, limit), tuple(torn))


def kept_end(directory: Path, worker: int, inode: int, size: int) -> int:
    """Return how much of a file a start would keep, a torn last line aside; for a gateway that does not run.

    ``size`` is the file's, in bytes. Nothing is changed. Raises OSError.
    """
    paths = segments(directory / JOURNAL_DIR).get(worker, [])
    records = [record for path in paths[-2:] for record in decode_segment(path.read_bytes())]
    part = next((part for part in records[-1].parts if part.inode == inode), None) if records else None
    if part is None or part.start >= size:
        return size
    journal = _Journal(directory, worker, [], time.time(), boot_time())
    return size if journal.complete(records[-1], last=True) else part.start


def boot_time() -> float:
    """Return when the machine was started, in wall seconds; the present if the system does not say."""
    now = time.time()
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return now if clock is None else now - time.clock_gettime(clock)


class _Journal:
    """The journal of one worker, and the files that it names."""

    def __init__(self, directory: Path, worker: int, torn: list[tuple[str, int]], now: float, booted: float) -> None:
        self._directory = directory
        self._worker = worker
        self._torn = torn
        self._now = now
        self._booted = booted
        self._links = [directory / JOURNAL_DIR / name for name in link_names(worker)]

    def recover(self, paths: list[Path]) -> list[GroupRecord]:
        """Return the complete groups; one that is not is cut out of the files, then out of the journal."""
        stored: list[GroupRecord] = []
        read = [(path, list(decode_segment(path.read_bytes()))) for path in paths]
        last = next((records[-1] for _, records in reversed(read) if records), None)
        for path, records in read:
            kept = [record for record in records if self.complete(record, last=record is last)]
            if len(kept) != len(records):
                if last is not None and records[-1] is last and kept[-1:] != [last]:
                    for part in last.parts:
                        self._cut_group(part)
                rewrite_segment(path, kept)
            stored += kept
        for link, folder in zip(self._links, ("", REJECTED_DIR), strict=True):
            self._cut_renamed(link, folder)
        if last is not None and last.parts:
            # From here on all of these are complete, whatever becomes of their files.
            log = CommitLog(self._directory / JOURNAL_DIR, self._worker, wall=lambda: self._now, ops=FileOps())
            log.append([], [])
            log.accept()
            log.close()
        for link in self._links:
            link.unlink(missing_ok=True)
        return stored

    def complete(self, record: GroupRecord, *, last: bool) -> bool:
        """Return whether all of a group is in its files.

        Records before the last are complete by construction, whatever has become of their files since (moved away,
        deleted, cut by another program). Only a loss of power, and so a boot since, takes back what was complete: a
        file is then too short. The last one may have been interrupted, and is searched for holes as well. If another
        program cut its file, nothing tells whether it was complete before: storing it again loses nothing.
        """
        power_lost = record.wall < self._booted
        for part in record.parts:
            path = self._find(part)
            if path is None:
                if last:
                    return False
                continue
            if path.stat().st_size < part.end and (last or power_lost):
                return False
            if last and _has_hole(path, part):
                return False
        return True

    def _find(self, part: Part) -> Path | None:
        """Return the file that holds a part: under its own name, or by the link if it was renamed just before."""
        named = self._directory / part.name
        for path in (named, *self._links):
            status = _status(path)
            # If the link is the only name left, the file was deleted.
            if status is not None and status.st_ino == part.inode and (path is named or status.st_nlink > 1):
                return path
        return None

    def _cut_group(self, part: Part) -> None:
        path = self._find(part)
        if path is not None:
            _repair(self._directory, path, part.start, self._torn, self._directory / (part.name + TORN_SUFFIX))

    def _cut_renamed(self, link: Path, folder: str) -> None:
        """Cut a torn line out of a file that was renamed just before the crash; others are found by their names."""
        status = _status(link)
        if status is None or status.st_nlink == 1:
            return
        with os.scandir(self._directory / folder) as entries:
            named = any(entry.inode() == status.st_ino and parse_name(entry.name) for entry in entries)
        if not named:
            name = file_name(day_of(status.st_mtime), self._worker, 0) + TORN_SUFFIX
            _repair(self._directory, link, None, self._torn, self._directory / folder / name)


def _has_hole(path: Path, part: Part) -> bool:
    """Return whether a part holds a NUL, which no line does: a loss of power may leave them for lost data."""
    with path.open("rb") as file:
        file.seek(part.start)
        left = part.end - part.start
        while left > 0 and (piece := file.read(min(COPY_BYTES, left))):
            if b"\0" in piece:
                return True
            left -= len(piece)
    return False


def _cut_torn_lines(directory: Path, folder: Path, worker: int, workers: int, torn: list[tuple[str, int]]) -> None:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        name = parse_name(path.name)
        if name is not None and not name.torn and owner(name.worker, workers) == worker:
            _repair(directory, path, None, torn, path.with_name(path.name + TORN_SUFFIX))


def _repair(directory: Path, path: Path, start: int | None, moved: list[tuple[str, int]], torn: Path) -> None:
    """Move the tail of a file from ``start``, or from its last newline, to ``torn``."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # another worker, which has started already, archives old files
    try:
        if not try_lock(fd):
            return  # another process is writing to it: nothing of it is torn
        size = cut_torn_tail(path, fd, torn) if start is None else move_tail(path, fd, start, torn)
    finally:
        os.close(fd)
    if size:
        moved.append((str(torn.relative_to(directory)).removesuffix(TORN_SUFFIX), size))


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
