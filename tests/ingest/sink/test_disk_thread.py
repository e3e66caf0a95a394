from __future__ import annotations

import asyncio
import threading

import pytest

from logops_fast.ingest.sink.disk_thread import DiskThread, Job
from tests.support.tables import each_of


async def outcome(thread: DiskThread, job: Job) -> BaseException | None:
    future: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    thread.run(job, future.set_result)
    return await asyncio.wait_for(future, 20)


def test_jobs_run_one_after_the_other_in_its_own_thread() -> None:
    order: list[tuple[int, str]] = []

    def numbered(number: int) -> Job:
        def job() -> bool:
            order.append((number, threading.current_thread().name))
            return True

        return job

    async def main() -> None:
        thread = DiskThread(asyncio.get_running_loop())
        assert await asyncio.gather(*(outcome(thread, numbered(n)) for n in range(5))) == [None] * 5
        thread.close()

    asyncio.run(main())
    assert order == [(n, "file-sink") for n in range(5)]


def test_a_job_that_the_kernel_carries_on_is_not_reported_by_the_thread() -> None:
    reported: list[str] = []

    async def main() -> None:
        thread = DiskThread(asyncio.get_running_loop())
        thread.run(lambda: False, lambda _error: reported.append("unfinished"))
        assert await outcome(thread, lambda: True) is None
        thread.close()

    asyncio.run(main())
    assert reported == []


@each_of("error", [OSError("disk"), MemoryError(), SystemExit(1), KeyboardInterrupt()])
def test_whatever_a_job_raises_is_reported_and_the_thread_goes_on(error: BaseException) -> None:
    def bad() -> bool:
        raise error

    async def main() -> None:
        thread = DiskThread(asyncio.get_running_loop())
        assert await outcome(thread, bad) is error
        assert await outcome(thread, lambda: True) is None
        thread.close()

    asyncio.run(main())


def test_a_closed_loop_ends_the_thread() -> None:
    begun, gate = threading.Event(), threading.Event()

    def job() -> bool:
        begun.set()
        return gate.wait(20)

    async def main() -> threading.Thread:
        before = set(threading.enumerate())
        DiskThread(asyncio.get_running_loop()).run(job, pytest.fail)  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, 20)
        return next(thread for thread in set(threading.enumerate()) - before if thread.name == "file-sink")

    thread = asyncio.run(main())
    gate.set()
    thread.join(20)
    assert not thread.is_alive()
