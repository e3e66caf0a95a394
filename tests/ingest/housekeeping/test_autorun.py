from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from logops_fast.ingest.housekeeping.archive import Stop
from logops_fast.ingest.housekeeping.autorun import Autorun
from logops_fast.ingest.housekeeping.retention import Report
from tests.ingest.sink.support import until


class Job:
    def __init__(self) -> None:
        self.runs = 0
        self.threads: set[str] = set()

    def __call__(self, stop: Stop) -> Report:
        self.runs += 1
        self.threads.add(threading.current_thread().name)
        return Report(dry_run=False)


def test_it_runs_at_the_start_and_every_interval_off_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        job = Job()
        reports: list[Report] = []
        autorun = Autorun(tmp_path, 0.01, job, reports.append)
        autorun.start()
        await until(lambda: job.runs >= 3)
        await autorun.stop()
        assert threading.current_thread().name not in job.threads
        assert len(reports) == job.runs

    asyncio.run(main())


def test_an_interval_of_zero_means_once(tmp_path: Path) -> None:
    async def main() -> None:
        job = Job()
        reports: list[Report] = []
        autorun = Autorun(tmp_path, 0, job, reports.append)
        autorun.start()
        await until(lambda: reports)
        assert autorun.leading
        assert "leading=True" in repr(autorun)
        await autorun.stop()
        assert job.runs == 1

    asyncio.run(main())


def test_one_worker_does_it_and_another_takes_over(tmp_path: Path) -> None:
    async def main() -> None:
        jobs = [Job(), Job()]
        runs = [Autorun(tmp_path, 0.01, job, lambda _r: None, retry=0.01) for job in jobs]
        runs[0].start()
        await until(lambda: jobs[0].runs)
        runs[1].start()
        seen = jobs[0].runs
        await until(lambda: jobs[0].runs > seen + 2)
        assert jobs[1].runs == 0
        await runs[0].stop()
        await until(lambda: jobs[1].runs)
        await runs[1].stop()

    asyncio.run(main())


def test_a_long_run_is_stopped_at_its_next_piece(tmp_path: Path) -> None:
    async def main() -> None:
        started = threading.Event()

        def job(stop: Stop) -> Report:
            started.set()
            while not stop():
                pass
            return Report(dry_run=False)

        autorun = Autorun(tmp_path, 60, job, lambda _r: None)
        autorun.start()
        await until(started.is_set)
        async with asyncio.timeout(60):
            await autorun.stop()

    asyncio.run(main())


def test_a_disk_that_stalls_holds_neither_the_loop_nor_the_end_of_the_process(tmp_path: Path) -> None:
    gate, started = threading.Event(), threading.Event()

    def job(stop: Stop) -> Report:
        started.set()
        gate.wait(60)
        return Report(dry_run=False)

    async def main() -> None:
        autorun = Autorun(tmp_path, 60, job, lambda _r: None)
        autorun.start()
        await until(started.is_set)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(autorun.stop(), 0.01)

    asyncio.run(main())  # would wait for a thread of the loop's executor
    assert not gate.is_set()
    gate.set()


def test_a_lock_file_that_stalls_does_not_hold_the_loop(tmp_path: Path) -> None:
    entered, gate = threading.Event(), threading.Event()

    class Slow(Autorun):
        def _lead(self) -> None:
            entered.set()
            gate.wait(60)
            super()._lead()

    async def main() -> None:
        job = Job()
        autorun = Slow(tmp_path, 60, job, lambda _r: None)
        autorun.start()
        await until(entered.is_set)
        assert not autorun.leading
        gate.set()
        await until(lambda: job.runs)
        await autorun.stop()
        assert not autorun.leading

    asyncio.run(main())


def test_a_directory_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        job = Job()
        autorun = Autorun(tmp_path / "later", 60, job, lambda _r: None, retry=0.01)
        autorun.start()
        await asyncio.sleep(0)
        assert not autorun.leading
        (tmp_path / "later").mkdir()
        await until(lambda: job.runs)
        await autorun.stop()

    asyncio.run(main())


def test_a_run_that_raises_does_not_end_the_service(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        calls = 0

        def job(stop: Stop) -> Report:
            nonlocal calls
            calls += 1
            raise RuntimeError("defect")

        autorun = Autorun(tmp_path, 0.01, job, lambda _r: None)
        autorun.start()
        await until(lambda: calls >= 2)
        await autorun.stop()

    asyncio.run(main())
    assert "the housekeeping failed" in caplog.text


def test_stopping_what_never_started(tmp_path: Path) -> None:
    asyncio.run(Autorun(tmp_path, 1, Job(), lambda _r: None).stop())
