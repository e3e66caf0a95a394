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

LEADER_LOCK: Final = ".housekeeping.lock"
RETRY_SECONDS: Final = 30.0  # how soon another worker takes over from one that died

logger = logging.getLogger(__name__)


class Autorun:
    """Runs ``job`` in a thread, in whichever worker holds the lock; the kernel frees the lock of one that dies."""

    def __init__(
        self,
        directory: Path,
        interval: float,
        job: Callable[[Stop], Report],
        on_report: Callable[[Report], None],
        *,
        retry: float = RETRY_SECONDS,
    ) -> None:
        """``job`` gets a function to ask whether to stop early; ``on_report`` is called on the loop.

        ``interval`` is in seconds; 0 means at the start only.
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

    @property
    def leading(self) -> bool:
        """Whether this worker is the one that does it."""
        return self._fd >= 0

    def start(self) -> None:
        """Start on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._main())

    async def stop(self) -> None:
        """Stop; a run that is going on ends at its next piece."""
        self._stopping.set()
        self._nap.set()
        if self._task is not None:
            await self._task
            self._task = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def _main(self) -> None:
        while not self._stopping.is_set():
            if not self._lead():
                await self._sleep(self._retry)
                continue
            await self._run()
            if self._interval <= 0:
                await self._nap.wait()  # the lock is kept: another worker's start is not the gateway's
                return
            await self._sleep(self._interval)

    async def _run(self) -> None:
        try:
            report = await asyncio.get_running_loop().run_in_executor(None, self._job, self._stopping.is_set)
            self._on_report(report)
        except Exception:
            logger.exception("the housekeeping failed")

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._nap.wait(), seconds)
        except TimeoutError:
            return

    def _lead(self) -> bool:
        if self._fd >= 0:
            return True
        try:
            fd = open_locked(self._path)
        except OSError:
            return False  # the sink reports what is wrong with the directory
        if fd is None:
            return False
        self._fd = fd
        return True
