"""The system calls of the sink that can fail on a bad disk, in one place so that tests can make them fail."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from logops_fast.errors import LogOpsError
from logops_fast.ingest.sink.kernel_sync import KernelSync, SyncQueue


class StepFailedError(LogOpsError):
    """One step of storing failed; ``operation`` is a short fixed word for metrics."""

    def __init__(self, operation: str, path: Path, error: OSError) -> None:
        super().__init__(f"{operation} {path}: {error.strerror or error}")
        self.operation = operation
        self.rollback: StepFailedError | None = None
        """Set if cutting away what had been written failed as well."""


class FileOps:
    """Real system calls. All but ``kernel_sync`` may block for as long as the disk stalls."""

    __slots__ = ()

    def open(self, path: Path, *, mode: int) -> int:
        """Open a file for appending; it is created with ``mode`` if it does not exist. Raises OSError."""
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        """Append the parts; return the number of bytes taken. Raises OSError."""
        return os.writev(fd, parts)

    def sync(self, fd: int) -> None:
        """Bring the file's data to the disk itself, not only to the drive's cache. Raises OSError."""
        full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: its fsync stops at the drive's cache
        if full is not None:
            fcntl.fcntl(fd, full)
        elif hasattr(os, "fdatasync"):
            os.fdatasync(fd)
        else:
            os.fsync(fd)

    def kernel_sync(self, loop: asyncio.AbstractEventLoop) -> SyncQueue | None:
        """Return a queue of the kernel's for syncs, or None if it offers none."""
        return KernelSync.open(loop)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to ``size`` bytes. Raises OSError."""
        os.ftruncate(fd, size)
