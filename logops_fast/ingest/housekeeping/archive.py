"""Puts one file into one archive: complete, synced and read back before the original may be deleted."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Literal

from logops_fast.errors import LogOpsError
from logops_fast.files.replace import move_into_place

CHUNK: Final = 1 << 20
TEMPORARY_SUFFIX: Final = ".logops-tmp"

Kind = Literal["gzip", "zip"]
Stop = Callable[[], bool]
Stream = IO[bytes] | gzip.GzipFile


class ArchiveError(LogOpsError):
    """An archive does not hold what the file held; the original must be kept."""


class StoppedError(LogOpsError):
    """The run was stopped early; nothing incomplete is left under a final name."""


def archive_file(source: Path, target_dir: Path, kind: Kind, stop: Stop = lambda: False) -> Path:
    """Archive ``source`` under its own name in ``target_dir``; return the path of the archive.

    An archive of that name with the same content is used as it is (a run was interrupted before it deleted the
    original); one with other content is kept, and the new one is named ``-1``, ``-2`` and so on.

    Raises ArchiveError, StoppedError, OSError.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    wanted = _sum_of(source, stop)
    for target in _names(target_dir, source.name, kind):
        if not target.exists():
            break
        if _holds(target, kind, wanted, stop):
            return target
    temporary = target.with_name(f".{target.name}{TEMPORARY_SUFFIX}")
    try:
        _write(source, temporary, kind, stop)
        _verify(temporary, kind, wanted, stop)
        shutil.copystat(source, temporary)
        move_into_place(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def remove_leftovers(target_dir: Path) -> int:
    """Remove the temporary files of interrupted runs; return how many. Call it under the lock of a run."""
    leftovers = list(target_dir.glob(f".*{TEMPORARY_SUFFIX}")) if target_dir.is_dir() else []
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def _names(target_dir: Path, name: str, kind: Kind) -> Iterator[Path]:
    suffix = "gz" if kind == "gzip" else "zip"
    yield target_dir / f"{name}.{suffix}"
    number = 1
    while True:
        yield target_dir / f"{name}-{number}.{suffix}"
        number += 1


def _write(source: Path, temporary: Path, kind: Kind, stop: Stop) -> None:
    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    with source.open("rb") as file, open(temporary, "wb", opener=opener) as raw:
        if kind == "gzip":
            with gzip.GzipFile(source.name, "wb", 6, raw, source.stat().st_mtime) as packed:
                _copy(file, packed, stop)
        else:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
                member = zipfile.ZipInfo.from_file(source, source.name, strict_timestamps=False)
                member.compress_type = zipfile.ZIP_DEFLATED
                # The size is not known when the member's header is written: reserve room for one over 2 GiB.
                with archive.open(member, "w", force_zip64=True) as packed_member:
                    _copy(file, packed_member, stop)
        raw.flush()
        os.fsync(raw.fileno())


def _verify(archive: Path, kind: Kind, wanted: tuple[int, int], stop: Stop) -> None:
    if not _holds(archive, kind, wanted, stop):
        raise ArchiveError(f"{archive} does not hold what was to be archived: the file changed, or the disk is faulty")


def _copy(source: IO[bytes], target: Stream, stop: Stop) -> None:
    while piece := source.read(CHUNK):
        if stop():
            raise StoppedError
        target.write(piece)


def _sum_of(path: Path, stop: Stop) -> tuple[int, int]:
    with path.open("rb") as file:
        return _sum(file, stop)


def _sum(file: Stream, stop: Stop) -> tuple[int, int]:
    """Return size and CRC-32 of the rest of a file."""
    size = crc = 0
    while piece := file.read(CHUNK):
        if stop():
            raise StoppedError
        size += len(piece)
        crc = zlib.crc32(piece, crc)
    return size, crc


def _holds(archive: Path, kind: Kind, wanted: tuple[int, int], stop: Stop) -> bool:
    """Return whether an archive unpacks to this size and CRC-32; a damaged one does not."""
    with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile):
        if kind == "gzip":
            with gzip.open(archive, "rb") as unpacked:
                return _sum(unpacked, stop) == wanted
        with zipfile.ZipFile(archive) as zipped:
            names = zipped.namelist()
            if len(names) == 1:
                with zipped.open(names[0]) as member:
                    return _sum(member, stop) == wanted
    return False
