"""The NDJSON files of a directory as one stream of lines: their ends, and the lines added to existing and new files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from logops_fast.ingest.sink.day_files import parse_name

PATIENCE: Final = 64 << 20
"""Bytes of older lines, one after another, behind which no recent line is looked for."""
_BLOCK: Final = 1 << 16


def day_files(directory: Path) -> list[Path]:
    """Return the files of all days, oldest first."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:  # the gateway creates it with the first batch
        return []
    found = {name: parse_name(name) for name in names}
    return sorted(directory / name for name, file in found.items() if file is not None and not file.torn)


def last_lines(path: Path, count: int, keep: Callable[[bytes], bool]) -> list[bytes]:
    """Return the last ``count`` complete lines for which ``keep`` is true, read from the end of the file."""
    found: list[bytes] = []
    for _, line in _lines_backwards(path):
        if len(found) >= count:
            break
        if keep(line):
            found.append(line)
    return found[::-1]


def lines_since(path: Path, is_recent: Callable[[bytes], bool], patience: int = PATIENCE) -> Iterator[bytes]:
    """Yield the complete lines for which ``is_recent`` is true, in the order of the file.

    The lines of a file are in the order of receipt, and their times nearly so: from the end backwards, the search for
    the first recent one gives up after ``patience`` bytes of lines that are not.
    """
    begin = end = None
    for offset, line in _lines_backwards(path):
        if end is None:
            end = begin = offset + len(line) + 1
        if is_recent(line):
            begin = offset
        elif begin is not None and begin - offset > patience:
            break
    if begin is None or end is None:
        return
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end:
            line = file.readline()
            begin += len(line)
            line = line.rstrip(b"\n")
            if line and is_recent(line):
                yield line


class Follower:
    """Yields the lines added to the files of a directory from now on; ``poll`` never waits.

    A file that is there at the start is read from its end, one that comes later from its beginning. One that is
    renamed or removed is read to its end before its successor.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[Path, _Followed] = {}
        for path in day_files(directory):
            self._add(path, at_end=True)

    def poll(self) -> list[bytes]:
        """Return the complete lines added since the last call."""
        lines: list[bytes] = []
        present = set(day_files(self._directory))
        for path, followed in list(self._open.items()):
            moved = path not in present or not followed.is_at(path)
            lines += followed.read()
            if moved:
                followed.close()
                del self._open[path]
        for path in sorted(present - self._open.keys()):
            self._add(path, at_end=False)
            if path in self._open:
                lines += self._open[path].read()
        return lines

    def close(self) -> None:
        """Close the files."""
        for followed in self._open.values():
            followed.close()
        self._open.clear()

    def _add(self, path: Path, *, at_end: bool) -> None:
        try:
            self._open[path] = _Followed(path, at_end=at_end)
        except FileNotFoundError:  # removed since it was listed
            return


class _Followed:
    """One open file and the position reached in it."""

    __slots__ = ("_file", "_partial", "_position")

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._position = os.fstat(self._file.fileno()).st_size if at_end else 0
        self._partial = b""

    def is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def read(self) -> list[bytes]:
        size = os.fstat(self._file.fileno()).st_size
        if size < self._position:
            # Truncated: a failed write was undone, or the file was emptied. The rest has been shown before.
            self._position, self._partial = size, b""
        if size == self._position:
            return []
        data = os.pread(self._file.fileno(), size - self._position, self._position)
        self._position += len(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [line for line in lines if line]

    def close(self) -> None:
        self._file.close()


def _lines_backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the complete lines with their offsets, the last one first."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        start = b""  # of a line that begins further up
        ended = False  # whether a line end was seen
        while position:
            step = min(_BLOCK, position)
            position -= step
            file.seek(position)
            start, *lines = (file.read(step) + start).split(b"\n")
            offset = position + len(start) + 1 + sum(len(line) + 1 for line in lines)
            for number, line in enumerate(reversed(lines)):
                offset -= len(line) + 1
                # The text after the last line end is not a complete line yet.
                if line and (ended or number):
                    yield offset, line
            ended = ended or bool(lines)
        if ended and start:
            yield 0, start
