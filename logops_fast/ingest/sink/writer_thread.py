"""The group writer in a thread of its own, and the kernel's syncs: all that may wait for a disk.

Every method returns at once. What it begins is done in order, and its end is reported on the loop. Nothing of the sink
that is used on the loop is touched in the thread, but for ``on_written``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from logops_fast.ingest.sink.disk_thread import DiskThread, Job, OnFinished
from logops_fast.ingest.sink.file_ops import StepFailedError
from logops_fast.ingest.sink.group_writer import Group, GroupWriter
from logops_fast.ingest.sink.kernel_sync import SyncQueue
from logops_fast.ingest.sink.recovery import RecoveryReport

Opener = Callable[[], tuple[GroupWriter, RecoveryReport]]


class WriterThread:
    """Has a GroupWriter work in a DiskThread. ``open`` it first, and await its end."""

    __slots__ = ("_jobs", "_queue", "_writer", "probe_failure", "report")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._jobs = DiskThread(loop)
        self._writer: GroupWriter | None = None
        self._queue: SyncQueue | None = None
        self.report: RecoveryReport | None = None
        """What the opening found and repaired."""
        self.probe_failure: StepFailedError | None = None
        """Why the disk took no write when it was opened."""

    @property
    def has_kernel_sync(self) -> bool:
        """Whether the kernel syncs, and not the thread."""
        return self._queue is not None

    def open(self, opener: Opener, on_opened: OnFinished, *, probe: bool) -> None:
        """Open the files; ``probe``: write to the disk as well, see ``probe_failure``."""

        def job() -> bool:
            self._writer, self.report = opener()
            if probe:
                try:
                    self._writer.probe()
                except StepFailedError as failure:
                    self.probe_failure = failure
            return True

        self._jobs.run(job, on_opened)

    def sync_by(self, queue: SyncQueue | None) -> None:
        """Have the kernel sync from now on, if it offers a queue for it."""
        self._queue = queue

    def store(
        self, group: Group, *, on_written: Callable[[], None], on_stored: OnFinished, on_unsynced: OnFinished
    ) -> None:
        """Write a group and have it synced.

        ``on_written`` is called in the thread before the sync. Then, on the loop, either ``on_unsynced``: the kernel's
        sync failed, and the group is to be abandoned; or ``on_stored``, with an error if nothing of the group is left.
        """
        synced = partial(self._synced, on_stored, on_unsynced)

        def job() -> bool:
            writer, queue = self._files(), self._queue
            to_sync = writer.write(group)
            on_written()
            if queue is not None and to_sync:
                try:
                    queue.submit(to_sync, synced)
                except OSError:  # no room for a request: this thread syncs
                    pass
                else:
                    return False
            writer.sync(group)
            return True

        self._jobs.run(job, on_stored)

    def _synced(self, on_stored: OnFinished, on_unsynced: OnFinished, codes: list[int]) -> None:
        for position, code in enumerate(codes):
            if code:
                on_unsynced(self._files().sync_failed(position, code))
                return
        on_stored(None)

    def abandon(self, group: Group, on_finished: OnFinished) -> None:
        """Cut away what was written of a group."""
        self._jobs.run(_whole(partial(self._files().abandon, group)), on_finished)

    def accept(self) -> None:
        """Note that the last group counts. Touches no disk, and is called between two jobs."""
        self._files().accept()

    def publish(self, on_finished: OnFinished) -> None:
        """Publish the marks of what was accepted."""
        self._jobs.run(_whole(self._files().publish), on_finished)

    def tidy(self, on_finished: OnFinished) -> None:
        """Do what is due while nothing is stored."""
        self._jobs.run(_whole(self._files().idle), on_finished)

    def probe(self, on_finished: OnFinished) -> None:
        """Try whether the disk takes a write."""
        self._jobs.run(_whole(self._files().probe), on_finished)

    def close(self, on_finished: OnFinished) -> None:
        """Close the files and release the lock, after what was begun."""
        if self._queue is not None:
            self._queue.close()
        self._jobs.run(_whole(self._files().close), on_finished)

    def end(self) -> None:
        """End the thread after what was begun."""
        self._jobs.close()

    def _files(self) -> GroupWriter:
        assert self._writer is not None, "open() comes first"  # noqa: S101
        return self._writer


def _whole(work: Callable[[], None]) -> Job:
    """Return a job that is finished once ``work`` is."""

    def job() -> bool:
        work()
        return True

    return job
