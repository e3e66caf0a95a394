"""The file sink: batches become durable in groups and are then answered together (group commit).

Whatever arrives while one group is on its way to the disk goes with the next. All of it happens on the loop: a group
is one write into the page cache, and the kernel syncs it by itself (``kernel_sync``). What may wait for the disk
(opening, repairing, trying, closing, and everything where the kernel has no such sync) is done by a thread meanwhile;
the writer belongs to one of the two at any time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

from logops_fast.errors import StartupError
from logops_fast.ingest.sink.append_file import FileOps, StepFailedError
from logops_fast.ingest.sink.commit_log import LedgerEntry, encode_entry
from logops_fast.ingest.sink.commit_pace import CommitPace
from logops_fast.ingest.sink.day_files import DAY_SECONDS, day_of
from logops_fast.ingest.sink.disk_thread import DiskThread, Job
from logops_fast.ingest.sink.group_writer import Group, GroupWriter, SinkBusyError, WorkerLock
from logops_fast.ingest.sink.interface import Done, SinkCommit
from logops_fast.ingest.sink.kernel_sync import SyncQueue
from logops_fast.ingest.sink.recovery import RecoveryReport, recover

__all__ = ["Durability", "FileSink", "SinkStartError"]

MAX_GROUP_BYTES: Final = 8 << 20  # above it a group is written in several, so that the first need not wait for the last
PROBE_INTERVAL: Final = 1.0  # s
IDLE_INTERVAL: Final = 30.0  # s
STALL_SECONDS: Final = 5.0  # a write that takes longer makes the gateway unready: the disk hangs
SLOW_WRITE: Final = 0.02  # s; a write into the page cache takes microseconds, unless the kernel makes writers wait
SLOW_PATIENCE: Final = 10.0  # s for which the thread then writes, so that only it waits
SHORTEST_WAIT: Final = 0.0005  # s; the loop's timers know whole milliseconds

Durability = Literal["fsync", "written"]

logger = logging.getLogger(__name__)


class SinkStartError(StartupError):
    """The sink cannot work in its directory."""


class _Pending(NamedTuple):
    day: str
    lines: bytes
    rejected: bytes
    entry: bytes | None
    done: Done


class FileSink:
    """Appends to the day's files. ``start`` it on the loop; everything is called there."""

    stores: Final = True

    def __init__(
        self,
        dir: Path,
        *,
        durability: Durability = "fsync",
        worker: int = 0,
        workers: int = 1,
        wall: Callable[[], float] = time.time,
        cpu: Callable[[], float] = time.process_time,
        on_commit: Callable[[SinkCommit], None] = lambda _commit: None,
        on_error: Callable[[str, str], None] = lambda _operation, _text: None,
        ops: FileOps | None = None,
        probe_interval: float = PROBE_INTERVAL,
        pace: CommitPace | None = None,
    ) -> None:
        """``on_error`` is told the operation (open, write, sync, truncate, probe, internal) and a sentence."""
        self._directory = dir
        self._durable = durability == "fsync"
        self._worker = worker
        self._workers = workers
        self._wall = wall
        self._cpu = cpu
        self._on_commit = on_commit
        self._on_error = on_error
        self._ops = FileOps() if ops is None else ops
        self._probe_interval = probe_interval
        self._pace = pace or CommitPace()
        self._pending: deque[_Pending] = deque()
        self._kicked = False
        self._closing = False
        self._failing: str | None = None
        self._busy_since = 0.0
        self._day = ""
        self._day_start = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._writer: GroupWriter | None = None
        self._disk: DiskThread | None = None
        self._queue: SyncQueue | None = None
        self._thread_until = 0.0
        # The group on its way to the disk.
        self._busy = False
        self._group = Group("")
        self._dones: list[Done] = []

    @property
    def failing(self) -> str | None:
        """None, or why nothing can be stored right now: the last failure, or a write that hangs."""
        if self._failing is not None:
            return self._failing
        since = self._busy_since
        if since and time.monotonic() - since > STALL_SECONDS:
            return f"a write to {self._directory} has been going on for {time.monotonic() - since:.0f} s"
        return None

    @property
    def by_thread(self) -> bool:
        """Whether it is a thread that syncs, because the kernel gives no queue for it."""
        return self._durable and self._queue is None

    def start(self) -> RecoveryReport:
        """Lock the directory, put in order what a crash left, open today's file.

        Call it on the running loop, before the first ``append``. Raises SinkStartError.
        """
        try:
            lock = WorkerLock(self._directory, self._worker)
        except SinkBusyError as busy:
            raise SinkStartError(str(busy)) from None
        except OSError as error:
            raise SinkStartError(f"sink.dir {self._directory} cannot be used: {error.strerror or error}") from None
        try:
            report = recover(self._directory, worker=self._worker, workers=self._workers, now=self._wall())
            writer = GroupWriter(
                self._directory,
                durable=self._durable,
                worker=self._worker,
                workers=self._workers,
                lock=lock,
                wall=self._wall,
                ops=self._ops,
            )
            writer.open()
        except (OSError, StepFailedError) as failure:
            lock.release()
            raise SinkStartError(f"sink.dir {self._directory} cannot be used: {failure}") from None
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._ended = loop.create_future()
        self._writer = writer
        self._disk = DiskThread(loop)
        # Without a sync the page cache may fill, and then writers wait: that is for the thread.
        self._queue = self._ops.kernel_sync(loop) if self._durable else None
        self._timer = loop.call_later(IDLE_INTERVAL, self._tick)
        return report

    def append(self, lines: bytes, done: Done, *, rejected: bytes = b"", entry: LedgerEntry | None = None) -> None:
        """Store a batch (see Sink). Raises ValueError, and calls nothing, for lines that do not end as lines do."""
        if (lines and lines[-1] != 10) or (rejected and rejected[-1] != 10):
            raise ValueError("lines must end with a newline")
        loop = self._loop
        if loop is None or self._closing:
            asyncio.get_running_loop().call_soon(done, False)
            return
        now = self._wall()
        if not 0.0 <= now - self._day_start < DAY_SECONDS:
            self._day = day_of(now)
            self._day_start = now // DAY_SECONDS * DAY_SECONDS
        self._pending.append(_Pending(self._day, lines, rejected, None if entry is None else encode_entry(entry), done))
        # At the end of the turn, so that all that arrives in one turn makes one group.
        if not self._busy and not self._kicked:
            self._kicked = True
            loop.call_soon(self._kick)

    def close(self) -> Awaitable[None]:
        """Store what is pending, sync, let go of the files and the lock. Later appends are refused."""
        if self._ended is None:
            return asyncio.sleep(0)
        if not self._closing:
            self._closing = True
            if not self._busy:
                self._next()
        return asyncio.shield(self._ended)

    # What is next: a group, a tidying, the end.

    def _kick(self) -> None:
        self._kicked = False
        if not self._busy:
            self._next()

    def _next(self) -> None:
        """Begin with what is pending, now or once enough others have had time to join. Nothing is under way."""
        if self._pending:
            now = time.monotonic()
            wait = self._pace.wait(now)
            if wait < SHORTEST_WAIT or self._closing:
                self._begin(now)
            elif not self._kicked:
                self._kicked = True
                self._running().call_later(wait, self._kick)
        elif self._closing:
            self._begin_end()

    def _take(self) -> None:
        """The next group: what is pending of one day, up to a size."""
        pending = self._pending
        day = pending[0].day
        self._group = group = Group(day)
        self._dones = dones = []
        while pending and pending[0].day == day and group.size < MAX_GROUP_BYTES:
            _, lines, rejected, entry, done = pending.popleft()
            dones.append(done)
            group.add(lines, rejected, entry)

    # A group, from the writer to the answers.

    def _begin(self, now: float) -> None:
        self._busy = True
        self._busy_since = now
        try:
            self._take()
            self._pace.begin(now, self._cpu())
            self._store(now)
        except Exception as error:
            self._undo(error)

    def _store(self, now: float) -> None:
        writer, queue = self._files(), self._queue
        if queue is None or now < self._thread_until or not writer.at_hand(self._group):
            self._in_thread(self._commit, self._finish)
            return
        written = writer.write(self._group)
        if time.monotonic() - now > SLOW_WRITE:
            self._thread_until = now + SLOW_PATIENCE
        if not written:  # batches without a line
            self._synced([])
            return
        try:
            queue.submit(written, self._synced)
        except OSError:
            self._in_thread(writer.sync, self._synced_in_thread)

    def _commit(self) -> None:
        """In the thread."""
        self._files().commit(self._group)

    def _synced(self, results: list[int]) -> None:
        for position, code in enumerate(results):
            if code:
                self._undo(self._files().sync_failed(position, code))
                return
        self._files().accept()
        self._finish(None)

    def _synced_in_thread(self, error: BaseException | None) -> None:
        if error is None:
            self._synced([])
        else:
            self._undo(error)

    def _undo(self, error: BaseException) -> None:
        """Cut away what was written of a group that failed; then its batches are answered."""
        self._in_thread(self._abandon, lambda second: self._finish(_both(error, second)))

    def _abandon(self) -> None:
        """In the thread."""
        self._files().abandon(self._group)

    def _finish(self, error: BaseException | None) -> None:
        """The group is stored or nothing of it is: the next can go, and its batches are told."""
        dones, group = self._dones, self._group
        seconds = time.monotonic() - self._busy_since
        self._dones, self._group = [], Group("")
        self._idle_again(error)
        if error is None:
            _guarded(self._on_commit, SinkCommit(group.size, len(dones), seconds))
        for done in dones:
            _guarded(done, error is None)

    # Away from a batch's way.

    def _tick(self) -> None:
        """Now and then: tidy up, or try whether a disk that failed works again."""
        self._set_timer()
        if not self._busy and not self._closing:
            self._busy = True
            self._busy_since = time.monotonic()
            writer = self._files()
            self._in_thread(writer.idle if self._failing is None else writer.probe, self._tidied)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        interval = IDLE_INTERVAL if self._failing is None else self._probe_interval
        self._timer = self._running().call_later(interval, self._tick)

    def _tidied(self, error: BaseException | None) -> None:
        if isinstance(error, OSError):
            logger.error("the sink could not tidy up", exc_info=error)
            # Tried again at the next tick; a disk that was failing still is.
            error = None if self._failing is None else StepFailedError("probe", self._directory, error)
        self._idle_again(error)

    def _idle_again(self, error: BaseException | None) -> None:
        """What was under way has ended: remember how, and go on."""
        self._busy = False
        self._busy_since = 0.0
        was_failing = self._failing is not None
        failure = self._told(error)
        self._failing = None if failure is None else str(failure)
        if (failure is not None) != was_failing and not self._closing:
            self._set_timer()
        self._next()

    def _told(self, error: BaseException | None) -> StepFailedError | None:
        """Report a failure and those that followed from it."""
        if error is None:
            return None
        if isinstance(error, StepFailedError):
            failure = error
        else:
            # A defect or no memory: the group was cut away, its batches must be answered all the same.
            logger.error("a group could not be stored", exc_info=error)
            failure = StepFailedError("internal", self._directory, OSError(0, repr(error)))
        step: StepFailedError | None = failure
        while step is not None:
            _guarded(self._on_error, step.operation, str(step))
            step = step.rollback
        return failure

    def _begin_end(self) -> None:
        self._busy = True
        if self._timer is not None:
            self._timer.cancel()
        if self._queue is not None:
            self._queue.close()
        self._in_thread(self._files().close, self._end)

    def _end(self, error: BaseException | None) -> None:
        self._told(error)
        if self._disk is not None:
            self._disk.close()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _in_thread(self, job: Job, done: Callable[[BaseException | None], None]) -> None:
        assert self._disk is not None, "start() comes first"  # noqa: S101
        self._disk.run(job, done)

    def _files(self) -> GroupWriter:
        assert self._writer is not None, "start() comes first"  # noqa: S101
        return self._writer

    def _running(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "start() comes first"  # noqa: S101
        return self._loop


def _both(error: BaseException, second: BaseException | None) -> BaseException:
    """A failure, and that its group could not be cut away either."""
    if isinstance(error, StepFailedError) and isinstance(second, StepFailedError):
        error.rollback = second
    return error


def _guarded(callback: Callable[..., None], *args: object) -> None:
    """One caller's mistake must not cost the others their answer."""
    try:
        callback(*args)
    except Exception:
        logger.exception("a callback of the sink failed")
