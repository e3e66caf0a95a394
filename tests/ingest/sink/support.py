"""Helpers of the sink's tests: a sink on a loop, appends that are awaited, disks that fail on cue."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from logops_fast.ingest.sink.append_file import FileOps
from logops_fast.ingest.sink.commit_log import LedgerEntry
from logops_fast.ingest.sink.file_sink import FileSink
from logops_fast.ingest.sink.interface import SinkCommit
from logops_fast.ingest.sink.kernel_sync import Done as SyncDone
from logops_fast.ingest.sink.kernel_sync import SyncQueue

NOON = 1_732_622_400.0  # 2024-11-26 12:00:00 UTC: the past, since segments are removed by their mtime, which is real
DAY = "20241126"

Test = Callable[[FileSink], Awaitable[None]]


def entry(number: int, emitter: str = "web") -> LedgerEntry:
    return LedgerEntry(emitter, f"batch-{number}", b'{"accepted":%d}' % number)


class Told:
    """What the sink reported."""

    def __init__(self) -> None:
        self.commits: list[SinkCommit] = []
        self.errors: list[str] = []


def run(
    directory: Path, test: Test, *, told: Told | None = None, factory: Any = uvloop.new_event_loop, **kw: Any
) -> None:
    """Run a test on a started sink, and close it."""
    notes = told or Told()

    async def main() -> None:
        kw.setdefault("wall", lambda: NOON)
        sink = FileSink(
            directory, on_commit=notes.commits.append, on_error=lambda op, _text: notes.errors.append(op), **kw
        )
        sink.start()
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
    """Wait for something that a thread brings about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the thread's doing has no event to wait for
            await asyncio.sleep(0.005)


def data(directory: Path, day: str = DAY) -> bytes:
    return (directory / f"{day}.ndjson").read_bytes()


class FaultyOps(FileOps):
    """Real system calls that fail where a test says so (``fail``: name to errno; ``only``: in paths that hold this).

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
        """Whether the kernel's sync is to wait."""
        return False

    def asked_to_sync(self, fds: Sequence[int]) -> None:
        """The kernel is asked; raises OSError where it is to take nothing."""

    def sync_code(self, fd: int) -> int:
        """What the kernel's sync of it says."""
        try:
            self._check("sync", fd)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def truncate(self, fd: int, size: int) -> None:
        self._check("truncate", fd)
        super().truncate(fd, size)


class FaultyQueue:
    """The kernel's queue, but where a sync is to wait or to fail."""

    def __init__(self, ops: FaultyOps, loop: asyncio.AbstractEventLoop, real: SyncQueue) -> None:
        self._ops = ops
        self._loop = loop
        self._real = real

    def submit(self, fds: Sequence[int], done: SyncDone) -> None:
        if self._ops.holds_sync():
            self._loop.call_later(0.002, self.submit, fds, done)
            return
        self._ops.asked_to_sync(fds)
        codes = [self._ops.sync_code(fd) for fd in fds]
        if any(codes):
            self._loop.call_soon(done, codes)
        else:
            self._real.submit(fds, done)

    def close(self) -> None:
        self._real.close()


class Crash(BaseException):
    """The process dies here."""


class CrashingOps(FileOps):
    """Lets ``budget`` bytes through, then dies: nothing works any more. ``die`` frees what the kernel would."""

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
