"""One file that only grows, by whole groups: a group is accepted, or cut away again.

``good`` is the offset up to which everything was accepted. A write that fails leaves the file *dirty*: it is cut
back to ``good`` before anything else may be written to it. Other programs may rename, remove or truncate the file at
any time (log rotation); the file follows them, and never takes their changes for its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from logops_fast.files.locks import try_lock
from logops_fast.files.replace import sync_directory
from logops_fast.ingest.sink.day_files import TORN_SUFFIX
from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError

IOV_MAX: Final = 1024  # POSIX's floor is 16; Linux and macOS take 1024 buffers in one writev
WHOLE_BYTES: Final = 4 << 20
"""Bytes up to which all is written at once: then no other program's change can fall between two writes."""
WRITE_BYTES: Final = 1 << 20
"""Most bytes of each write of more than that, unless a line is longer.

For a larger one Linux takes pages of several MiB into the cache, which a virtual machine may have to get from its host
first: 20 MB at once took 50 ms, in pieces 6, and small batches waited for it.
"""
COPY_BYTES: Final = 1 << 20
SCAN_BYTES: Final = 1 << 16
# Promtail reads the files through its group; the events may still be personal, so not the world.
DATA_MODE: Final = 0o640


class EndMovedError(StepFailedError):
    """Another program changed the size of the file; the same write may succeed after a rollback."""


class AppendFile:
    """An append-only file with an exclusive lock and a known good end. Not thread-safe."""

    __slots__ = ("_dirty", "_fd", "_identity", "_lines", "_mode", "_ops", "_starts", "good", "path")

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
        self._starts: list[int] = []  # where each piece of an unfinished write began

    def __repr__(self) -> str:
        state = "closed" if self._fd < 0 else "dirty" if self._dirty else "good"
        return f"<AppendFile {self.path} fd={self._fd} good={self.good} {state}>"

    @property
    def inode(self) -> int:
        """The inode of the open file."""
        return self._identity[1]

    @property
    def fd(self) -> int:
        """The descriptor of the open file; negative while it is closed."""
        return self._fd

    @property
    def dirty(self) -> bool:
        """Whether something was written that is neither accepted nor cut away."""
        return self._dirty

    def ready(self) -> None:
        """Open the file, or repair it after a failure. Raises StepFailedError."""
        if self._dirty:
            self._repair()
        if self._fd < 0:
            self._open()

    def write(self, parts: list[bytes]) -> None:
        """Append ``parts`` beyond ``good``; ``sync`` and ``accept``, or ``rollback``, must follow.

        Raises EndMovedError if another program changed the file's size meanwhile, else StepFailedError.
        """
        self._dirty = True
        self._starts = []
        end = self.good
        try:
            for piece in _pieces(parts):
                end = self._append(piece, end)
        except OSError as error:
            raise StepFailedError("write", self.path, error) from error

    def _append(self, piece: list[bytes], end: int) -> int:
        """Write a piece where the file should end, and return where it then ends. Raises EndMovedError, OSError."""
        rest = piece
        while rest:
            taken = self._ops.writev(self._fd, rest)
            # A short write on a file means trouble; the next one names it (ENOSPC, EFBIG) or goes through.
            if taken == 0:
                raise OSError(errno.EIO, "the write took no byte")
            end += taken
            # O_APPEND writes to the end of the file, which is elsewhere if another program has changed its size.
            position = os.lseek(self._fd, 0, os.SEEK_CUR)
            self._starts.append(position - taken)
            if position != end:
                changed = OSError(errno.EIO, "another program changed its size")
                raise EndMovedError("write", self.path, changed)
            if taken == sum(map(len, rest)):
                break
            rest = [b"".join(rest)[taken:]]
        return end

    def sync(self) -> None:
        """Bring what was written to the disk, and wait for it. Raises StepFailedError."""
        try:
            self._ops.sync(self._fd)
        except OSError as error:
            raise StepFailedError("sync", self.path, error) from error

    def accept(self, size: int) -> None:
        """Keep the ``size`` bytes just written."""
        self.good += size
        self._dirty = False

    def rollback(self) -> None:
        """Cut away what was written beyond ``good``. Raises StepFailedError; the file then stays dirty."""
        if self._dirty:
            self._repair()

    def check(self) -> None:
        """Follow what another program appended or cut off. Raises StepFailedError."""
        if self._fd >= 0 and not self._dirty and (size := self.size()) != self.good:
            try:
                if size > 0 and self._lines:
                    cut_torn_tail(self.path, self._fd)
            except OSError as error:
                raise StepFailedError("open", self.path, error) from error
            self.good = self.size()

    def size(self) -> int:
        """Return the size of the open file in bytes. Raises StepFailedError."""
        try:
            return os.fstat(self._fd).st_size
        except OSError as error:
            raise StepFailedError("open", self.path, error) from error

    def named(self) -> bool:
        """Return whether the path still leads to the open file. Raises StepFailedError."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StepFailedError("open", self.path, error) from error
        return (found.st_dev, found.st_ino) == self._identity

    def close(self, *, sync: bool) -> None:
        """Close the file, synced if ``sync``; a dirty file is repaired first.

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

    def _open(self) -> int:
        """Open and lock the file, and move a torn last line away; return the size that was found."""
        try:
            created = not self.path.exists()
            if created:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = self._ops.open(self.path, mode=self._mode)
            try:
                if not try_lock(fd):
                    raise OSError(errno.EAGAIN, "another process has it locked")  # noqa: TRY301
                found = os.fstat(fd).st_size
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
        return found

    def _repair(self) -> None:
        if self._fd < 0:
            self._dirty = False
            return
        try:
            size = os.fstat(self._fd).st_size
            # Where our pieces begin, which is not ``good`` if another program changed the size. Never beyond the end:
            # ftruncate would fill the gap with NULs.
            expected = min(size, *self._starts) if self._starts else size
            if size > expected:
                self._ops.truncate(self._fd, expected)
            self.good = expected
            self._ops.sync(self._fd)
        except OSError as error:
            raise StepFailedError("truncate", self.path, error) from error
        identity = self._identity
        os.close(self._fd)
        self._fd = -1
        self._dirty = False
        self._starts = []
        # After a failed sync the kernel may have dropped the pages and called them clean: trust a fresh look only.
        found = self._open()
        if self._identity == identity and found != expected:
            self._dirty, self.good, self._starts = True, min(self.good, expected), [expected]
            wrong = OSError(errno.EIO, f"the file did not stay cut to {expected} bytes")
            raise StepFailedError("truncate", self.path, wrong)


def _pieces(parts: list[bytes]) -> Iterator[list[bytes]]:
    """Divide what is to be appended into writes: one, or many of WRITE_BYTES at most, each of whole lines."""
    if sum(map(len, parts)) <= WHOLE_BYTES:
        yield parts if len(parts) <= IOV_MAX else [b"".join(parts)]
        return
    piece: list[bytes] = []
    size = 0
    for part in parts:
        begin = 0
        while len(part) - begin > WRITE_BYTES:
            cut = part.rfind(b"\n", begin, begin + WRITE_BYTES) + 1
            if cut == 0:
                cut = part.find(b"\n", begin + WRITE_BYTES) + 1 or len(part)
            if piece:
                yield piece
                piece, size = [], 0
            yield [part[begin:cut]]
            begin = cut
        if begin:
            part = part[begin:]
        if not part:
            continue
        if piece and (size + len(part) > WRITE_BYTES or len(piece) == IOV_MAX):
            yield piece
            piece, size = [], 0
        piece.append(part)
        size += len(part)
    if piece:
        yield piece


def cut_torn_tail(path: Path, fd: int, torn: Path | None = None) -> int:
    """Move what follows the last newline to ``torn`` (default ``<path>.torn``); return the number of bytes moved.

    Raises OSError.
    """
    size = os.fstat(fd).st_size
    end = size
    while end > 0:
        start = max(0, end - SCAN_BYTES)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    return move_tail(path, fd, end, torn)


def move_tail(path: Path, fd: int, start: int, torn: Path | None = None) -> int:
    """Move everything from ``start`` on to ``torn`` (default ``<path>.torn``), durably and before it is cut.

    Return the number of bytes moved. A crash between the two leaves the tail in both places, and the next start moves
    it again. Raises OSError.
    """
    size = os.fstat(fd).st_size
    if size <= start:
        return 0
    torn = torn or path.with_name(path.name + TORN_SUFFIX)
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
    sync_directory(torn.parent)
    os.ftruncate(fd, start)
    os.fsync(fd)
    return size - start
