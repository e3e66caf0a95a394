"""Where the shared tables of state are: on tmpfs if there is one with room for them.

The tables are mapped files that workers write from their event loops. On a disk such a write can wait for the disk, as
the kernel stops a process that dirties a page while it is being written back. Nothing is lost by tmpfs: the tables are
only valid within one boot of the machine anyway (see ``state.boot``), and both places survive a restart of the gateway.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Final

from logops_fast.state.table import Geometry

MOUNTS: Final = Path("/proc/self/mounts")  # Linux
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})

AUTO: Final = "auto"
"""The value of ``state.dir`` that leaves the choice to this module."""
ON_DISK: Final = Path("data/state")
TMPFS: Final = Path("/dev/shm")  # noqa: S108 - the directory below it is checked


def state_place(configured: str, tables: Iterable[Geometry], tmpfs: Path = TMPFS) -> Path:
    """Return the directory of the state: the configured one, else one on tmpfs, else ``data/state``.

    The one on tmpfs is named after the absolute path of ``data/state``, so that gateways in different working
    directories do not share it. It is used only if ``tmpfs`` has room for full tables, although they take it only as
    they fill: one that cannot grow refuses requests.
    """
    if configured != AUTO:
        return Path(configured)
    base = tmpfs / f"logops-{os.geteuid()}"
    size = sum(table.sections()[-1] for table in tables)
    place = base / blake2b(os.fsencode(ON_DISK.absolute()), digest_size=8).hexdigest()
    if _is_ours(base) and _used(place) + _free(tmpfs) >= size:
        return place
    return ON_DISK


def on_disk_warning(place: Path, tables: Iterable[Geometry], mounts: Path = MOUNTS) -> str | None:
    """Return a sentence if the directory of the state is on a disk although this system has tmpfs, else None."""
    kind = _file_system(place.absolute(), mounts)
    if kind is None or kind in _IN_MEMORY:
        return None
    size = sum(table.sections()[-1] for table in tables)
    return (
        f"state.dir: {place} is on a disk ({kind}), and a worker that uses the state waits whenever the disk does: "
        f"give /dev/shm {-(-size // 1_048_576)} MiB (docker: --shm-size), or name a directory on tmpfs"
    )


def _file_system(place: Path, mounts: Path) -> str | None:
    """Return the type of the file system that a path is, or will be, on; None if the system does not tell."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    while not place.exists():
        place = place.parent
    real = os.path.realpath(place)
    found, longest = None, -1
    for line in lines:
        _, point, kind, *_ = line.split(" ", 3)
        point = point.replace("\\040", " ")  # how the kernel writes a blank
        # Of two mounts at one point the later one is on top.
        if len(point) >= longest and (real == point or real.startswith(point.rstrip("/") + "/")):
            found, longest = kind, len(point)
    return found


def _is_ours(base: Path) -> bool:
    """Return whether the directory is, or can be created as, this user's own: anyone can create names in /dev/shm."""
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        status = base.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _free(tmpfs: Path) -> int:
    status = os.statvfs(tmpfs)
    return status.f_bavail * status.f_frsize


def _used(place: Path) -> int:
    """Return what the tables of an earlier run already take, in bytes."""
    return sum(path.stat().st_blocks * 512 for path in place.rglob("*") if path.is_file())
