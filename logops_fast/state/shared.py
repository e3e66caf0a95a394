"""The `shared` store: tables in files that all workers of a machine map.

The files outlive the gateway, so nonces and batch ids survive its restart, and an upgrade from version 0.4. They are
created again after a boot of the machine (the last writes may not have reached the disk) and after a change of size;
requests signed before that are then refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Final

from logops_fast.errors import StartupError
from logops_fast.state import nonces
from logops_fast.state.boot import boot_id
from logops_fast.state.growth import mark_missing, reserve_first
from logops_fast.state.local_store import DEFAULT_CAPS, Caps, LocalStore
from logops_fast.state.table import Geometry, Table, header, header_fault
from logops_fast.state.upgrade import carry_over, old_geometry

FILES: Final = ("nonces.table", "buckets.table", "batch_ids.table")
LOCK_FILE: Final = "lock"
JOIN_SECONDS: Final = 2.0


class StateError(StartupError):
    """The state directory cannot be used."""


def open_shared(
    directory: Path,
    tolerance: float,
    caps: Caps = DEFAULT_CAPS,
    wall: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
    log: Callable[[str], None] | None = None,
    boot: str | None = None,
    *,
    exclusive: bool = False,
) -> LocalStore:
    """Map the tables in ``directory``, creating those that are missing or unusable; ``log`` gets the reasons.

    Open it once, before workers are forked: then a worker that is restarted is sure to get the tables its
    siblings have, even if the files were removed. Opening it in each worker works too. The directory stays
    locked (shared) while any process has it open, and no file is replaced under a running gateway.

    ``exclusive`` is for a gateway with one worker: it keeps the directory to itself, and its table operations need no
    locks, which are two thirds of their cost.

    Raises:
        StateError: if the directory cannot be used.
    """
    boot = boot_id() if boot is None else boot
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"The state directory {directory} cannot be used: {error.strerror}.") from error
    tables: list[Table] = []
    try:
        alone = _lock(lock, directory, exclusive)
        for name, geometry in zip(FILES, caps.geometries(), strict=True):
            fresh = None
            if name == FILES[0]:
                fresh = partial(nonces.set_horizon, horizon=nonces.fresh_horizon(wall(), tolerance))
            times = (wall(), clock())
            tables.append(_open(directory / name, geometry, boot, alone, exclusive, fresh, log, times))
        if not exclusive:
            fcntl.flock(lock, fcntl.LOCK_SH)
    except BaseException as error:
        for table in tables:
            table.close()
        os.close(lock)
        if isinstance(error, OSError):
            raise StateError(_sentence(directory, caps, error)) from error
        raise
    nonce_table, bucket_table, batch_table = tables
    return LocalStore(
        (nonce_table, bucket_table, batch_table), caps, wall, clock, partial(os.close, lock), tolerance=tolerance
    )


def _lock(fd: int, directory: Path, exclusive: bool) -> bool:
    """Lock the directory; return True if no other process has it, so that files may be replaced.

    The lock has a file of its own, because on macOS ``flock`` and the record locks of a table are one mechanism.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not exclusive and _joined(fd):
            return False
        raise StateError(
            f"{directory} is the state directory of a gateway that is running and does not share it (it, or this one, "
            "has one worker): give this one another state.dir."
        ) from None
    return True


def _joined(fd: int) -> bool:
    """Share the lock, waiting a little for a process that is creating the files."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def _open(
    path: Path,
    geometry: Geometry,
    boot: str,
    alone: bool,
    exclusive: bool,
    fresh: Callable[[Table], None] | None,
    log: Callable[[str], None] | None,
    times: tuple[float, float],
) -> Table:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        fault = "it is missing"
        found = False
    else:
        found = True
        table, fault = _map(fd, geometry, boot, exclusive)
        if table is not None:
            return table
    if not alone:
        raise StateError(
            f"{path} belongs to a gateway that is running, and {fault}: stop that one, give both the same state "
            "settings, or give this one another state.dir."
        )
    if not (found and _upgraded(path, geometry, boot, times, log)):
        if found and log is not None:
            log(f"{path} is created again: {fault}. Requests signed before now are refused.")
        _create(path, geometry, boot, secrets.randbits(64), fresh, grows=fresh is not None)
    table, fault = _map(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), geometry, boot, exclusive)
    if table is None:
        raise StateError(f"{path} was just created and cannot be used: {fault}.")
    return table


def _map(fd: int, geometry: Geometry, boot: str, exclusive: bool) -> tuple[Table | None, str]:
    """Return the table in a file; or None and the reason, with the file closed."""
    try:
        os.fchmod(fd, 0o600)
        fault = header_fault(os.pread(fd, 4096, 0), geometry, boot)
        if fault is None and os.fstat(fd).st_size != geometry.size:
            fault = "its size is wrong"
        if fault is None:
            return Table(mmap(fd, geometry.size), geometry, None if exclusive else fd, fd), ""
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None, fault


def _upgraded(
    path: Path, geometry: Geometry, boot: str, times: tuple[float, float], log: Callable[[str], None] | None
) -> bool:
    """Replace a table of version 0.4 by one of today's that holds the same; return False if it is none."""
    with path.open("r+b") as file:
        found = old_geometry(file.read(4096), geometry.kind, boot)
        if found is None or os.fstat(file.fileno()).st_size != found[0].size:
            return False
        old, seed = found
        counts: list[int] = []

        def fill(new: Table) -> None:
            counts.append(carry_over(mmap(file.fileno(), old.size), old, new, *times))

        _create(path, geometry, boot, seed, fill, grows=False)
    if log is not None:
        log(f"{path} of an earlier version was taken over, with {counts[0]} entries")
    return True


def _create(
    path: Path, geometry: Geometry, boot: str, seed: int, fresh: Callable[[Table], None] | None, grows: bool
) -> None:
    """Create a table under another name and move it into place as a whole.

    ``fresh`` fills it. Only the first level of a table of nonces is reserved, unless one of an earlier version is taken
    over into it.
    """
    first = nonces.first_buckets(geometry.buckets) if grows else geometry.buckets
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        reserve_first(fd, geometry, first)
        os.pwrite(fd, header(geometry, seed, boot), 0)
        if fresh is not None:
            table = Table(mmap(fd, geometry.size), geometry)
            mark_missing(table, first)
            fresh(table)
            table.close()
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _sentence(directory: Path, caps: Caps, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        need = sum(geometry.size for geometry in caps.geometries()) >> 20
        remedy = "free some, or lower state.max_request_rate"
        return f"The state directory {directory} has no room for its {need} MiB: {remedy}."
    return f"The state directory {directory} cannot be used: {error.strerror}."
