"""Housekeeping in the gateway: at its start and every interval, off the event loop, in one worker only."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logops_fast.files.locks import open_locked
from logops_fast.ingest.housekeeping.archive import Stop
from logops_fast.ingest.housekeeping.retention import Report
from logops_fast.ingest.sink.disk_thread import DiskThread

LEADER_LOCK: Final = ".housekeeping.lock"
RETRY_SECONDS: Final = 30.0  # how soon another worker takes over from one that died

logger = logging.getLogger(__name__)


class Autorun:
    """Runs ``job`` in the worker that holds the lock; the kernel releases the lock of one that dies.

    A thread of its own does all that can wait for a disk, the lock file included. It is a daemon: a disk that hangs
    must not keep the worker from ending, as the threads of the loop's executor would.
    """

    def __init__(
        self,
        directory: Path,
        interval: float,
        job: Callable[[Stop], Report],
        on_report: Callable[[Report], None],
        *,
        retry: float = RETRY_SECONDS,
    ) -> None:
        """``job`` gets a function that returns whether to stop early; ``on_report`` is called on the loop.

        ``interval`` and ``retry`` are in seconds; an interval of 0 means at the start only.
        """
        self._path = directory / LEADER_LOCK
        self._interval = interval
        self._job = job
        self._on_report = on_report
        self._retry = retry
        self._stopping = threading.Event()
        self._fd = -1
        self._task: asyncio.Task[None] | None = None
        self._nap: asyncio.Event = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Autorun {self._path.parent} leading={self.leading}>"

    @property
    def leading(self) -> bool:
        """Whether this worker holds the lock."""
        return self._fd >= 0

    def start(self) -> None:
        """Start on the running loop."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._main(DiskThread(loop, name="housekeeping")))

    async def stop(self) -> None:
        """Stop; a run that is going on ends at its next piece."""
        self._stopping.set()
        self._nap.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _main(self, disk: DiskThread) -> None:
        while not self._stopping.is_set():
            if not self.leading:
                await self._in(disk, self._lead)
            if not self.leading:
                await self._sleep(self._retry)
                continue
            await self._run(disk)
            if self._interval <= 0:
                await self._nap.wait()  # the lock is kept: the restart of another worker is no start of the gateway
                break
            await self._sleep(self._interval)
        await self._in(disk, self._release)
        disk.close()

    async def _run(self, disk: DiskThread) -> None:
        reports: list[Report] = []
        try:
            await self._in(disk, lambda: reports.append(self._job(self._stopping.is_set)))
            self._on_report(reports[0])
        except Exception:
            logger.exception("the housekeeping failed")

    async def _in(self, disk: DiskThread, work: Callable[[], None]) -> None:
        """Do ``work`` in the thread, and wait for it. Raises what it raised."""
        finished: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        def job() -> bool:
            work()
            return True

        def on_finished(error: BaseException | None) -> None:
            if not finished.done():  # the task was cancelled: the worker ends without waiting for the disk
                finished.set_result(error)

        disk.run(job, on_finished)
        error = await finished
        if error is not None:
            raise error

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._nap.wait(), seconds)
        except TimeoutError:
            return

    def _lead(self) -> None:
        """Try to take the lock, in the thread."""
        try:
            fd = open_locked(self._path)
        except OSError:
            return  # the sink reports what is wrong with the directory
        if fd is not None:
            self._fd = fd

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
