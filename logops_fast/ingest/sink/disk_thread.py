"""A thread for calls that wait for the disk, so that the loop does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["DiskThread", "Job", "OnFinished"]

Job = Callable[[], bool]
"""Returns whether it is finished; if not, the kernel carries on and reports the end itself."""
OnFinished = Callable[[BaseException | None], None]


class DiskThread:
    """Carries out one job after the other. A daemon: a disk that hangs must not keep a process from ending."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, name: str = "file-sink") -> None:
        self._loop = loop
        self._jobs: SimpleQueue[tuple[Job, OnFinished] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def run(self, job: Job, on_finished: OnFinished) -> None:
        """Call ``job`` in the thread; once it is finished or raised, ``on_finished`` on the loop with the error."""
        self._jobs.put((job, on_finished))

    def close(self) -> None:
        """End the thread after the jobs it has been given."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            job, on_finished = given
            failure: BaseException | None = None
            finished = True
            try:
                finished = job()
            except BaseException as error:  # whatever it is, the batches of the job must be answered
                failure = error
            if finished:
                try:
                    self._loop.call_soon_threadsafe(on_finished, failure)
                except RuntimeError:
                    return  # the loop is closed: the process is ending
            del given, job, on_finished, failure
