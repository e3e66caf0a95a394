"""One file that only grows, by whole groups: a group is accepted, or cut away again.

``good`` is the offset up to which everything was accepted. A write that fails leaves the file *dirty*: it is cut
back to ``good`` before anything else may be written to it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from logops_fast.errors import LogOpsError
from logops_fast.files.locks import try_lock
from logops_fast.files.replace import sync_directory
from logops_fast.ingest.sink.day_files import TORN_SUFFIX
from logops_fast.ingest.sink.kernel_sync import KernelSync, SyncQueue

IOV_MAX: Final = 1024  # POSIX's floor is 16; Linux and macOS take 1024 buffers in one writev
COPY_BYTES: Final = 1 << 20
SCAN_BYTES: Final = 1 << 16
# Promtail reads the files through its group; the events may still be personal, so not the world.
DATA_MODE: Final = 0o640


class StepFailedError(LogOpsError):
    """One step of storing failed; ``operation`` is a short fixed word for metrics."""

    def __init__(self, operation: str, path: Path, error: OSError) -> None:
        super().__init__(f"{operation} {path}: {error.strerror or error}")
        self.operation = operation
        self.rollback: StepFailedError | None = None  # where cutting the group away failed as well


class FileOps:
    """The system calls that can fail on a bad disk, in one place so that tests can make them fail."""

    __slots__ = ()

    def open(self, path: Path, *, mode: int) -> int:
        """Open for appending, created if it is not there."""
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)

    def writev(self, fd: int, parts: Sequence[bytes]) -> int:
        """Append the parts; the number of bytes that were taken."""
        return os.writev(fd, parts)

    def sync(self, fd: int) -> None:
        """Bring the file's data to the disk itself, not only to the drive's cache."""
        full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: its fsync stops at the drive's cache
        if full is not None:
            fcntl.fcntl(fd, full)
        elif hasattr(os, "fdatasync"):
            os.fdatasync(fd)
        else:
            os.fsync(fd)

    def kernel_sync(self, loop: asyncio.AbstractEventLoop) -> SyncQueue | None:
        """What syncs without anybody waiting, or None where there is nothing of the kind."""
        return KernelSync.open(loop)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        os.ftruncate(fd, size)


class AppendFile:
    """An append-only file with an exclusive lock and a known good end. Not thread-safe."""

    __slots__ = ("_dirty", "_fd", "_identity", "_lines", "_mode", "_ops", "good", "path")

    def __init__(self, path: Path, *, ops: FileOps, lines: bool = True, mode: int = DATA_MODE) -> None:
        """``lines``: the file must end with a newline."""
        self.path = path
        self.good = 0
        self._lines = lines
        self._mode = mode
        self._ops = ops
        self._fd = -1
        self._identity = (0, 0)
        self._dirty = False

    @property
    def inode(self) -> int:
        """The inode of the open file."""
        return self._identity[1]

    @property
    def fd(self) -> int:
        """The descriptor of the open file."""
        return self._fd

    @property
    def dirty(self) -> bool:
        """Whether something was written that is neither accepted nor cut away."""
        return self._dirty

    @property
    def at_hand(self) -> bool:
        """Whether ``ready`` has nothing to do."""
        return self._fd >= 0 and not self._dirty

    def ready(self) -> None:
        """Open the file, or repair it after a failure; does nothing on a file in order. Raises StepFailedError."""
        if self._dirty:
            self._repair()
        if self._fd < 0:
            self._open()

    def write(self, parts: list[bytes]) -> None:
        """Append ``parts`` beyond ``good``; ``sync`` and ``accept``, or ``rollback``, must follow.

        Raises StepFailedError.
        """
        self._dirty = True
        rest: list[bytes] = parts if len(parts) <= IOV_MAX else [b"".join(parts)]
        try:
            while rest:
                taken = self._ops.writev(self._fd, rest)
                if taken == sum(map(len, rest)):
                    break
                # A short write on a file means trouble; the next one names it (ENOSPC, EFBIG) or goes through.
                if taken == 0:
                    raise OSError(errno.EIO, "the write took no byte")  # noqa: TRY301
                rest = [b"".join(rest)[taken:]]
        except OSError as error:
            raise StepFailedError("write", self.path, error) from error

    def sync(self) -> None:
        """Bring what was written to the disk, and wait for it. Raises StepFailedError."""
        try:
            self._ops.sync(self._fd)
        except OSError as error:
            raise StepFailedError("sync", self.path, error) from error

    def accept(self, size: int) -> None:
        """The ``size`` bytes just written stay."""
        self.good += size
        self._dirty = False

    def rollback(self) -> None:
        """Cut away what was written beyond ``good``. Raises StepFailedError; the file then stays dirty."""
        if self._dirty:
            self._repair()

    def check(self) -> None:
        """Notice that the file was removed, renamed or cut by hand, and follow. Raises StepFailedError."""
        if self._fd < 0 or self._dirty:
            return
        try:
            named = os.stat(self.path)
        except FileNotFoundError:
            named = None
        except OSError as error:
            raise StepFailedError("open", self.path, error) from error
        if named is None or (named.st_dev, named.st_ino) != self._identity:
            self.close(sync=True)
            self._open()
        elif named.st_size != self.good:
            if named.st_size > self.good and self._lines:
                cut_torn_tail(self.path, self._fd)
            self.good = os.fstat(self._fd).st_size

    def close(self, *, sync: bool) -> None:
        """Sync if asked to, and close; a dirty file is repaired first.

        Raises StepFailedError: if the repair failed the file stays open, if the sync failed it is closed.
        """
        self.rollback()
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if sync:
                self._ops.sync(fd)
        except OSError as error:
            raise StepFailedError("sync", self.path, error) from error
        finally:
            os.close(fd)

    def _open(self) -> None:
        try:
            created = not self.path.exists()
            if created:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = self._ops.open(self.path, mode=self._mode)
            try:
                if not try_lock(fd):
                    raise OSError(errno.EAGAIN, "another process has it locked")  # noqa: TRY301
                if created:
                    sync_directory(self.path.parent)
                elif self._lines:
                    cut_torn_tail(self.path, fd)
                status = os.fstat(fd)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise StepFailedError("open", self.path, error) from error
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self.good = status.st_size

    def _repair(self) -> None:
        if self._fd < 0:
            self._dirty = False
            return
        try:
            size = os.fstat(self._fd).st_size
            if size > self.good:
                self._ops.truncate(self._fd, self.good)
            self.good = min(self.good, size)  # cut by hand meanwhile: ftruncate would fill the gap with NULs
            self._ops.sync(self._fd)
        except OSError as error:
            raise StepFailedError("truncate", self.path, error) from error
        expected, identity = self.good, self._identity
        os.close(self._fd)
        self._fd = -1
        self._dirty = False
        # After a failed sync the kernel may have dropped the pages and called them clean: trust a fresh look only.
        self._open()
        if self._identity == identity and self.good != expected:
            self._dirty, self.good = True, min(self.good, expected)
            wrong = OSError(errno.EIO, f"the file did not stay cut to {expected} bytes")
            raise StepFailedError("truncate", self.path, wrong)


def cut_torn_tail(path: Path, fd: int) -> int:
    """Move what stands behind the last newline to ``<file>.torn``; the number of bytes moved."""
    size = os.fstat(fd).st_size
    end = size
    while end > 0:
        start = max(0, end - SCAN_BYTES)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    return move_tail(path, fd, end)


def move_tail(path: Path, fd: int, start: int) -> int:
    """Move everything from ``start`` on to ``<file>.torn``, durably and before it is cut; the bytes moved.

    A crash between the two leaves the tail in both places, and the next start moves it again.
    """
    size = os.fstat(fd).st_size
    if size <= start:
        return 0
    torn = path.with_name(path.name + TORN_SUFFIX)
    with open(torn, "ab", opener=lambda name, flags: os.open(name, flags, DATA_MODE)) as out:
        offset, last = start, b"\n"
        while offset < size and (piece := os.pread(fd, min(COPY_BYTES, size - offset), offset)):
            out.write(piece)
            offset += len(piece)
            last = piece[-1:]
        if last != b"\n":
            out.write(b"\n")  # keeps one torn line apart from the next
        out.flush()
        os.fsync(out.fileno())
    sync_directory(path.parent)
    os.ftruncate(fd, start)
    os.fsync(fd)
    return size - start
