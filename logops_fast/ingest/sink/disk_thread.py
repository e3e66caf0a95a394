"""A thread for calls that wait for the disk, so that the loop does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["DiskThread"]

Job = Callable[[], None]
Done = Callable[[BaseException | None], None]


class DiskThread:
    """Carries out one job after the other. A daemon: a disk that hangs must not keep a process from its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[tuple[Job, Done] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="file-sink", daemon=True).start()

    def run(self, job: Job, done: Done) -> None:
        """Call ``job`` there, then ``done`` on the loop with what it raised, or None."""
        self._jobs.put((job, done))

    def close(self) -> None:
        """End the thread after what it has been given."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            job, done = given
            failed: BaseException | None = None
            try:
                job()
            except BaseException as error:  # whatever it is, somebody waits for the answer
                failed = error
            try:
                self._loop.call_soon_threadsafe(done, failed)
            except RuntimeError:
                return  # the loop is closed: nobody is left to be told
            del given, job, done, failed
