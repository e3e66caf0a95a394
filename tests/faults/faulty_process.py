"""The real command with a disk that can fail and a clock that can be stepped, controlled by a mapped file.

``python faulty_process.py <command> …``; LOGOPS_TEST_CONTROL names the file: clock offset in seconds (float64),
then the disk's fault (uint64, one of DISK).
"""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CONTROL = struct.Struct("<dQ")
DISK = (
    "none",
    "write_eio",
    "write_short",
    "sync_eio",
    "sync_and_truncate_eio",
    "sync_slow",
    "open_eio",
    "queue_eio",
    "queue_busy",
    "journal_eio",
)
VARIABLE = "LOGOPS_TEST_CONTROL"
SLOW = 0.7  # s that a slow sync takes


class Control:
    """The mapped file, as the test writes it and the gateway reads it."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(CONTROL.pack(0.0, 0))
        with path.open("r+b") as file:
            view = memoryview(mmap.mmap(file.fileno(), CONTROL.size))
        # One store for each value: pack_into clears all bytes first, and another process that reads its clock at that
        # moment would see the real time.
        self._offset, self._disk = view[:8].cast("d"), view[8:].cast("Q")

    @property
    def offset(self) -> float:
        return self._offset[0]

    @property
    def disk(self) -> str:
        return DISK[self._disk[0]]

    def set(self, *, offset: float = 0.0, disk: str = "none") -> None:
        self._offset[0], self._disk[0] = offset, DISK.index(disk)


def install(control: Control) -> None:
    """Replace the clock and the sink's system calls, before anything has taken a reference to them."""
    real_time, real_time_ns = time.time, time.time_ns
    time.time = lambda: real_time() + control.offset
    time.time_ns = lambda: real_time_ns() + int(control.offset * 1e9)

    from logops_fast.ingest.sink import file_ops, file_sink, group_writer, recovery
    from logops_fast.ingest.sink.kernel_sync import OnSynced, SyncQueue

    class FaultyQueue:
        """Leaves syncs that are to fail or to take long to the thread, where ``sync`` makes them do so."""

        def __init__(self, real: SyncQueue, loop: asyncio.AbstractEventLoop) -> None:
            self._real = real
            self._loop = loop

        def submit(self, fds: Sequence[int], on_synced: OnSynced) -> None:
            if control.disk.startswith("sync") or control.disk == "queue_busy":
                raise OSError(errno.EAGAIN, "injected: not taken")
            if control.disk == "queue_eio":
                self._loop.call_soon_threadsafe(on_synced, [0] * (len(fds) - 1) + [errno.EIO])
                return
            self._real.submit(fds, on_synced)

        def close(self) -> None:
            self._real.close()

    class FaultyOps(file_ops.FileOps):
        __slots__ = ("journals",)

        def __init__(self) -> None:
            self.journals: set[int] = set()

        def open(self, path: Path, *, mode: int) -> int:
            if control.disk == "open_eio":
                raise OSError(errno.EIO, "injected: open")
            fd = super().open(path, mode=mode)
            (self.journals.add if path.suffix == ".log" else self.journals.discard)(fd)
            return fd

        def writev(self, fd: int, parts: Sequence[bytes]) -> int:
            if control.disk == "write_eio" or (control.disk == "journal_eio" and fd in self.journals):
                raise OSError(errno.EIO, "injected: write")
            if control.disk == "write_short":
                whole = b"".join(parts)
                if len(whole) < 2:
                    raise OSError(errno.ENOSPC, "injected: disk full")
                return os.write(fd, whole[: len(whole) // 2])
            return super().writev(fd, parts)

        def sync(self, fd: int) -> None:
            if control.disk in ("sync_eio", "sync_and_truncate_eio"):
                raise OSError(errno.EIO, "injected: sync")
            if control.disk == "sync_slow":
                time.sleep(SLOW)
            super().sync(fd)

        def kernel_sync(self, loop: asyncio.AbstractEventLoop) -> SyncQueue | None:
            queue = super().kernel_sync(loop)
            return None if queue is None else FaultyQueue(queue, loop)

        def truncate(self, fd: int, size: int) -> None:
            if control.disk == "sync_and_truncate_eio":
                raise OSError(errno.EIO, "injected: truncate")
            super().truncate(fd, size)

    for module in (file_sink, group_writer, recovery):  # what the sink uses unless it is given another
        module.FileOps = FaultyOps  # type: ignore[attr-defined]


if __name__ == "__main__":
    install(Control(Path(os.environ[VARIABLE])))
    from logops_fast.cli.main import main

    sys.exit(main())
