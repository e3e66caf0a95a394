"""A stream of lines in one file for each UTC day, which is followed when another program moves or removes it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from logops_fast.ingest.sink.append_file import AppendFile
from logops_fast.ingest.sink.commit_log import Part
from logops_fast.ingest.sink.day_files import file_name
from logops_fast.ingest.sink.file_ops import FileOps
from logops_fast.ingest.sink.marks import Mark


class DayStream:
    """The events or the rejected events of one worker. Not thread-safe.

    While a day's file is open a hard link to it is kept (``link``): after a crash it leads to the file even if that
    was renamed a moment before, so that recovery can tell whether the last group is complete.
    """

    __slots__ = ("_file", "_folder", "_link", "_linked", "_ops", "_prefix", "_worker", "_workers", "day")

    def __init__(self, folder: Path, prefix: str, link: Path, *, worker: int, workers: int, ops: FileOps) -> None:
        """``prefix`` and a file's name make its path relative to the sink's directory."""
        self._folder = folder
        self._prefix = prefix
        self._link = link
        self._linked = 0  # the inode that the link leads to
        self._worker = worker
        self._workers = workers
        self._ops = ops
        self._file: AppendFile | None = None
        self.day = ""

    def __repr__(self) -> str:
        return f"<DayStream {self.day or 'closed'} {self._file!r}>"

    @property
    def dirty(self) -> bool:
        """Whether something was written that is neither accepted nor cut away."""
        return self._file is not None and self._file.dirty

    def misplaced(self, day: str) -> bool:
        """Return whether another file than that of ``day`` is open."""
        return self._file is not None and self.day != day

    def moved(self) -> bool:
        """Return whether the open file is not under its name any more. Raises StepFailedError."""
        return self._file is not None and not self._file.named()

    def open(self, day: str) -> None:
        """Make the file of ``day`` ready to be written; another day's must be closed. Raises StepFailedError."""
        if self._file is None:
            self._file = AppendFile(self._folder / file_name(day, self._worker, self._workers), ops=self._ops)
            self.day = day
        self._file.ready()

    @property
    def linked(self) -> bool:
        """Whether the link leads to the open file."""
        return self._current().inode == self._linked

    def keep_link(self) -> None:
        """Point the link to the open file. It stays missing on a file system without hard links."""
        current = self._current()
        self._linked = current.inode
        with contextlib.suppress(OSError):
            self._link.unlink(missing_ok=True)
            os.link(current.path, self._link)
            if self._link.stat().st_ino != current.inode:  # renamed and replaced in between
                self._link.unlink()

    def check(self) -> None:
        """Follow what another program appended or cut off. Raises StepFailedError."""
        if self._file is not None:
            self._file.check()

    @property
    def fd(self) -> int:
        """The descriptor of the current file."""
        return self._current().fd

    @property
    def path(self) -> Path:
        """The path of the current file."""
        return self._current().path

    def part(self, parts: list[bytes]) -> Part:
        """Return where ``parts`` will be in the current file."""
        current = self._current()
        return Part(self._prefix + current.path.name, current.inode, current.good, current.good + sum(map(len, parts)))

    def mark(self) -> Mark | None:
        """Return how far the current file is acknowledged; None if there is none."""
        file = self._file
        return None if file is None or file.inode == 0 else Mark(self._prefix + file.path.name, file.inode, file.good)

    def write(self, parts: list[bytes]) -> None:
        """Write to the current file. Raises StepFailedError."""
        self._current().write(parts)

    def sync(self) -> None:
        """Bring the current file to the disk, and wait for it. Raises StepFailedError."""
        self._current().sync()

    def accept(self, part: Part) -> None:
        """Keep what was written."""
        self._current().accept(part.end - part.start)

    def rollback(self) -> None:
        """Cut away what was written last, if it was not accepted. Raises StepFailedError."""
        if self._file is not None:
            self._file.rollback()

    def close(self) -> None:
        """Sync and close the current file. Raises StepFailedError."""
        if self._file is not None:
            self._file.close(sync=True)
            self._file = None
            self._linked = 0
            with contextlib.suppress(OSError):
                self._link.unlink(missing_ok=True)

    def _current(self) -> AppendFile:
        assert self._file is not None, "open() comes first"  # noqa: S101
        return self._file
