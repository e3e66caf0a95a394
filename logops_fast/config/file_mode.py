"""Warnings about files of secrets that others may read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path


def mode_warnings(path: Path, forbidden: int = 0o077) -> Iterator[str]:
    """Yield a sentence for the log if the file's mode has any of the ``forbidden`` bits.

    Nothing is yielded for a file that cannot be examined: reading it is what reports that.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & forbidden:
        wanted = mode & ~forbidden
        yield f"{path} has mode {mode:04o}, so others on this machine may read the secrets; chmod {wanted:o} {path}"
