"""Stores groups of batches, one at a time: all of a group or nothing. Synchronous; every call may wait for the disk.

``commit`` does all of it. A caller that syncs by other means calls ``write``, syncs, and then ``accept``, or
``abandon`` if something failed. Not thread-safe, but it may go from one thread to another; only ``accept`` never waits.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from logops_fast.errors import LogOpsError
from logops_fast.files.locks import open_locked
from logops_fast.ingest.sink.append_file import EndMovedError
from logops_fast.ingest.sink.commit_log import CommitLog, Part
from logops_fast.ingest.sink.day_files import JOURNAL_DIR, REJECTED_DIR, day_of, link_names
from logops_fast.ingest.sink.day_stream import DayStream
from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError
from logops_fast.ingest.sink.marks import MarkFile, marks_path

CHECK_INTERVAL: Final = 1.0  # s between checks whether the files are still under their names
MIN_PROBE_BYTES: Final = 4096
MAX_PROBE_BYTES: Final = 1 << 20
LOCK_TRIES: Final = 10
LOCK_WAIT: Final = 0.01  # s between them: a reader that looks whether the worker is alive has the lock for a moment


class SinkBusyError(LogOpsError):
    """Another gateway writes to the directory; the message is one line a person can act on."""


class Group:
    """Batches that are stored together, all of one day: the lines of each stream and the encoded journal entries."""

    __slots__ = ("data", "day", "entries", "rejected", "size")

    def __init__(self, day: str) -> None:
        self.day = day
        self.data: list[bytes] = []
        self.rejected: list[bytes] = []
        self.entries: list[bytes] = []
        self.size = 0  # bytes of both streams

    def __repr__(self) -> str:
        return f"<Group {self.day} {self.size} bytes, {len(self.entries)} batch ids>"

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

    __slots__ = ("_directory", "_fd", "_path")

    def __init__(self, directory: Path, worker: int) -> None:
        """Raises SinkBusyError if another process has it, OSError if the directory cannot be created or written."""
        self._directory = directory
        self._path = directory / JOURNAL_DIR / f"w{worker}.lock"
        self._fd = self._acquire()

    def follow(self) -> None:
        """Lock the directory again if it was removed or renamed and is to be created again.

        Raises SinkBusyError if another process has locked it since, OSError.
        """
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            pass
        else:
            held = os.fstat(self._fd)
            if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
                return
        fd = self._acquire()
        os.close(self._fd)
        self._fd = fd

    def release(self) -> None:
        """Release the lock."""
        os.close(self._fd)

    def _acquire(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = open_locked(self._path)
        tries = 1
        while fd is None and tries < LOCK_TRIES:
            time.sleep(LOCK_WAIT)
            fd = open_locked(self._path)
            tries += 1
        if fd is None:
            raise SinkBusyError(f"{self._directory} is in use by another gateway: stop it, or set another sink.dir")
        return fd


class GroupWriter:
    """One worker's files: events, rejected events, journal."""

    __slots__ = (
        "_checked",
        "_clock",
        "_data",
        "_directory",
        "_durable",
        "_failed_bytes",
        "_journal",
        "_lock",
        "_marks",
        "_ops",
        "_rejected",
        "_streams",
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
        clock: Callable[[], float] = time.monotonic,
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
        self._clock = clock
        self._ops = ops
        journal = directory / JOURNAL_DIR
        links = [journal / name for name in link_names(worker)]
        self._data = DayStream(directory, "", links[0], worker=worker, workers=workers, ops=ops)
        self._rejected = DayStream(
            directory / REJECTED_DIR, f"{REJECTED_DIR}/", links[1], worker=worker, workers=workers, ops=ops
        )
        # Rejected lines first: the end of the data file is then the last to be reached.
        self._streams = (self._rejected, self._data)
        self._journal = CommitLog(journal, worker, wall=wall, ops=ops)
        self._marks = MarkFile(marks_path(journal, worker))
        self._failed_bytes = 0
        self._checked = self._clock()
        self._written: list[tuple[DayStream, Part]] = []

    def __repr__(self) -> str:
        return f"<GroupWriter {self._directory} worker={self._worker} {self._data!r} written={len(self._written)}>"

    def open(self) -> None:
        """Open today's file, so that a directory that cannot be written is noticed. Raises StepFailedError."""
        self._data.open(day_of(self._wall()))
        self._data.keep_link()
        self._publish(needed=True)

    def commit(self, group: Group) -> None:
        """Store a group as a whole. Raises StepFailedError: then nothing of it is in the files.

        If even cutting it away fails, nothing else is written until that has been repaired.
        """
        self.write(group)
        self.sync(group)
        self.accept()

    def write(self, group: Group) -> list[int]:
        """Write a group; return the descriptors of what is now to be synced. ``accept`` or ``abandon`` must follow.

        Raises StepFailedError; the group has then been abandoned.
        """
        self._failed_bytes = group.size
        self._repair()
        if self._clock() - self._checked >= CHECK_INTERVAL:
            self._follow()
        self._publish()
        try:
            try:
                return self._write(group)
            except EndMovedError:
                # Another program has just cut the file or appended to it: cut our lines out and write them again.
                self._repair()
                return self._write(group)
        except BaseException as error:
            self._abandon_for(group, error)
            raise

    def sync(self, group: Group) -> None:
        """Bring what was written to the disk, if it is to be durable. Raises StepFailedError, as ``write`` does."""
        if self._durable:
            try:
                for stream, _ in self._written:
                    stream.sync()
            except BaseException as error:
                self._abandon_for(group, error)
                raise

    def sync_failed(self, position: int, code: int) -> StepFailedError:
        """Return the failure of a sync of the descriptor at ``position`` among those that ``write`` returned."""
        return StepFailedError("sync", self._written[position][0].path, OSError(code, os.strerror(code)))

    def accept(self) -> None:
        """Keep what was written."""
        for stream, part in self._written:
            stream.accept(part)
        self._journal.accept()
        self._written = []
        self._failed_bytes = 0

    def publish(self) -> None:
        """Publish how far the files are acknowledged; ``write`` does it for the groups before its own."""
        self._publish()

    def abandon(self, group: Group) -> None:
        """Cut away what was written of ``group``.

        Raises StepFailedError: each file then remembers that it is dirty, and is repaired before anything else is
        written.
        """
        self._written = []
        self._failed_bytes = group.size
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
        """Close yesterday's file, follow moved files, remove old journal segments. Raises StepFailedError."""
        self._repair()
        today = day_of(self._wall())
        self._settle([stream for stream in self._streams if stream.misplaced(today)])
        self._follow()
        self._publish()
        self._journal.prune()

    def close(self) -> None:
        """Sync and close everything and release the lock. Raises the first StepFailedError, having closed the rest."""
        failure: StepFailedError | None = None
        closes: list[Callable[[], None]] = [self._repair, self._journal.checkpoint]
        closes += [self._data.close, self._rejected.close, self._journal.close]
        for close in closes:
            try:
                close()
            except StepFailedError as error:
                failure = failure or error
        self._publish()
        self._marks.close()
        self._lock.release()
        if failure is not None:
            raise failure

    def _write(self, group: Group) -> list[int]:
        work: list[tuple[DayStream, list[bytes], Part]] = []
        for stream, parts in ((self._rejected, group.rejected), (self._data, group.data)):
            if parts:
                if stream.misplaced(group.day):
                    self._settle([stream])
                stream.open(group.day)
                if not stream.linked:
                    self._journal.checkpoint()
                    stream.keep_link()
                    self._publish(needed=True)
                    # A reader has the whole interval to see the file, or by its link, if it is moved at once.
                    self._checked = self._clock()
                work.append((stream, parts, stream.part(parts)))
        self._written = [(stream, part) for stream, _, part in work]
        if group.entries:
            self._journal.append([part for _, _, part in work], group.entries)
        for stream, parts, _ in work:
            stream.write(parts)
        return [stream.fd for stream, _ in self._written] if self._durable else []

    def _abandon_for(self, group: Group, error: BaseException) -> None:
        try:
            self.abandon(group)
        except StepFailedError as second:
            if isinstance(error, StepFailedError) and error is not second:
                error.rollback = second

    def _follow(self) -> None:
        """Follow what other programs did to our files and directories. Raises StepFailedError."""
        self._checked = self._clock()
        try:
            self._lock.follow()
        except SinkBusyError as busy:  # mypyc gives a name one type
            raise StepFailedError("open", self._directory, OSError(errno.EBUSY, str(busy))) from busy
        except OSError as error:
            raise StepFailedError("open", self._directory, error) from error
        self._journal.follow()
        self._marks.follow()
        self._settle([stream for stream in self._streams if stream.moved()])
        for stream in self._streams:
            stream.check()

    def _settle(self, streams: Sequence[DayStream]) -> None:
        """Close files that may not be found again: the journal must say before that their groups are complete."""
        if streams:
            self._journal.checkpoint()
            for stream in streams:
                stream.close()

    def _publish(self, *, needed: bool = False) -> None:
        """Publish the marks. ``needed``: of a file that was just opened; without them it would count as complete.

        Raises StepFailedError if needed ones cannot be written; others are written by the next call.
        """
        marks = [mark for mark in (self._data.mark(), self._rejected.mark()) if mark is not None]
        try:
            self._marks.publish(tuple(marks))
        except OSError as error:
            if needed:
                raise StepFailedError("open", self._directory, error) from error

    def _repair(self) -> None:
        self._data.rollback()
        self._rejected.rollback()
        self._journal.rollback()
