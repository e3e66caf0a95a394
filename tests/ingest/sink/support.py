"""Helpers of the sink's tests: a sink on a loop, appends that are awaited, disks that fail on demand."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from logops_fast.ingest.sink.commit_log import LedgerEntry
from logops_fast.ingest.sink.file_ops import FileOps
from logops_fast.ingest.sink.file_sink import FileSink
from logops_fast.ingest.sink.interface import SinkCommit
from logops_fast.ingest.sink.kernel_sync import OnSynced, SyncQueue

NOON = 1_732_622_400.0  # 2024-11-26 12:00:00 UTC: the past, since segments are removed by their mtime, which is real
DAY = "20241126"

Test = Callable[[FileSink], Awaitable[None]]


def entry(number: int, emitter: str = "web") -> LedgerEntry:
    return LedgerEntry(emitter, f"batch-{number}", b'{"accepted":%d}' % number)


class Reports:
    """What the sink reported."""

    def __init__(self) -> None:
        self.commits: list[SinkCommit] = []
        self.errors: list[str] = []


def run(
    directory: Path,
    test: Test,
    *,
    reports: Reports | None = None,
    factory: Any = uvloop.new_event_loop,
    probe: bool = False,
    **kw: Any,
) -> None:
    """Run a test on a started sink, and close it. Without ``probe`` the first write is that of the test."""
    notes = reports or Reports()

    async def main() -> None:
        kw.setdefault("wall", lambda: NOON)
        sink = FileSink(
            directory, on_commit=notes.commits.append, on_error=lambda op, _text: notes.errors.append(op), **kw
        )
        await sink.start(probe=probe)
        try:
            await test(sink)
        finally:
            await sink.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def stored(sink: FileSink, lines: bytes, *, rejected: bytes = b"", entry: LedgerEntry | None = None) -> bool:
    """Append and wait for the verdict."""
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    sink.append(lines, future.set_result, rejected=rejected, entry=entry)
    return await asyncio.wait_for(future, 20)


async def until(condition: Callable[[], object]) -> None:
    """Poll until the condition holds; it fails after 20 s."""
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - what a thread does has no event to wait for
            await asyncio.sleep(0.005)


def problem(sink: FileSink) -> str:
    """The text of what is wrong, or nothing."""
    return "" if sink.problem is None else sink.problem.text


def data(directory: Path, day: str = DAY) -> bytes:
    return (directory / f"{day}.ndjson").read_bytes()


class FaultyOps(FileOps):
    """Real system calls that fail on demand (``fail``: name to errno; ``only``: in paths that contain this).

    ``short`` bytes are taken before a write fails.
    """

    def __init__(self) -> None:
        self.fail: dict[str, int] = {}
        self.short: int | None = None
        self.only = ""
        self._names: dict[int, str] = {}

    def open(self, path: Path, *, mode: int) -> int:
        fd = super().open(path, mode=mode)
        self._names[fd] = str(path)
        return fd

    def _check(self, name: str, fd: int) -> None:
        code = self.fail.get(name)
        if code is not None and self.only in self._names[fd]:
            raise OSError(code, os.strerror(code))

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        if "write" in self.fail and self.short is not None and self.only in self._names[fd]:
            took, self.short = self.short, None
            if took:
                return super().writev(fd, [b"".join(parts)[:took]])
        self._check("write", fd)
        return super().writev(fd, parts)

    def sync(self, fd: int) -> None:
        self._check("sync", fd)
        super().sync(fd)

    def kernel_sync(self, loop: asyncio.AbstractEventLoop) -> SyncQueue | None:
        queue = super().kernel_sync(loop)
        return None if queue is None else FaultyQueue(self, loop, queue)

    def holds_sync(self) -> bool:
        """Return whether the kernel's sync is to wait."""
        return False

    def asked_to_sync(self, fds: Sequence[int]) -> None:
        """Called before the kernel gets a request; raises OSError if it is to take none."""

    def sync_code(self, fd: int) -> int:
        """Return the errno of the kernel's sync of a file."""
        try:
            self._check("sync", fd)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def truncate(self, fd: int, size: int) -> None:
        self._check("truncate", fd)
        super().truncate(fd, size)


class StallingOps(FaultyOps):
    """A disk that does not answer ``call`` (open, write, sync, truncate) until the gate is opened."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.call = call
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.loop_was_used: list[str] = []

    def _stall(self, call: str) -> None:
        if threading.current_thread() is threading.main_thread():
            self.loop_was_used.append(call)
        elif call == self.call:
            self.entered.set()
            assert self.gate.wait(60), "the test never opened the gate"

    def open(self, path: Path, *, mode: int) -> int:
        self._stall("open")
        return super().open(path, mode=mode)

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        self._stall("write")
        return super().writev(fd, parts)

    def sync(self, fd: int) -> None:
        self._stall("sync")
        super().sync(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._stall("truncate")
        super().truncate(fd, size)

    def holds_sync(self) -> bool:
        if self.call != "sync":
            return False
        self.entered.set()
        return not self.gate.is_set()


class SteppedClock:
    """The monotonic clock, which can be moved ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class FaultyQueue:
    """The kernel's queue, with syncs that wait or fail on demand."""

    def __init__(self, ops: FaultyOps, loop: asyncio.AbstractEventLoop, real: SyncQueue) -> None:
        self._ops = ops
        self._loop = loop
        self._real = real

    def submit(self, fds: Sequence[int], on_synced: OnSynced) -> None:
        if self._ops.holds_sync():
            self._loop.call_soon_threadsafe(self._loop.call_later, 0.002, self.submit, fds, on_synced)
            return
        self._ops.asked_to_sync(fds)
        codes = [self._ops.sync_code(fd) for fd in fds]
        if any(codes):
            self._loop.call_soon_threadsafe(on_synced, codes)
        else:
            self._real.submit(fds, on_synced)

    def close(self) -> None:
        self._real.close()


class Crash(BaseException):
    """The process dies here."""


class CrashingOps(FileOps):
    """Lets ``budget`` bytes through, then fails every call, as if the process had died.

    ``die`` frees what the kernel would.
    """

    def __init__(self) -> None:
        self.budget: int | None = None
        self.fds: set[int] = set()

    def open(self, path: Path, *, mode: int) -> int:
        self._alive()
        fd = super().open(path, mode=mode)
        self.fds.add(fd)
        return fd

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        self._alive()
        if self.budget is None:
            return super().writev(fd, parts)
        whole = b"".join(parts)
        taken = whole[: self.budget]
        if taken:
            super().writev(fd, [taken])
        self.budget -= len(taken)
        self._alive()
        if len(taken) < len(whole):
            raise Crash
        return len(taken)

    def sync(self, fd: int) -> None:
        self._alive()

    def truncate(self, fd: int, size: int) -> None:
        self._alive()
        super().truncate(fd, size)

    def die(self) -> None:
        for fd in self.fds:
            try:
                os.close(fd)
            except OSError:  # the writer closed it in time
                continue
        self.fds.clear()

    def _alive(self) -> None:
        if self.budget is not None and self.budget <= 0:
            raise Crash
