"""The pid file of a running gateway: locked for as long as its process lives, so that a stale one is recognised.

A number alone proves nothing: after a crash or a restart of the machine it may be another process's. The lock (flock)
ends with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from logops_fast.errors import StartupError
from logops_fast.files.locks import open_locked, try_lock

_MODE: Final = 0o644  # the number is no secret
_READ_BYTES: Final = 64


class PidFile:
    """A pid file that this process holds. ``write`` makes one."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    @classmethod
    def write(cls, path: Path) -> PidFile:
        """Write this process's number. Raises StartupError if another process has the file, or it cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = open_locked(path)
            if fd is None:
                raise StartupError(f"{path} belongs to process {read(path) or '?'}, which runs; set server.pid_file")
            os.fchmod(fd, _MODE)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise StartupError(f"{path}: {error.strerror}") from None
        return cls(path, fd)

    def close_in_child(self) -> None:
        """Close a forked child's copy: the lock is the parent's alone then."""
        os.close(self._fd)

    def remove(self) -> None:
        """Remove the file and release the lock."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._fd)


def read(path: Path) -> int | None:
    """Return the number in a pid file, None if there is none in it. Raises OSError."""
    text = path.read_bytes()[:_READ_BYTES].strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def running(path: Path) -> int | None:
    """Return the process that holds a pid file; None if the file is stale, its writer having ended. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return None if try_lock(fd, shared=True) else read(path)
    finally:
        os.close(fd)
