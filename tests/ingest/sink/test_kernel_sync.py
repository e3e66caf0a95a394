"""Syncs by the kernel, on real files."""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from logops_fast.ingest.sink.kernel_sync import KernelSync

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a queue")


async def synced(queue: KernelSync, fds: Sequence[int]) -> list[int]:
    future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    queue.submit(fds, future.set_result)
    return await asyncio.wait_for(future, 20)


def run(test: Callable[[KernelSync], Awaitable[None]], factory: Any = uvloop.new_event_loop) -> None:
    async def main() -> None:
        queue = KernelSync(asyncio.get_running_loop())
        try:
            await test(queue)
        finally:
            queue.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_files_are_synced_one_or_two_at_a_time(tmp_path: Path, factory: Any) -> None:
    async def test(queue: KernelSync) -> None:
        with (tmp_path / "a").open("wb") as a, (tmp_path / "b").open("wb") as b:
            for n in range(50):
                a.write(b"%d\n" % n)
                a.flush()
                assert await synced(queue, [a.fileno()]) == [0]
                assert await synced(queue, [b.fileno(), a.fileno()]) == [0, 0]

    run(test, factory)


def test_the_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    async def test(queue: KernelSync) -> None:
        with (tmp_path / "a").open("wb") as file:
            file.write(bytes(32 << 20))
            file.flush()
            request = asyncio.ensure_future(synced(queue, [file.fileno()]))
            turns = 0
            while not request.done():
                await asyncio.sleep(0)
                turns += 1
            assert request.result() == [0]
            assert turns > 2

    run(test)


def test_what_cannot_be_synced_is_refused_and_the_queue_stays_good(tmp_path: Path) -> None:
    read, write = os.pipe()

    async def test(queue: KernelSync) -> None:
        with pytest.raises(OSError, match="Invalid argument"):
            queue.submit([write], pytest.fail)  # type: ignore[arg-type]
        with pytest.raises(OSError, match="Bad file descriptor"):
            queue.submit([999_999], pytest.fail)  # type: ignore[arg-type]
        with (tmp_path / "a").open("wb") as file:
            assert await synced(queue, [file.fileno(), write]) == [0, errno.EAGAIN], (
                "the first is taken, the second not"
            )
            assert await synced(queue, [file.fileno()]) == [0]

    run(test)
    os.close(read)
    os.close(write)


def test_nothing_is_left_open() -> None:
    async def test(_queue: KernelSync) -> None:
        return None

    run(test)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        run(test)
    assert len(os.listdir("/proc/self/fd")) == before


def test_another_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")

    async def main() -> None:
        assert KernelSync.open(asyncio.get_running_loop()) is None

    asyncio.run(main())


def test_a_kernel_that_gives_none_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_args: int) -> int:
        raise OSError(errno.EPERM, "not allowed")

    monkeypatch.setattr(os, "eventfd", denied)

    async def main() -> None:
        assert KernelSync.open(asyncio.get_running_loop()) is None

    asyncio.run(main())


def test_an_event_that_was_read_already_is_ignored() -> None:
    async def test(queue: KernelSync) -> None:
        queue._ready()

    run(test)
