from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from logops_fast.ingest.sink.disk_thread import DiskThread


async def outcome(thread: DiskThread, job: Callable[[], None]) -> BaseException | None:
    future: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    thread.run(job, future.set_result)
    return await asyncio.wait_for(future, 20)


def test_jobs_run_one_after_the_other_in_its_own_thread() -> None:
    order: list[tuple[int, str]] = []

    async def main() -> None:
        thread = DiskThread(asyncio.get_running_loop())
        jobs = [outcome(thread, lambda n=n: order.append((n, threading.current_thread().name))) for n in range(5)]  # type: ignore[misc]
        assert await asyncio.gather(*jobs) == [None] * 5
        thread.close()

    asyncio.run(main())
    assert order == [(n, "file-sink") for n in range(5)]


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError(), SystemExit(1), KeyboardInterrupt()])
def test_whatever_a_job_raises_is_told_and_the_thread_lives_on(error: BaseException) -> None:
    def bad() -> None:
        raise error

    async def main() -> None:
        thread = DiskThread(asyncio.get_running_loop())
        assert await outcome(thread, bad) is error
        assert await outcome(thread, lambda: None) is None
        thread.close()

    asyncio.run(main())


def test_a_loop_that_is_closed_ends_the_thread() -> None:
    begun, gate = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        assert gate.wait(10)

    async def main() -> threading.Thread:
        DiskThread(asyncio.get_running_loop()).run(job, pytest.fail)  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, 10)
        return next(thread for thread in threading.enumerate() if thread.name == "file-sink")

    thread = asyncio.run(main())
    gate.set()
    thread.join(10)
    assert not thread.is_alive()
