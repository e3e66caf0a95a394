"""For readers of growing files: which files the sink has, and how far each is acknowledged.

A running gateway publishes that as marks. If there are none (files of an older version, a gateway that was killed and
not started again), and no gateway holds the worker's lock, the journal settles it as the next start would.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from logops_fast.files.locks import try_lock
from logops_fast.ingest.sink.day_files import JOURNAL_DIR, REJECTED_DIR, DayFile, link_names, parse_name
from logops_fast.ingest.sink.marks import MARKS_SUFFIX, Mark, read_marks
from logops_fast.ingest.sink.recovery import kept_end

SINGLE: Final = 0  # the worker whose files do not name it
MAX_SETTLED: Final = 64


class SinkFile(NamedTuple):
    """A file of the sink: ``name`` relative to its directory, ``stem`` without folder and suffix, ``size`` in bytes."""

    name: str
    rejected: bool
    day: str
    worker: int
    stem: str
    inode: int
    size: int


class Acknowledged:
    """Reads marks and journals; it writes nothing. Every call may wait for the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._journal = directory / JOURNAL_DIR
        self._settled: dict[tuple[int, int, int], int] = {}  # (inode, size, number of the marks) -> end

    def __repr__(self) -> str:
        return f"<Acknowledged {self._directory}>"

    def files(self) -> list[SinkFile]:
        """Return the files, oldest day first. Raises OSError."""
        found = []
        for folder in ("", REJECTED_DIR):
            path = self._directory / folder
            if not path.is_dir():
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    name = parse_name(entry.name)
                    if name is None or name.torn or not entry.is_file(follow_symlinks=False):
                        continue
                    relative = f"{folder}/{entry.name}" if folder else entry.name
                    found.append(_sink_file(relative, name, entry.stat(follow_symlinks=False)))
        return sorted(found, key=lambda file: (file.day, file.name))

    def moved(self) -> list[tuple[SinkFile, Path]]:
        """Return the files that a gateway still writes to though they are no longer under their names, and their links.

        A file that was renamed or removed before a reader saw it is found in no other way. Raises OSError.
        """
        found = []
        for worker, _, marks in self._read():
            for mark in marks:
                named = _status(self._directory / mark.name)
                if named is not None and named.st_ino == mark.inode:
                    continue
                name = parse_name(Path(mark.name).name)
                link = self._journal / link_names(worker)["/" in mark.name]
                status = _status(link)  # none on a file system without hard links
                if name is not None and status is not None and status.st_ino == mark.inode:
                    found.append((_sink_file(mark.name, name, status), link))
        return found

    def find(self, inode: int, *, rejected: bool) -> Path | None:
        """Return the path of a file that was renamed within its folder. Raises OSError."""
        folder = self._directory / REJECTED_DIR if rejected else self._directory
        with os.scandir(folder) as entries:
            return next(
                (Path(e.path) for e in entries if e.inode() == inode and e.is_file(follow_symlinks=False)), None
            )

    def is_open(self, inode: int) -> bool:
        """Return whether a gateway has the file open, as far as is published. Raises OSError."""
        return any(mark.inode == inode for _, _, marks in self._read() for mark in marks)

    def limit(self, inode: int, size: int, worker: int) -> int:
        """Return how many bytes of a file are acknowledged; ``size`` must have been taken before. Raises OSError.

        ``worker`` is the one that its name gives, whose journal settles it if no marks do.
        """
        published = False
        for index, number, marks in self._read():
            published = published or index == worker
            for mark in marks:
                if mark.inode == inode:
                    return size if mark.size >= size else self._settle(inode, size, index, number, mark.size)
        return size if published else self._settle(inode, size, worker, 0, 0)

    def _read(self) -> Iterator[tuple[int, int, tuple[Mark, ...]]]:
        """Yield each worker that has published marks, their number, and the marks."""
        for path in self._journal.glob(f"w*{MARKS_SUFFIX}"):
            read = read_marks(path)
            if read is not None:
                yield int(path.name[1 : -len(MARKS_SUFFIX)]), *read

    def _settle(self, inode: int, size: int, worker: int, number: int, marked: int) -> int:
        """Return the end of a file that holds more than is marked: an open group, or what a killed gateway left."""
        # Each start publishes marks: what a killed gateway left says nothing of a later one, even at the same size.
        key = (inode, size, number)
        if key in self._settled:
            return self._settled[key]
        if self._in_use(worker):
            return marked
        end = max(marked, kept_end(self._directory, worker, inode, size))
        # A gateway may have been started meanwhile; it publishes marks before it writes.
        if self._in_use(worker):
            return marked
        if len(self._settled) >= MAX_SETTLED:
            self._settled.clear()
        self._settled[key] = end
        return end

    def _in_use(self, worker: int) -> bool:
        """Return whether a gateway holds the worker's lock. It is looked at for a moment only, and shared."""
        try:
            fd = os.open(self._journal / f"w{worker}.lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            free = try_lock(fd, shared=True)
            if free:
                fcntl.flock(fd, fcntl.LOCK_UN)
            return not free
        finally:
            os.close(fd)


def _sink_file(relative: str, name: DayFile, status: os.stat_result) -> SinkFile:
    folder, _, base = relative.rpartition("/")
    return SinkFile(
        relative,
        bool(folder),
        name.day.strftime("%Y%m%d"),
        SINGLE if name.worker is None else name.worker,
        base.removesuffix(".ndjson"),
        status.st_ino,
        status.st_size,
    )


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
