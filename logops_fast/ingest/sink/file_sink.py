"""The file sink: batches become durable in groups and are then answered together (group commit).

The loop makes no call that can wait for a disk: not even a write into the page cache, which a frozen or throttled
volume can hold up for as long as it likes. One group at a time passes through these phases (``Phase``):

1. *gathering*, while the sink is IDLE or an earlier group is under way: batches wait in ``_pending``.
2. WRITING: the disk thread repairs, opens and follows the files as needed, and writes journal and lines.
3. SYNCING: the kernel brings them to the disk and wakes the loop (``kernel_sync``); without such a queue, the thread.
4. CONFIRMING, only after a long wait: the store of batch ids is asked whether the claims of the group are still ours.
5. UNDOING, only if the kernel's sync failed or a claim was lost: the thread cuts away what was written.
6. The batches are *answered*, all alike, and the next group begins.

Between groups the thread may be TIDYING: publishing marks, closing yesterday's files, or probing a disk that failed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import Final, Literal

from logops_fast.errors import LogOpsError
from logops_fast.ingest.sink.claims import confirm, renew
from logops_fast.ingest.sink.commit_log import LedgerEntry, encode_entry
from logops_fast.ingest.sink.commit_pace import CommitPace
from logops_fast.ingest.sink.day_files import DAY_SECONDS, day_of
from logops_fast.ingest.sink.disk_thread import DiskThread, Job, OnFinished
from logops_fast.ingest.sink.failures import both, guarded, report
from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError
from logops_fast.ingest.sink.gathering import LARGE_BYTES, next_group
from logops_fast.ingest.sink.group_writer import Group, GroupWriter
from logops_fast.ingest.sink.interface import Claims, OnStored, SinkCommit, SinkProblem
from logops_fast.ingest.sink.kernel_sync import SyncQueue
from logops_fast.ingest.sink.opening import SinkStartError, open_writer
from logops_fast.ingest.sink.recovery import RecoveryReport

__all__ = ["Durability", "FileSink", "Phase", "SinkStartError"]

PROBE_INTERVAL: Final = 1.0  # s
IDLE_INTERVAL: Final = 30.0  # s
PUBLISH_AFTER: Final = 0.05  # s without another group, before the marks of the last one are published
NAP_SECONDS: Final = 5e-5
MOST_NAPS: Final = 24  # for a group: the thread writes a small one in two or three
STALL_SECONDS: Final = 5.0  # a group that takes longer makes the gateway unready: the disk hangs
SHORTEST_WAIT: Final = 0.0005  # s; the loop's timers have a resolution of whole milliseconds
RENEW_INTERVAL: Final = 15.0
"""Seconds between renewals of the claims of batches that wait; a quarter of how long a claim lasts in Redis."""
CONFIRM_AFTER: Final = 20.0
"""Seconds that a group may take before its claims are looked at again: the process may have been suspended."""

Durability = Literal["fsync", "written"]

logger = logging.getLogger(__name__)


class Phase(Enum):
    """What the sink is doing; see the module's docstring."""

    IDLE = "idle"
    WRITING = "writing"
    SYNCING = "syncing"
    CONFIRMING = "confirming"
    UNDOING = "undoing"
    TIDYING = "tidying"
    CLOSING = "closing"


class _Batch:
    __slots__ = ("day", "encoded", "entry", "lines", "on_stored", "rejected", "size")

    def __init__(
        self,
        day: str,
        lines: bytes,
        rejected: bytes,
        entry: LedgerEntry | None,
        encoded: bytes | None,
        on_stored: OnStored,
    ) -> None:
        self.day = day
        self.lines = lines
        self.rejected = rejected
        self.entry = entry
        self.encoded = encoded
        self.on_stored = on_stored
        self.size = len(lines) + len(rejected)


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
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
        claims: Claims | None = None,
        on_commit: Callable[[SinkCommit], None] = lambda _commit: None,
        on_error: Callable[[str, str], None] = lambda _operation, _text: None,
        ops: FileOps | None = None,
        probe_interval: float = PROBE_INTERVAL,
        pace: CommitPace | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``on_error`` gets the operation (open, write, sync, truncate, probe, internal) and a sentence.

        ``probe_interval`` is in seconds. ``claims`` keeps the batch ids claimed while their batches wait.
        """
        self._directory = dir
        self._durable = durability == "fsync"
        self._worker = worker
        self._workers = workers
        self._wall = wall
        self._clock = clock
        self._cpu = cpu
        self._claims = claims
        self._on_commit = on_commit
        self._on_error = on_error
        self._ops = FileOps() if ops is None else ops
        self._probe_interval = probe_interval
        self._pace = pace or CommitPace()
        self._sleep = sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._disk: DiskThread | None = None
        self._queue: SyncQueue | None = None
        self._writer: GroupWriter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._failure: str | None = None
        self._closing = False
        self._day = ""
        self._day_start = 0.0
        # Gathering.
        self._pending: deque[_Batch] = deque()
        self._pending_since = 0.0  # no later than the first of them came
        self._kicked = False
        self._after_large = False
        self._unpublished = False
        # The group under way.
        self._phase = Phase.IDLE
        self._phase_since = 0.0
        self._group = Group("")
        self._batches: list[_Batch] = []
        self._batches_since = 0.0
        self._naps = 0

    def __repr__(self) -> str:
        return (
            f"<FileSink {self._directory} {self._phase.value} group={self._group!r} pending={len(self._pending)}"
            f" failure={self._failure!r}>"
        )

    @property
    def problem(self) -> SinkProblem | None:
        """None, or why nothing can be stored right now: the last failure, or a call to the disk that hangs."""
        if self._failure is not None:
            return SinkProblem("sink_failed", self._failure)
        if self._phase is not Phase.IDLE:
            seconds = self._clock() - self._phase_since
            if seconds > STALL_SECONDS:
                text = f"the disk of {self._directory} has not answered for {seconds:.0f} s ({self._phase.value})"
                return SinkProblem("sink_stalled", text)
        return None

    @property
    def by_thread(self) -> bool:
        """Whether a thread syncs, because the kernel offers no queue for it."""
        return self._durable and self._queue is None

    def start(self, *, probe: bool = True) -> Awaitable[RecoveryReport]:
        """Lock the directory, repair what a crash left, open today's file; all of it in the disk thread.

        ``probe``: write to the disk as well. If that fails the sink starts with a ``problem``, as after a failed group.
        Call it on the running loop and await the result before the first ``append``. Raises SinkStartError.
        """
        loop = asyncio.get_running_loop()
        started: asyncio.Future[RecoveryReport] = loop.create_future()
        reports: list[RecoveryReport] = []
        failures: list[StepFailedError] = []
        disk = DiskThread(loop)

        def job() -> bool:
            reports.append(self._open())
            if probe:
                try:
                    self._probe()
                except StepFailedError as failure:
                    failures.append(failure)
            return True

        def on_finished(error: BaseException | None) -> None:
            if error is not None:
                disk.close()
                if not started.done():
                    started.set_exception(error)
                return
            self._loop = loop
            self._disk = disk
            self._ended = loop.create_future()
            # Without a sync there is nothing for the kernel to do.
            self._queue = self._ops.kernel_sync(loop) if self._durable else None
            for failure in failures:
                report(failure, self._directory, self._on_error)
                self._failure = str(failure)
            self._set_timer()
            if self._claims is not None:
                self._renewal = loop.call_later(RENEW_INTERVAL, self._renew)
            if not started.done():
                started.set_result(reports[0])

        disk.run(job, on_finished)
        return started

    def append(
        self, lines: bytes, on_stored: OnStored, *, rejected: bytes = b"", entry: LedgerEntry | None = None
    ) -> None:
        """Store a batch (see Sink)."""
        if (lines and lines[-1] != 10) or (rejected and rejected[-1] != 10):
            raise ValueError("lines must end with a newline")
        loop = self._loop
        if loop is None or self._closing:
            asyncio.get_running_loop().call_soon(on_stored, False)
            return
        now = self._wall()
        if not 0.0 <= now - self._day_start < DAY_SECONDS:
            self._day = day_of(now)
            self._day_start = now // DAY_SECONDS * DAY_SECONDS
        encoded = None if entry is None else encode_entry(entry)
        if not self._pending:
            self._pending_since = self._clock()
        self._pending.append(_Batch(self._day, lines, rejected, entry, encoded, on_stored))
        # At the end of the turn, so that all that arrives in one turn makes one group.
        if self._phase is Phase.IDLE and not self._kicked:
            self._kicked = True
            loop.call_soon(self._kick)

    def give_way(self) -> bool:
        """Sleep for a moment while the thread writes a small group; called before the loop's thread is busy for long.

        The thread needs the interpreter's lock about four times for it, and would wait for it each time. Returns
        whether the loop had better look for the end of the sync, or of the thread's tidying, and ask again.
        """
        while self._naps and self._phase is Phase.WRITING:
            self._naps -= 1
            self._sleep(NAP_SECONDS)
        if self._naps and (self._phase is Phase.SYNCING or self._phase is Phase.TIDYING):
            self._sleep(NAP_SECONDS)
            return True
        return False

    def close(self) -> Awaitable[None]:
        """Store what is pending, sync, close the files and release the lock. Later appends are refused."""
        if self._ended is None:
            return asyncio.sleep(0)
        if not self._closing:
            self._closing = True
            if self._phase is Phase.IDLE:
                self._next()
        return asyncio.shield(self._ended)

    def _open(self) -> RecoveryReport:
        """Do the work of ``start``, in the thread. Raises SinkStartError."""
        self._writer, recovered = open_writer(
            self._directory,
            durable=self._durable,
            worker=self._worker,
            workers=self._workers,
            wall=self._wall,
            ops=self._ops,
        )
        return recovered

    # 1: gathering.

    def _kick(self) -> None:
        self._kicked = False
        if self._phase is Phase.IDLE:
            self._next()

    def _next(self) -> None:
        """Begin a group of what is pending, now or once more batches have had time to join. The sink is idle."""
        if self._pending:
            now = self._clock()
            wait = self._pace.wait(now)
            if wait < SHORTEST_WAIT or self._closing:
                self._begin(now)
            elif not self._kicked:
                self._kicked = True
                self._running().call_later(wait, self._kick)
        elif self._closing:
            self._begin_end()
        elif self._unpublished:
            self._unpublished = False
            self._running().call_later(PUBLISH_AFTER, self._publish)

    def _take(self) -> None:
        """Make the next group of what is pending (see `gathering`)."""
        self._batches = batches = next_group(self._pending, after_large=self._after_large)
        self._batches_since = self._pending_since
        self._after_large = batches[0].size > LARGE_BYTES
        self._group = group = Group(batches[0].day)
        for batch in batches:
            group.add(batch.lines, batch.rejected, batch.encoded)

    # 2 and 3: writing and syncing.

    def _begin(self, now: float) -> None:
        self._enter(Phase.WRITING, now)
        try:
            self._take()
            self._naps = 0 if self._after_large else MOST_NAPS
            self._pace.begin(now, self._cpu())
        except Exception as error:
            self._undo(error)
        else:
            self._in_thread(self._store, self._stored)

    def _store(self) -> bool:
        """Write the group, in the thread, and have it synced. Raises StepFailedError: nothing of it is left then."""
        writer, queue = self._files(), self._queue
        to_sync = writer.write(self._group)
        self._phase = Phase.SYNCING
        if queue is not None and to_sync:
            try:
                queue.submit(to_sync, self._synced)
            except OSError:  # no room for a request: this thread syncs
                pass
            else:
                return False
        writer.sync(self._group)
        return True

    def _synced(self, codes: list[int]) -> None:
        for position, code in enumerate(codes):
            if code:
                self._undo(self._files().sync_failed(position, code))
                return
        self._stored(None)

    def _stored(self, error: BaseException | None) -> None:
        now = self._clock()
        if error is None and self._claims is not None and now - self._batches_since > CONFIRM_AFTER:
            self._enter(Phase.CONFIRMING, now)
            confirm(self._claims, [batch.entry for batch in self._batches], self._confirmed)
        else:
            self._finish(error)

    # 4: confirming.

    def _confirmed(self, lost: list[int]) -> None:
        """Accept the group, or cut it away and store it again without the batches that another worker has taken."""
        if not lost:
            self._finish(None)
            return
        logger.warning("batches waited so long for the disk that their ids were lost", extra={"batches": len(lost)})
        batches = self._batches
        kept = [batch for position, batch in enumerate(batches) if position not in lost]
        self._batches = [batches[position] for position in lost]
        self._undo(None, kept)

    def _renew(self) -> None:
        """Keep the claims of batches that wait for the disk."""
        self._renewal = self._running().call_later(RENEW_INTERVAL, self._renew)
        oldest = self._clock() - RENEW_INTERVAL / 2
        for batches, since in ((self._batches, self._batches_since), (self._pending, self._pending_since)):
            if self._claims is not None and batches and since < oldest:
                renew(self._claims, [batch.entry for batch in batches])

    # 5: undoing.

    def _undo(self, error: BaseException | None, again: list[_Batch] | None = None) -> None:
        """Cut the group away, then refuse its batches; those of ``again`` are gathered once more."""
        self._enter(Phase.UNDOING, self._clock())

        def undone(second: BaseException | None) -> None:
            if again:
                self._pending.extendleft(reversed(again))
                self._pending_since = self._batches_since
            self._finish(both(error, second) if error is not None else second or _LostClaims())

        self._in_thread(self._abandon, undone)

    def _abandon(self) -> bool:
        """Cut away what was written, in the thread. Raises StepFailedError."""
        self._files().abandon(self._group)
        return True

    # 6: answering.

    def _finish(self, error: BaseException | None) -> None:
        """Note that the group is stored or nothing of it is, begin the next, and answer its batches."""
        batches, group = self._batches, self._group
        seconds = self._clock() - self._phase_since
        if error is None:
            self._files().accept()
            self._unpublished = True
        self._batches, self._group = [], Group("")
        self._idle_again(None if isinstance(error, _LostClaims) else error)
        if error is None:
            guarded(self._on_commit, SinkCommit(group.size, len(batches), seconds))
        for batch in batches:
            guarded(batch.on_stored, error is None)

    # Between groups.

    def _publish(self) -> None:
        """Publish the marks of the last group, unless another has done so or will."""
        if self._phase is Phase.IDLE and self._failure is None and not self._closing and not self._pending:
            self._enter(Phase.TIDYING, self._clock())
            self._naps = MOST_NAPS
            self._in_thread(self._publish_marks, self._tidied)

    def _publish_marks(self) -> bool:
        self._files().publish()
        return True

    def _tick(self) -> None:
        """Tidy up now and then, or try whether a disk that failed works again."""
        self._set_timer()
        if self._phase is Phase.IDLE and not self._closing:
            self._enter(Phase.TIDYING, self._clock())
            self._in_thread(self._tidy if self._failure is None else self._probe, self._tidied)

    def _tidy(self) -> bool:
        self._files().idle()
        return True

    def _probe(self) -> bool:
        self._files().probe()
        return True

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        interval = IDLE_INTERVAL if self._failure is None else self._probe_interval
        self._timer = self._running().call_later(interval, self._tick)

    def _tidied(self, error: BaseException | None) -> None:
        if isinstance(error, OSError):
            logger.error("the sink could not tidy up", exc_info=error)
            # Tried again at the next tick; a disk that was failing still is.
            error = None if self._failure is None else StepFailedError("probe", self._directory, error)
        self._idle_again(error)

    def _idle_again(self, error: BaseException | None) -> None:
        """Note how the work under way has ended, and go on."""
        self._phase = Phase.IDLE
        was_failing = self._failure is not None
        failure = report(error, self._directory, self._on_error)
        self._failure = None if failure is None else str(failure)
        if (failure is not None) != was_failing and not self._closing:
            self._set_timer()
        self._next()

    # The end.

    def _begin_end(self) -> None:
        self._enter(Phase.CLOSING, self._clock())
        for timer in (self._timer, self._renewal):
            if timer is not None:
                timer.cancel()
        if self._queue is not None:
            self._queue.close()
        self._in_thread(self._close_files, self._end)

    def _close_files(self) -> bool:
        self._files().close()
        return True

    def _end(self, error: BaseException | None) -> None:
        report(error, self._directory, self._on_error)
        if self._disk is not None:
            self._disk.close()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _enter(self, phase: Phase, now: float) -> None:
        # Undoing and confirming belong to the group that began before: it is as late as it was.
        if self._phase is Phase.IDLE:
            self._phase_since = now
        self._phase = phase

    def _in_thread(self, job: Job, on_finished: OnFinished) -> None:
        assert self._disk is not None, "start() comes first"  # noqa: S101
        self._disk.run(job, on_finished)

    def _files(self) -> GroupWriter:
        assert self._writer is not None, "start() comes first"  # noqa: S101
        return self._writer

    def _running(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "start() comes first"  # noqa: S101
        return self._loop


class _LostClaims(LogOpsError):  # noqa: N818 - no failure of the disk
    """The group was cut away because another worker stores some of its batches."""
