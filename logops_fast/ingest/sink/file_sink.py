"""The file sink: batches become durable in groups and are then answered together (group commit).

The loop makes no call that can wait for a disk: not even a write into the page cache, which a frozen or throttled
volume can hold up for as long as it likes. One group at a time passes through these phases:

1. *gathering*, while the sink is IDLE or an earlier group is under way: batches wait (``waiting``).
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
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal

from logops_fast.errors import LogOpsError
from logops_fast.ingest.sink.claims import confirm, renew
from logops_fast.ingest.sink.commit_log import LedgerEntry
from logops_fast.ingest.sink.commit_pace import CommitPace
from logops_fast.ingest.sink.failures import both, guarded, report
from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError
from logops_fast.ingest.sink.group_writer import Group
from logops_fast.ingest.sink.interface import Claims, OnStored, SinkCommit, SinkProblem
from logops_fast.ingest.sink.opening import SinkStartError, open_writer
from logops_fast.ingest.sink.phase import Phase
from logops_fast.ingest.sink.recovery import RecoveryReport
from logops_fast.ingest.sink.waiting import WaitingBatch, WaitingBatches
from logops_fast.ingest.sink.writer_thread import WriterThread

__all__ = ["Durability", "FileSink", "Phase", "SinkStartError"]

PROBE_INTERVAL: Final = 1.0  # s
IDLE_INTERVAL: Final = 30.0  # s
PUBLISH_AFTER: Final = 0.05  # s without another group, before the marks of the last one are published
NAP_SECONDS: Final = 5e-5
MOST_NAPS: Final = 64  # for a group: the thread writes a small one in two or three, a disk syncs it in ten
STALL_SECONDS: Final = 5.0  # a group that takes longer makes the gateway unready: the disk hangs
SHORTEST_WAIT: Final = 0.0005  # s; the loop's timers have a resolution of whole milliseconds
RENEW_INTERVAL: Final = 15.0
"""Seconds between renewals of the claims of batches that wait; a quarter of how long a claim lasts in Redis."""
CONFIRM_AFTER: Final = 20.0
"""Seconds that a group may take before its claims are looked at again: the process may have been suspended."""

Durability = Literal["fsync", "written"]

logger = logging.getLogger(__name__)


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
        self._disk: WriterThread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._failure: str | None = None
        self._closing = False
        # Gathering.
        self._pending = WaitingBatches(wall, clock)
        self._kicked = False
        self._unpublished = False
        # The group under way.
        self._phase = Phase.IDLE
        self._phase_since = 0.0
        self._group = Group("")
        self._batches: list[WaitingBatch] = []
        self._naps = 0

    def __repr__(self) -> str:
        return (
            f"<FileSink {self._directory} {self._phase.value} group={self._group!r}"
            f" pending={len(self._pending.batches)} failure={self._failure!r}>"
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
        return self._durable and not (self._disk is not None and self._disk.has_kernel_sync)

    def start(self, *, probe: bool = True) -> Awaitable[RecoveryReport]:
        """Lock the directory, repair what a crash left, open today's file; all of it in the disk thread.

        ``probe``: write to the disk as well. If that fails the sink starts with a ``problem``, as after a failed group.
        Call it on the running loop and await the result before the first ``append``. Raises SinkStartError.
        """
        loop = asyncio.get_running_loop()
        started: asyncio.Future[RecoveryReport] = loop.create_future()
        disk = WriterThread(loop)
        opener = partial(
            open_writer,
            self._directory,
            durable=self._durable,
            worker=self._worker,
            workers=self._workers,
            wall=self._wall,
            ops=self._ops,
        )

        def on_opened(error: BaseException | None) -> None:
            if error is not None:
                disk.end()
                if not started.done():
                    started.set_exception(error)
                return
            self._loop = loop
            self._disk = disk
            self._ended = loop.create_future()
            if self._durable:  # otherwise there is nothing for the kernel to do
                disk.sync_by(self._ops.kernel_sync(loop))
            failure = disk.probe_failure
            if failure is not None:
                report(failure, self._directory, self._on_error)
                self._failure = str(failure)
            self._set_timer()
            if self._claims is not None:
                self._renewal = loop.call_later(RENEW_INTERVAL, self._renew)
            if disk.report is not None and not started.done():
                started.set_result(disk.report)

        disk.open(opener, on_opened, probe=probe)
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
        self._pending.add(lines, rejected, entry, on_stored)
        # At the end of the turn, so that all that arrives in one turn makes one group.
        if self._phase is Phase.IDLE and not self._kicked:
            self._kicked = True
            loop.call_soon(self._kick)

    def give_way(self) -> bool:
        """Sleep for a moment while the thread writes a small group; called before the loop's thread is busy for long.

        The thread needs the interpreter's lock about four times for it, and would wait for it each time. Returns
        whether the loop had better look for the end of the sync, or of the thread's tidying, and ask again; MOST_NAPS
        for a group at most, since a disk that hangs stops nothing but the storing.
        """
        while self._naps and self._phase is Phase.WRITING:
            self._naps -= 1
            self._sleep(NAP_SECONDS)
        if self._naps and (self._phase is Phase.SYNCING or self._phase is Phase.TIDYING):
            self._naps -= 1
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

    # 1: gathering.

    def _kick(self) -> None:
        self._kicked = False
        if self._phase is Phase.IDLE:
            self._next()

    def _next(self) -> None:
        """Begin a group of what is pending, now or once more batches have had time to join. The sink is idle."""
        if self._pending.batches:
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

    # 2 and 3: writing and syncing.

    def _begin(self, now: float) -> None:
        self._enter(Phase.WRITING, now)
        try:
            pending = self._pending
            self._group, self._batches = Group(pending.batches[0].day), []
            large = pending.take(self._group, self._batches)
            self._naps = 0 if large else MOST_NAPS
            self._pace.begin(now, self._cpu())
        except Exception as error:
            self._undo(error)
        else:
            self._files().store(self._group, on_written=self._written, on_stored=self._stored, on_unsynced=self._undo)

    def _written(self) -> None:
        self._phase = Phase.SYNCING  # in the thread: for the text of a stall alone

    def _stored(self, error: BaseException | None) -> None:
        now = self._clock()
        if error is None and self._claims is not None and now - self._batches[0].since > CONFIRM_AFTER:
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
        if self._claims is not None:
            if self._batches and self._batches[0].since < oldest:
                renew(self._claims, [batch.entry for batch in self._batches])
            if self._pending.batches and self._pending.batches[0].since < oldest:
                renew(self._claims, [batch.entry for batch in self._pending.batches])

    # 5: undoing.

    def _undo(self, error: BaseException | None, again: list[WaitingBatch] | None = None) -> None:
        """Cut the group away, then refuse its batches; those of ``again`` are gathered once more."""
        self._enter(Phase.UNDOING, self._clock())

        def undone(second: BaseException | None) -> None:
            if again:
                self._pending.put_back(again)
            self._finish(both(error, second) if error is not None else second or _LostClaims())

        self._files().abandon(self._group, undone)

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
        if self._phase is Phase.IDLE and self._failure is None and not self._closing and not self._pending.batches:
            self._enter(Phase.TIDYING, self._clock())
            self._naps = MOST_NAPS
            self._files().publish(self._tidied)

    def _tick(self) -> None:
        """Tidy up now and then, or try whether a disk that failed works again."""
        self._set_timer()
        if self._phase is Phase.IDLE and not self._closing:
            self._enter(Phase.TIDYING, self._clock())
            if self._failure is None:
                self._files().tidy(self._tidied)
            else:
                self._files().probe(self._tidied)

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
        self._files().close(self._end)

    def _end(self, error: BaseException | None) -> None:
        report(error, self._directory, self._on_error)
        if self._disk is not None:
            self._disk.end()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _enter(self, phase: Phase, now: float) -> None:
        # Undoing and confirming belong to the group that began before: it is as late as it was.
        if self._phase is Phase.IDLE:
            self._phase_since = now
        self._phase = phase

    def _files(self) -> WriterThread:
        assert self._disk is not None, "start() comes first"  # noqa: S101
        return self._disk

    def _running(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "start() comes first"  # noqa: S101
        return self._loop


class _LostClaims(LogOpsError):  # noqa: N818 - no failure of the disk
    """The group was cut away because another worker stores some of its batches."""
