"""The file sink: batches become durable in groups, written by a thread of its own, and are then answered together.

Whatever arrives while one group is on its way to the disk goes with the next (group commit). The loop's side only
appends to a deque and wakes the thread once a loop turn.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Literal, NamedTuple, Protocol

from logops_fast.ingest.append_file import FileOps, StepFailedError
from logops_fast.ingest.commit_log import LedgerEntry, encode_entry
from logops_fast.ingest.commit_pace import CommitPace
from logops_fast.ingest.day_files import DAY_SECONDS, day_of
from logops_fast.ingest.group_writer import Group, GroupWriter, SinkBusyError, WorkerLock
from logops_fast.ingest.recovery import RecoveryReport, recover

__all__ = ["FileSink", "LedgerEntry", "NullSink", "Sink", "SinkCommit", "SinkStartError"]

MAX_GROUP_BYTES: Final = 8 << 20  # above it a group is written in several, so that the first need not wait for the last
PROBE_INTERVAL: Final = 1.0  # s
IDLE_INTERVAL: Final = 30.0  # s
STALL_SECONDS: Final = 5.0  # a write that takes longer makes the gateway unready: the disk hangs

Done = Callable[[bool], None]
Durability = Literal["fsync", "written"]

logger = logging.getLogger(__name__)


class SinkStartError(Exception):
    """The sink cannot work in its directory; the message is one line a person can act on."""


class SinkCommit(NamedTuple):
    """One group that was stored: bytes of both streams, batches, seconds of write and sync."""

    bytes: int
    batches: int
    seconds: float


class Sink(Protocol):
    """Where serialised batches go."""

    @property
    def stores(self) -> bool:
        """False where nothing is kept, which every answer then says."""

    @property
    def failing(self) -> str | None:
        """None, or why nothing can be stored right now."""

    def append(self, lines: bytes, done: Done, *, rejected: bytes = b"", entry: LedgerEntry | None = None) -> None:
        """Store a batch: whole lines, lines of its unreadable events, and its id if it may come again.

        ``done`` is called exactly once on the loop: True once all of it is stored, False if nothing of it is.
        """

    def close(self) -> Awaitable[None]:
        """Store what is pending and let go of the files. (No coroutine: see pyproject.toml on what is compiled.)"""
        ...


class NullSink:
    """``sink.enabled: false``: keeps nothing."""

    __slots__ = ()

    stores: Final = False
    failing: Final = None

    def append(
        self,
        lines: bytes,  # noqa: ARG002
        done: Done,
        *,
        rejected: bytes = b"",  # noqa: ARG002
        entry: LedgerEntry | None = None,  # noqa: ARG002
    ) -> None:
        """Calls ``done(True)`` at once."""
        done(True)

    def close(self) -> Awaitable[None]:
        """Nothing to do."""
        return asyncio.sleep(0)


class _Pending(NamedTuple):
    day: str
    lines: bytes
    rejected: bytes
    entry: bytes | None
    done: Done


class FileSink:
    """Appends to the day's files. ``start`` it on the loop; everything but the commits happens there."""

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
        """``on_error`` is told the operation (open, write, sync, truncate, probe, internal) and a sentence.

        Both callbacks are called on the loop.
        """
        self._directory = dir
        self._durable = durability == "fsync"
        self._worker = worker
        self._workers = workers
        self._wall = wall
        self._cpu = cpu
        self._on_commit = on_commit
        self._on_error = on_error
        self._ops = ops
        self._probe_interval = probe_interval
        self._pace = pace or CommitPace()
        self._pending: deque[_Pending] = deque()
        # One token wakes the thread. A hop costs about the same by lock, eventfd or SimpleQueue (the kernel's switch
        # is most of it); of these the queue needs no care: a token too many is harmless.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._idle = False
        self._kicked = False
        self._closing = False
        self._failing: str | None = None
        self._busy_since = 0.0
        self._day = ""
        self._day_start = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def failing(self) -> str | None:
        """None, or why nothing can be stored right now: the last failure, or a write that hangs."""
        if self._failing is not None:
            return self._failing
        since = self._busy_since
        if since and time.monotonic() - since > STALL_SECONDS:
            return f"a write to {self._directory} has been going on for {time.monotonic() - since:.0f} s"
        return None

    def start(self) -> RecoveryReport:
        """Lock the directory, put in order what a crash left, open today's file, start the thread.

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
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        threading.Thread(target=self._run, args=(writer, self._loop), name="file-sink", daemon=True).start()
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
        # Woken at the end of the turn, so that all that arrives in one turn makes one group. A busy thread looks
        # at the deque by itself before it goes idle.
        if self._idle and not self._kicked:
            self._kicked = True
            loop.call_soon(self._kick)

    def close(self) -> Awaitable[None]:
        """Store what is pending, sync, end the thread, release the lock. Later appends are refused."""
        if self._ended is None:
            return asyncio.sleep(0)
        if not self._closing:
            self._closing = True
            self._wake.put(None)
        return asyncio.shield(self._ended)

    def _kick(self) -> None:
        self._kicked = False
        if self._idle:
            self._wake.put(None)

    def _settle(self, dones: list[Done], commit: SinkCommit | None, error: StepFailedError | None) -> None:
        """On the loop: tell everyone what became of their group."""
        if commit is not None:
            _guarded(self._on_commit, commit)
        while error is not None:
            _guarded(self._on_error, error.operation, str(error))
            error = error.rollback
        stored = commit is not None
        for done in dones:
            _guarded(done, stored)

    # The thread's side.

    def _run(self, writer: GroupWriter, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                self._await_company()
                taken = self._take()
                if taken is not None:
                    self._commit(writer, loop, *taken)
                elif not self._closing:
                    self._wait(writer, loop)
                elif not self._pending:  # one may have come between the look at the deque and the closing
                    break
            try:
                writer.close()
            except StepFailedError as error:
                self._tell(loop, [], None, error)
        except BaseException:
            self._failing = "the sink's thread has ended by a defect: the log says where"
            logger.exception("the sink's thread has ended")
        finally:
            self._call(loop, self._end)

    def _await_company(self) -> None:
        """Let the pace's time pass since the last commit began, so that a busy loop's batches go out together."""
        wait = self._pace.wait(time.monotonic())
        if wait > 0.0 and not self._closing:
            time.sleep(wait)

    def _end(self) -> None:
        """On the loop: the thread is gone, as it was told to or by a defect; nobody may wait for it."""
        self._closing = True
        while self._pending:
            _guarded(self._pending.popleft().done, False)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _take(self) -> tuple[Group, list[Done]] | None:
        pending = self._pending
        if not pending:
            return None
        day = pending[0].day
        group = Group(day)
        dones: list[Done] = []
        # Only this thread takes from the deque, so what is seen at its head is what comes out.
        while pending and pending[0].day == day and group.size < MAX_GROUP_BYTES:
            _, lines, rejected, entry, done = pending.popleft()
            group.add(lines, rejected, entry)
            dones.append(done)
        return group, dones

    def _commit(self, writer: GroupWriter, loop: asyncio.AbstractEventLoop, group: Group, dones: list[Done]) -> None:
        start = time.monotonic()
        self._busy_since = start
        self._pace.begin(start, self._cpu())
        try:
            writer.commit(group)
        except StepFailedError as error:
            self._failing = str(error)
            self._tell(loop, dones, None, error)
        except Exception as defect:
            # A defect or no memory: the writer has cut the group away, its batches must be answered all the same.
            logger.exception("a group could not be stored")
            wrapped = StepFailedError("internal", self._directory, OSError(0, repr(defect)))
            self._failing = str(wrapped)
            self._tell(loop, dones, None, wrapped)
        else:
            self._failing = None
            self._tell(loop, dones, SinkCommit(group.size, len(dones), time.monotonic() - start), None)
        finally:
            self._busy_since = 0.0

    def _wait(self, writer: GroupWriter, loop: asyncio.AbstractEventLoop) -> None:
        self._idle = True
        if self._pending or self._closing:  # it came between the last look and `idle`: nobody has kicked
            self._idle = False
            return
        try:
            self._wake.get(timeout=IDLE_INTERVAL if self._failing is None else self._probe_interval)
        except Empty:
            self._idle = False
            self._tick(writer, loop)
        self._idle = False

    def _tick(self, writer: GroupWriter, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if self._failing is None:
                writer.idle()
            else:
                writer.probe()
                self._failing = None
        except StepFailedError as error:
            self._failing = str(error)
            self._tell(loop, [], None, error)
        except OSError:
            logger.exception("the sink could not tidy up")  # tried again at the next tick

    def _tell(
        self,
        loop: asyncio.AbstractEventLoop,
        dones: list[Done],
        commit: SinkCommit | None,
        error: StepFailedError | None,
    ) -> None:
        self._call(loop, self._settle, dones, commit, error)

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: object) -> None:
        try:
            loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return  # the loop is closed: nobody is left to be told


def _guarded(callback: Callable[..., None], *args: object) -> None:
    """One caller's mistake must not cost the others their answer."""
    try:
        callback(*args)
    except Exception:
        logger.exception("a callback of the sink failed")
