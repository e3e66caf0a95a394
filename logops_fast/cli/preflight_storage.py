"""The part of ``logops check`` about files: directories, free disk, journal, state tables and positions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from logops_fast.cli.findings import Finding, fail, ok, warn
from logops_fast.cli.units import size
from logops_fast.config.settings import Settings, ship_dir
from logops_fast.errors import LogOpsError
from logops_fast.files.locks import try_lock
from logops_fast.ingest.sink.commit_log import MAGIC, OLD_MAGIC, segments
from logops_fast.ingest.sink.day_files import JOURNAL_DIR
from logops_fast.runtime import state_size
from logops_fast.shipper import positions
from logops_fast.state.boot import boot_id
from logops_fast.state.shared import FILES, LOCK_FILE
from logops_fast.state.table import HEADER_BYTES, header_fault
from logops_fast.state.upgrade import old_geometry

TOO_FULL: Final = 64 << 20
"""Free bytes under which a gateway does not get far."""
SCARCE: Final = 1 << 30
SCARCE_SHARE: Final = 0.05


def storage(settings: Settings, role: str, running: int | None) -> Iterator[Finding]:
    """Yield what is found of the files of a role. ``running`` is the gateway of this directory that runs already."""
    directories = dict(_directories(settings, role))
    for setting, path in directories.items():
        yield _writable(setting, path)
    yield from _free(directories)
    if role in ("up", "ingest") and settings.sink.enabled:
        yield from _journal(Path(settings.sink.dir), running)
    if role != "ship" and settings.state.backend in ("auto", "shared"):
        yield from _tables(settings, role, running)
    if role in ("up", "ship"):
        yield from _positions(settings)


def _directories(settings: Settings, role: str) -> Iterator[tuple[str, Path]]:
    if role in ("up", "ingest") and settings.sink.enabled:
        yield "sink.dir", Path(settings.sink.dir)
        if settings.housekeeping.autorun and settings.housekeeping.archive != "delete":
            yield "housekeeping.archive_dir", Path(settings.housekeeping.archive_dir)
    if role == "ship":
        yield "ship.dir", ship_dir(settings)
    elif settings.state.backend in ("auto", "shared"):
        yield "state.dir", state_size.state_dir(settings, role)


def _writable(setting: str, path: Path) -> Finding:
    """Write a file without a name into the directory, or make the directory and remove it again."""
    made: list[Path] = []
    try:
        while not path.exists():
            # From the outermost one on that is missing.
            missing = next(parent for parent in (*reversed(path.parents), path) if not parent.exists())
            missing.mkdir(mode=0o700)
            made.append(missing)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"?")
            file.flush()
    except OSError as error:
        return fail("files", f"{setting}: {path} cannot be written: {(error.strerror or str(error)).lower()}")
    finally:
        for directory in reversed(made):
            directory.rmdir()
    return ok("files", f"{setting}: {path} can be {'made and ' if made else ''}written")


def _free(directories: dict[str, Path]) -> Iterator[Finding]:
    """Judge each file system once."""
    seen: set[int] = set()
    for setting, path in directories.items():
        place = next((one for one in (path, *path.absolute().parents) if one.is_dir()), Path())
        device = place.stat().st_dev
        if device not in seen:
            seen.add(device)
            status = os.statvfs(place)
            total = status.f_blocks * status.f_frsize
            yield judge_free(
                setting, status.f_bavail * status.f_frsize, total, status.f_favail if status.f_files else -1
            )


def judge_free(setting: str, free: int, total: int, inodes: int) -> Finding:
    """Judge the free bytes and inodes (-1: it has no number of them) of the file system of a setting."""
    text = f"{setting}: {size(free)} of {size(total)} are free"
    if free < TOO_FULL:
        return fail("disk", f"{text}: too little to store anything; free some, or see housekeeping.max_total_bytes")
    if inodes == 0:
        return fail("disk", f"{setting}: its file system has no inode left: remove files")
    if free < SCARCE or free < total * SCARCE_SHARE:
        return warn("disk", f"{text}: free some, or bound the files by housekeeping.max_total_bytes")
    return ok("disk", text)


def _journal(directory: Path, running: int | None) -> Iterator[Finding]:
    """Look for another gateway that writes here, and for a journal of a newer version."""
    journal = directory / JOURNAL_DIR
    if not journal.is_dir():
        return
    busy = [path.name for path in sorted(journal.glob("w*.lock")) if _is_locked(path)]
    if busy and running is None:
        yield fail("journal", f"another gateway stores in {directory}: stop it, or give this one another sink.dir")
    elif busy:
        yield warn("journal", f"{directory} is the running gateway's, process {running}")
    foreign = []
    count = 0
    try:
        for path in (path for paths in segments(journal).values() for path in paths):
            count += 1
            with path.open("rb") as file:
                magic = file.read(len(MAGIC))
            if magic and not MAGIC.startswith(magic) and magic != OLD_MAGIC:
                foreign.append(path.name)
    except OSError as error:
        yield fail("journal", f"{journal} cannot be read: {(error.strerror or str(error)).lower()}")
        return
    if foreign:
        yield fail(
            "journal",
            f"{journal}: {foreign[0]} is of another version or damaged, and the batches in it are not recognised when "
            "they are sent again: start the version that wrote it once more, or move the file away",
        )
    elif not busy:
        yield ok("journal", f"{journal}, {count} segment{'' if count == 1 else 's'}")


def _is_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


def _tables(settings: Settings, role: str, running: int | None) -> Iterator[Finding]:
    """Look at the headers of the state's tables, as the start does."""
    directory = state_size.state_dir(settings, role)
    if not directory.is_dir():
        return
    lock = directory / LOCK_FILE
    if lock.exists() and _is_locked(lock):
        if running is None:
            yield fail("state", f"{directory} is another running gateway's: give this one another state.dir")
        else:
            yield warn("state", f"{directory} is the running gateway's, process {running}")
        return
    boot = boot_id()
    faults = []
    for name, geometry in zip(FILES, state_size.state_caps(settings, role).geometries(), strict=True):
        try:
            with (directory / name).open("rb") as file:
                data = file.read(HEADER_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield fail("state", f"{directory / name} cannot be read: {(error.strerror or str(error)).lower()}")
            return
        fault = header_fault(data, geometry, boot)
        if fault is not None and old_geometry(data, geometry.kind, boot) is None:  # that of 0.4 is taken over
            faults.append(f"{name}: {fault}")
    if faults:
        yield warn(
            "state",
            f"{directory}: {'; '.join(faults)}. It is created again: requests signed before the start are refused once",
        )
    else:
        yield ok("state", f"{directory}")


def _positions(settings: Settings) -> Iterator[Finding]:
    path = ship_dir(settings) / positions.FILE
    try:
        saved = positions.load(path)
    except (LogOpsError, ValueError) as error:
        yield fail("ship", str(error))
    except OSError as error:
        yield fail("ship", f"{path} cannot be read: {(error.strerror or str(error)).lower()}")
    else:
        if saved is not None:
            yield ok("ship", f"{path}, {len(saved.files)} files")
