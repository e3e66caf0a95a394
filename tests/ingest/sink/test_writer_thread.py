from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError
from logops_fast.ingest.sink.group_writer import Group
from logops_fast.ingest.sink.kernel_sync import OnSynced
from logops_fast.ingest.sink.opening import SinkStartError, open_writer
from logops_fast.ingest.sink.writer_thread import WriterThread
from tests.ingest.sink.support import DAY, NOON, FaultyOps, data


class Queue:
    """A queue for the kernel's syncs that ends each with a code; with None it takes none."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.loop = asyncio.get_running_loop()
        self.closed = False

    def submit(self, fds: Sequence[int], on_synced: OnSynced) -> None:
        if self.code is None:
            raise OSError(errno.EAGAIN, "no room")
        self.loop.call_soon_threadsafe(on_synced, [0] * (len(fds) - 1) + [self.code])

    def close(self) -> None:
        self.closed = True


def opener(directory: Path, ops: FileOps) -> Any:
    return partial(open_writer, directory, durable=True, worker=0, workers=1, wall=lambda: NOON, ops=ops)


async def end_of(begin: Callable[..., None], *args: Any, **options: Any) -> BaseException | None:
    """Begin something and wait for its end."""
    future: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    begin(*args, future.set_result, **options)
    return await asyncio.wait_for(future, 20)


async def store(writer: WriterThread, lines: bytes, steps: list[str]) -> BaseException | None:
    """Store a group; ``steps`` gets what was called, and in which thread the lines were written."""
    group = Group(DAY)
    group.add(lines, b"", None)
    future: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def ended(name: str, error: BaseException | None) -> None:
        steps.append(name)
        future.set_result(error)

    writer.store(
        group,
        on_written=lambda: steps.append(f"written in {threading.current_thread().name}"),
        on_stored=partial(ended, "stored"),
        on_unsynced=partial(ended, "unsynced"),
    )
    error = await asyncio.wait_for(future, 20)
    if steps[-1] == "unsynced":
        assert await end_of(writer.abandon, group) is None
    elif error is None:
        writer.accept()
    return error


def run(directory: Path, test: Callable[[WriterThread], Coroutine[Any, Any, None]], ops: FileOps | None = None) -> None:
    async def main() -> None:
        writer = WriterThread(asyncio.get_running_loop())
        assert await end_of(writer.open, opener(directory, ops or FileOps()), probe=False) is None
        try:
            await test(writer)
        finally:
            assert await end_of(writer.close) is None
            writer.end()

    asyncio.run(main())


@pytest.mark.parametrize("code", [0, None], ids=["kernel", "no room"])
def test_a_group_is_written_in_the_thread_and_synced(tmp_path: Path, code: int | None) -> None:
    async def test(writer: WriterThread) -> None:
        assert not writer.has_kernel_sync
        queue = Queue(code)
        writer.sync_by(queue)
        assert writer.has_kernel_sync
        steps: list[str] = []
        assert await store(writer, b"a\n", steps) is None
        assert steps == ["written in file-sink", "stored"]

    run(tmp_path, test)
    assert data(tmp_path) == b"a\n"


def test_a_group_that_the_kernel_could_not_sync_is_the_callers_to_abandon(tmp_path: Path) -> None:
    async def test(writer: WriterThread) -> None:
        queue = Queue(errno.EIO)
        writer.sync_by(queue)
        steps: list[str] = []
        error = await store(writer, b"a\n", steps)
        assert isinstance(error, StepFailedError)
        assert (error.operation, steps) == ("sync", ["written in file-sink", "unsynced"])
        queue.code = 0
        assert await store(writer, b"b\n", steps) is None

    run(tmp_path, test)
    assert data(tmp_path) == b"b\n"


def test_of_a_group_that_could_not_be_written_nothing_is_left(tmp_path: Path) -> None:
    ops = FaultyOps()

    async def test(writer: WriterThread) -> None:
        ops.fail, ops.short = {"write": errno.ENOSPC}, 1
        steps: list[str] = []
        error = await store(writer, b"a\n", steps)
        assert isinstance(error, StepFailedError)
        assert (error.operation, steps) == ("write", ["stored"])
        assert isinstance(await end_of(writer.probe), StepFailedError)
        ops.fail = {}
        assert await end_of(writer.probe) is None
        assert await store(writer, b"b\n", steps) is None

    run(tmp_path, test, ops)
    assert data(tmp_path) == b"b\n"


def test_opening_reports_what_it_found(tmp_path: Path) -> None:
    ops = FaultyOps()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ops.fail = {"write": errno.ENOSPC}
        writer = WriterThread(loop)
        assert await end_of(writer.open, opener(tmp_path, ops), probe=True) is None
        assert writer.probe_failure is not None
        assert writer.report is not None
        second = WriterThread(loop)
        assert isinstance(await end_of(second.open, opener(tmp_path, FileOps()), probe=True), SinkStartError)
        second.end()
        queue = Queue(0)
        writer.sync_by(queue)
        assert await end_of(writer.close) is None
        writer.end()
        assert queue.closed
        third = WriterThread(loop)  # the lock is free
        assert await end_of(third.open, opener(tmp_path, FileOps()), probe=True) is None
        assert third.probe_failure is None
        assert await end_of(third.close) is None
        third.end()

    asyncio.run(main())
