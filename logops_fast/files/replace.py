"""Files that are replaced as a whole: written under a temporary name, synced, then renamed.

A reader sees the old content or the new one, and after a loss of power one of the two is there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path, *, mode: int = 0o600, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Yield a file whose content becomes that of ``path`` when the block ends without an error.

    Raises FileExistsError if ``path`` exists and ``overwrite`` is false, even if it was created during the block;
    OSError if it cannot be written. Nothing is left behind then.
    """
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as out:
            os.fchmod(out.fileno(), mode)
            yield out
            out.flush()
            os.fsync(out.fileno())
        if overwrite:
            move_into_place(temporary, path)
        else:
            os.link(temporary, path)  # unlike rename, this refuses to replace a file
            temporary.unlink()
            sync_directory(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename a synced file to its final name, durably; a file of that name is replaced. Raises OSError."""
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable (a created, renamed or removed name). Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
