"""Stores groups of batches, one at a time: all of a group or nothing. Synchronous.

``commit`` does all of it and waits for the disk. Who syncs by other means calls ``write``, syncs, and then ``accept``,
or ``abandon`` where something failed. Not thread-safe, but it may go from one thread to another.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logops_fast.errors import LogOpsError
from logops_fast.files.locks import open_locked
from logops_fast.ingest.sink.append_file import AppendFile, FileOps, StepFailedError
from logops_fast.ingest.sink.commit_log import CommitLog, Part
from logops_fast.ingest.sink.day_files import JOURNAL_DIR, REJECTED_DIR, day_of, file_name

CHECK_INTERVAL: Final = 1.0  # s between looks at whether a file still is where its name says
MIN_PROBE_BYTES: Final = 4096
MAX_PROBE_BYTES: Final = 1 << 20


class SinkBusyError(LogOpsError):
    """Another gateway writes to the directory; the message is one line a person can act on."""


class Group:
    """What is stored together, all of one day: the parts of each stream and the encoded ledger entries."""

    __slots__ = ("data", "day", "entries", "rejected", "size")

    def __init__(self, day: str) -> None:
        self.day = day
        self.data: list[bytes] = []
        self.rejected: list[bytes] = []
        self.entries: list[bytes] = []
        self.size = 0

    def add(self, lines: bytes, rejected: bytes, entry: bytes | None) -> None:
        """Add one batch."""
        if lines:
            self.data.append(lines)
        if rejected:
            self.rejected.append(rejected)
        if entry is not None:
            self.entries.append(entry)
        self.size += len(lines) + len(rejected)


class WorkerLock:
    """The right to write one worker's files in a sink directory; the kernel releases it with the process."""

    __slots__ = ("_fd",)

    def __init__(self, directory: Path, worker: int) -> None:
        """Raises SinkBusyError if another process has it, OSError where the directory cannot be made or written."""
        journal = directory / JOURNAL_DIR
        journal.mkdir(parents=True, exist_ok=True)
        fd = open_locked(journal / f"w{worker}.lock")
        if fd is None:
            raise SinkBusyError(f"{directory} is in use by another gateway: stop it, or set another sink.dir")
        self._fd = fd

    def release(self) -> None:
        """Give it back."""
        os.close(self._fd)


class DayStream:
    """A file a day; the newest is open, and followed where somebody moves or removes it."""

    __slots__ = (
        "_checked",
        "_directory",
        "_file",
        "_mono",
        "_ops",
        "_prefix",
        "_worker",
        "_workers",
        "day",
    )

    def __init__(
        self,
        directory: Path,
        prefix: str,
        *,
        worker: int,
        workers: int,
        ops: FileOps,
        mono: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._prefix = prefix
        self._worker = worker
        self._workers = workers
        self._ops = ops
        self._mono = mono
        self._file: AppendFile | None = None
        self._checked = 0.0
        self.day = ""

    @property
    def dirty(self) -> bool:
        """Whether something was written that is neither accepted nor cut away."""
        return self._file is not None and self._file.dirty

    def at_hand(self, day: str) -> bool:
        """Whether ``at`` has nothing to do: the file is open, in order, and not due to be looked at."""
        current = self._file
        return (
            current is not None
            and self.day == day
            and current.at_hand
            and self._mono() - self._checked < CHECK_INTERVAL
        )

    def at(self, day: str) -> AppendFile:
        """The file of ``day``, ready to be written. Raises StepFailedError."""
        if self._file is None or self.day != day:
            self.close()
            path = self._directory / file_name(day, self._worker, self._workers)
            self._file = AppendFile(path, ops=self._ops)
            self.day = day
            self._checked = self._mono()
        current = self._file
        now = self._mono()
        current.ready()
        if now - self._checked >= CHECK_INTERVAL:
            self._checked = now
            current.check()
        return current

    @property
    def fd(self) -> int:
        """The descriptor of the current file."""
        return self._current().fd

    @property
    def path(self) -> Path:
        """The path of the current file."""
        return self._current().path

    def part(self, parts: list[bytes]) -> Part:
        """Where ``parts`` will lie in the current file."""
        current = self._current()
        return Part(self._prefix + current.path.name, current.inode, current.good, current.good + sum(map(len, parts)))

    def write(self, parts: list[bytes]) -> None:
        """Write to the current file. Raises StepFailedError."""
        self._current().write(parts)

    def sync(self) -> None:
        """Bring the current file to the disk. Raises StepFailedError."""
        self._current().sync()

    def accept(self, part: Part) -> None:
        """What was written stays."""
        self._current().accept(part.end - part.start)

    def rollback(self) -> None:
        """Cut away what was written last, if it was not accepted. Raises StepFailedError."""
        if self._file is not None:
            self._file.rollback()

    def close(self) -> None:
        """Sync and close the current file. Raises StepFailedError."""
        if self._file is not None:
            self._file.close(sync=True)
            self._file = None

    def _current(self) -> AppendFile:
        assert self._file is not None, "at() comes first"  # noqa: S101
        return self._file


class GroupWriter:
    """One worker's files: events, rejected events, journal."""

    __slots__ = (
        "_data",
        "_directory",
        "_durable",
        "_failed_bytes",
        "_journal",
        "_lock",
        "_ops",
        "_rejected",
        "_wall",
        "_worker",
        "_written",
    )

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool,
        worker: int,
        workers: int,
        lock: WorkerLock,
        wall: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
        ops: FileOps | None = None,
    ) -> None:
        """``durable``: what is written is to be synced. ``lock`` is released by ``close``.

        Recovery must have run before.
        """
        ops = FileOps() if ops is None else ops
        self._durable = durable
        self._directory = directory
        self._worker = worker
        self._lock = lock
        self._wall = wall
        self._ops = ops
        self._data = DayStream(directory, "", worker=worker, workers=workers, ops=ops, mono=mono)
        self._rejected = DayStream(
            directory / REJECTED_DIR,
            f"{REJECTED_DIR}/",
            worker=worker,
            workers=workers,
            ops=ops,
            mono=mono,
        )
        self._journal = CommitLog(directory / JOURNAL_DIR, worker, wall=wall, ops=ops)
        self._failed_bytes = 0
        self._written: list[tuple[DayStream, Part]] = []

    def open(self) -> None:
        """Open today's file, so that a directory that cannot be written is noticed. Raises StepFailedError."""
        self._data.at(day_of(self._wall()))

    def commit(self, group: Group) -> None:
        """Store a group as a whole. Raises StepFailedError: then nothing of it is in the files.

        Where even cutting it away fails, nothing else is written until that has been repaired.
        """
        self._repair()
        try:
            self.write(group)
            self.sync()
        except BaseException as error:
            try:
                self.abandon(group)
            except StepFailedError as second:
                if isinstance(error, StepFailedError):
                    error.rollback = second
            raise
        self.accept()

    def at_hand(self, group: Group) -> bool:
        """Whether ``write`` will do nothing but write: all is open and in order, and nothing is due to be looked at."""
        if self._data.dirty or self._rejected.dirty or self._journal.dirty:
            return False
        return (
            (not group.data or self._data.at_hand(group.day))
            and (not group.rejected or self._rejected.at_hand(group.day))
            and (not group.entries or self._journal.at_hand)
        )

    def write(self, group: Group) -> list[int]:
        """Write a group; the descriptors of what is now to be synced. ``accept`` or ``abandon`` must follow.

        Raises StepFailedError; ``abandon`` must follow.
        """
        work: list[tuple[DayStream, list[bytes], Part]] = []
        # Rejected lines first: the data file's end is then the last thing to be reached.
        for stream, parts in ((self._rejected, group.rejected), (self._data, group.data)):
            if parts:
                stream.at(group.day)
                work.append((stream, parts, stream.part(parts)))
        self._written = [(stream, part) for stream, _, part in work]
        if group.entries:
            self._journal.append([part for _, _, part in work], group.entries)
        for stream, parts, _ in work:
            stream.write(parts)
        return [stream.fd for stream, _ in self._written] if self._durable else []

    def sync(self) -> None:
        """Bring what was written to the disk, where it is to be durable. Raises StepFailedError."""
        if self._durable:
            for stream, _ in self._written:
                stream.sync()

    def sync_failed(self, position: int, code: int) -> StepFailedError:
        """The failure of somebody else's sync of the descriptor at ``position`` among those that ``write`` gave."""
        return StepFailedError("sync", self._written[position][0].path, OSError(code, os.strerror(code)))

    def accept(self) -> None:
        """What was written stays."""
        for stream, part in self._written:
            stream.accept(part)
        self._journal.accept()
        self._written = []
        self._failed_bytes = 0

    def abandon(self, group: Group) -> None:
        """Cut away what was written of ``group``.

        Raises StepFailedError: each file then remembers that it is dirty, and is repaired before anything else is
        written.
        """
        self._failed_bytes = group.size
        self._written = []
        self._repair()

    def probe(self) -> None:
        """Try whether storing works again: repair, then write, sync and remove a file as large as what failed.

        Raises StepFailedError.
        """
        self._repair()
        size = min(max(self._failed_bytes, MIN_PROBE_BYTES), MAX_PROBE_BYTES)
        path = self._directory / f".probe.w{self._worker}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            fd = self._ops.open(path, mode=0o600)
            try:
                if self._ops.writev(fd, [bytes(size)]) != size:
                    raise OSError(errno.ENOSPC, "the disk is still full")
                self._ops.sync(fd)
            finally:
                os.close(fd)
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StepFailedError("probe", path, error) from error

    def idle(self) -> None:
        """Nothing to store: close yesterday's file, remove old journal segments. Raises StepFailedError."""
        today = day_of(self._wall())
        for stream in (self._data, self._rejected):
            if stream.day != today:
                stream.close()
        self._journal.prune()

    def close(self) -> None:
        """Sync and close everything and release the lock. Raises the first StepFailedError, having closed the rest."""
        failure: StepFailedError | None = None
        for close in (self._data.close, self._rejected.close, self._journal.close):
            try:
                close()
            except StepFailedError as error:
                failure = failure or error
        self._lock.release()
        if failure is not None:
            raise failure

    def _repair(self) -> None:
        self._data.rollback()
        self._rejected.rollback()
        self._journal.rollback()
