"""How far each open file is acknowledged: published by the sink for readers of files that still grow.

The end of a file is no mark: the last group may still be cut away. So each worker keeps ``w<worker>.marks`` in the
journal directory, with inode and acknowledged size of its open files. Two slots are written in turn, each with a
checksum, so that a reader, or a crash, at any moment finds one that is whole; nothing is synced, because a mark that is
too low after a loss of power only delays: no line beyond it was lost, and the next start publishes the true ones.

What a reader may rely on: a file is in the marks before anything is written to it, and leaves them once it is closed
and whole. So a file whose inode is in no worker's marks is acknowledged to its end, if the size was taken before the
marks were read.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import orjson

MAGIC: Final = b"LOGOPSM1"
SLOT_BYTES: Final = 1024
MARKS_SUFFIX: Final = ".marks"
MARKS_MODE: Final = 0o640  # as the files that they are about

_HEAD: Final = struct.Struct("<8sIIQ")  # magic, CRC-32 of the rest, length of the text, number


class Mark(NamedTuple):
    """An open file: its name relative to the sink's directory, its inode, its acknowledged size in bytes."""

    name: str
    inode: int
    size: int


def marks_path(journal: Path, worker: int) -> Path:
    """Return the path of a worker's marks."""
    return journal / f"w{worker}{MARKS_SUFFIX}"


def encode_slot(number: int, marks: tuple[Mark, ...]) -> bytes:
    """Return a slot, padded to its size; ``number`` grows with each."""
    text = orjson.dumps([list(mark) for mark in marks])
    rest = struct.pack("<IQ", len(text), number) + text
    return (_HEAD.pack(MAGIC, zlib.crc32(rest), len(text), number) + text).ljust(SLOT_BYTES, b"\0")


def decode_marks(blob: bytes) -> tuple[int, tuple[Mark, ...]] | None:
    """Return the newest slot of a marks file that is whole, with its number; None if there is none."""
    newest: tuple[int, tuple[Mark, ...]] | None = None
    for at in (0, SLOT_BYTES):
        slot = blob[at : at + SLOT_BYTES]
        if len(slot) < _HEAD.size:
            continue
        magic, crc, length, number = _HEAD.unpack_from(slot)
        text = slot[_HEAD.size : _HEAD.size + length]
        if magic != MAGIC or len(text) != length or zlib.crc32(struct.pack("<IQ", length, number) + text) != crc:
            continue
        if newest is None or number > newest[0]:
            newest = number, tuple(Mark(str(name), int(inode), int(size)) for name, inode, size in orjson.loads(text))
    return newest


def read_marks(path: Path) -> tuple[int, tuple[Mark, ...]] | None:
    """Return a worker's marks and their number; None if there are none that are whole. Raises OSError."""
    try:
        return decode_marks(path.read_bytes())
    except FileNotFoundError:
        return None


class MarkFile:
    """Writes one worker's marks. Not thread-safe; every call may wait for the disk."""

    __slots__ = ("_fd", "_number", "_path", "_published")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._number = 0
        self._published: tuple[Mark, ...] | None = None

    def __repr__(self) -> str:
        return f"<MarkFile {self._path} {self._published!r}>"

    def publish(self, marks: tuple[Mark, ...]) -> None:
        """Write the marks if they have changed. Raises OSError: then they are written by the next call."""
        if marks == self._published:
            return
        self._published = None
        if self._fd < 0:
            self._open()
        self._number += 1
        slot = encode_slot(self._number, marks)
        if os.pwrite(self._fd, slot, self._number % 2 * SLOT_BYTES) != SLOT_BYTES:
            raise OSError(0, "the marks were not written whole")
        self._published = marks

    def follow(self) -> None:
        """Begin a new file if another program removed this one."""
        if self._fd >= 0:
            try:
                found = os.stat(self._path).st_ino == os.fstat(self._fd).st_ino
            except OSError:
                found = False
            if not found:
                self.close()

    def close(self) -> None:
        """Close the file; the marks stay."""
        fd, self._fd = self._fd, -1
        self._published = None
        if fd >= 0:
            os.close(fd)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MARKS_MODE)
        try:
            before = decode_marks(os.pread(fd, 2 * SLOT_BYTES, 0))
        except BaseException:
            os.close(fd)
            raise
        self._number = 0 if before is None else before[0]
        self._fd = fd
