"""Advisory locks on whole files (flock(2)): the kernel releases them when the process ends, however it ends.

They exclude other processes, and other descriptors of the same process, but not code that does not ask for the lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_MODE = 0o600


def lock(fd: int, *, shared: bool = False) -> None:
    """Lock an open file, waiting for as long as another process holds it. Raises OSError."""
    fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting. Return False if another process holds it. Raises OSError."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def open_locked(path: Path, *, create: bool = True) -> int | None:
    """Open a file and lock it exclusively without waiting; closing the descriptor releases the lock.

    Return the descriptor, or None if another process holds the lock. Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), LOCK_MODE)
    try:
        if try_lock(fd):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


@contextmanager
def locked(path: Path, *, create: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on a file for the block; yields False if another process holds it. Raises OSError."""
    fd = open_locked(path, create=create)
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a directory for the block, waiting for it.

    For files that are replaced as a whole: a lock on such a file would stay with the old one. Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(fd)
        yield
    finally:
        os.close(fd)
