"""Reads the files of one worker and stream in order, as far as they are acknowledged, and follows renames and removals.

A file that is renamed, or deleted while it is open here or in a gateway, is read to its end. One that was truncated is
read from its beginning again, in doubt: whether other bytes are there now, or the same ones, Loki knows. Synchronous:
every call may wait for the disk. A ``Tail`` belongs to one thread at a time.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from logops_fast.shipper.entries import Stream
from logops_fast.shipper.positions import Position
from logops_fast.shipper.source import Source, SourceFile

MAX_LINES: Final = 4000
"""Lines of a batch: fewer than Loki's ``max_entries_limit_per_query`` (5000), so that one question covers a batch."""
HEAD_BYTES: Final = 256
MAX_LINE: Final = 4 << 20
"""Bytes after which a line without an end is taken as it is; the gateway's are much shorter."""

logger = logging.getLogger(__name__)


class Lane(NamedTuple):
    """What is shipped in order: one stream of one worker."""

    stream: Stream
    worker: int


class TailedFile:
    """An open file and its positions: ``position`` is what Loki has, ``cursor`` what was read."""

    __slots__ = ("cursor", "doubt", "fd", "listed", "name", "position", "replaced", "stem", "worker")

    def __init__(self, fd: int, stem: str, worker: int, position: Position) -> None:
        self.fd = fd
        self.name = position.name
        self.stem = stem
        self.worker = worker
        self.position = position
        self.cursor = position.offset
        self.doubt = position.reserved
        """Up to where an earlier process may have pushed lines."""
        self.listed = True
        """Whether it is still under its name."""
        self.replaced = False
        """Whether it was truncated, and another object continues with it."""

    def __repr__(self) -> str:
        return f"<TailedFile {self.name} read={self.cursor} shipped={self.position.offset}>"


class Chunk(NamedTuple):
    """Whole lines of one file: bytes ``start`` to ``end``. ``doubtful``: some may be in Loki already."""

    file: TailedFile
    start: int
    end: int
    lines: list[bytes]
    doubtful: bool


class Tail:
    """The files of one lane."""

    def __init__(
        self,
        directory: Path,
        lane: Lane,
        source: Source,
        positions: Iterable[Position],
        *,
        chunk_bytes: int,
        wall: Callable[[], int],
        on_lost: Callable[[str, int], None],
    ) -> None:
        """``wall`` returns nanoseconds; ``on_lost`` gets the name of a file that is gone, and the bytes not shipped."""
        self._directory = directory
        self.lane = lane
        self._source = source
        self._known = {(position.name, position.inode): position for position in positions}
        self._chunk_bytes = chunk_bytes
        self._wall = wall
        self._on_lost = on_lost
        self._open: dict[int, TailedFile] = {}  # by inode, in the order that they are read in
        self._strays_found = False

    def __repr__(self) -> str:
        return f"<Tail {self.lane} {list(self._open.values())!r}>"

    @property
    def positions(self) -> list[Position]:
        """The positions of all files that are known."""
        return list(self._known.values())

    def refresh(self, files: Iterable[SourceFile], moved: Iterable[tuple[SourceFile, Path]] = ()) -> None:
        """Follow the files that there are now, in order; ``moved`` as of the source. Raises OSError."""
        mine = [file for file in files if self._is_mine(file)]
        if not self._strays_found:
            self._find_strays({file.inode for file in mine})
        listed = {file.inode: file for file in mine}
        for tailed in list(self._open.values()):
            file = listed.get(tailed.position.inode)
            tailed.listed = file is not None and file.name == tailed.name
            if tailed.cursor > os.fstat(tailed.fd).st_size or _differs(tailed):
                self._truncated(tailed)
        newest = mine[-1].day if mine else ""
        for file in mine:
            if file.inode not in self._open:
                self._add(file, newest)
        for file, path in moved:  # perhaps before it was ever seen here
            if self._is_mine(file) and file.inode not in self._open:
                self._follow(path, file, self._known.get((file.name, file.inode)))
        order = {file.inode: at for at, file in enumerate(mine)}
        # A file that is no longer under its name was renamed or deleted, and is older than those that are.
        self._open = dict(sorted(self._open.items(), key=lambda one: order.get(one[0], -1)))
        for tailed in self._open.values():
            self._look(tailed)
        self._close_done(newest)

    def read(self) -> Chunk | None:
        """Return the next acknowledged lines, or None if there are none at the moment. Raises OSError."""
        for tailed in self._open.values():
            limit = self._look(tailed)
            if limit > tailed.cursor:  # else it was truncated, or has not grown
                chunk = self._chunk(tailed, limit)
                if chunk is not None:
                    return chunk
        return None

    def reserve(self, chunk: Chunk, ahead: int) -> bool:
        """Note that a chunk is going to be pushed; return whether the positions must be saved before.

        They then cover ``ahead`` bytes more, so that not every chunk needs a save.
        """
        position = chunk.file.position
        if chunk.end <= position.reserved:
            return False
        position.reserved = chunk.end + ahead
        return True

    def rewind(self) -> None:
        """Read again from the positions on; what may have been pushed is in doubt."""
        for tailed in self._open.values():
            # No more than was read can have been pushed.
            tailed.doubt = max(tailed.doubt, min(tailed.cursor, tailed.position.reserved))
            tailed.cursor = tailed.position.offset

    def settle(self) -> None:
        """Give up what is reserved: nothing of it was pushed. Call it only if no chunk is under way."""
        for tailed in self._open.values():
            position = tailed.position
            position.reserved = max(position.offset, tailed.doubt if position.offset < tailed.doubt else 0)

    def shipped(self, chunk: Chunk) -> None:
        """Move the position past a chunk that is in Loki."""
        position = chunk.file.position
        if not chunk.file.replaced:
            position.offset = chunk.end
            position.since = self._wall()

    @property
    def pending(self) -> int:
        """Acknowledged bytes that are not shipped, as of the last look at each file."""
        # The loop's thread asks while another reads: list() takes the values at one moment.
        return sum(max(0, one.position.size - one.position.offset) for one in list(self._open.values()))

    def close(self) -> None:
        """Close all files."""
        for tailed in self._open.values():
            os.close(tailed.fd)
        self._open = {}

    @property
    def _rejected(self) -> bool:
        return self.lane.stream == "rejected"

    def _is_mine(self, file: SourceFile) -> bool:
        return file.worker == self.lane.worker and file.rejected == self._rejected

    def _look(self, tailed: TailedFile) -> int:
        """Return how much of a file is acknowledged now."""
        size = os.fstat(tailed.fd).st_size
        tailed.position.size = self._source.limit(tailed.position.inode, size, tailed.worker)
        return tailed.position.size

    def _add(self, file: SourceFile, newest: str) -> None:
        position = self._known.get((file.name, file.inode))
        if position is not None and position.offset == file.size and file.day < newest:
            return  # all of it is shipped, and it will not grow
        self._follow(self._directory / file.name, file, position)

    def _follow(self, path: Path, file: SourceFile, position: Position | None) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        status = os.fstat(fd)
        if status.st_ino != file.inode:  # replaced in between: the next refresh sees it
            os.close(fd)
            return
        if position is None:
            position = Position(file.name, file.inode, 0, since=self._wall())
            self._known[file.name, file.inode] = position
        tailed = TailedFile(fd, file.stem, file.worker, position)
        # What was not yet written cannot have been pushed. After a crash that is most of what is reserved.
        tailed.doubt = min(tailed.doubt, status.st_size)
        self._open[file.inode] = tailed
        if position.offset > status.st_size or _differs(tailed):
            self._truncated(tailed)

    def _truncated(self, tailed: TailedFile) -> None:
        old = tailed.position
        logger.warning("%s was truncated or replaced: reading it again, and asking Loki what it has", tailed.name)
        tailed.replaced = True
        position = Position(
            old.name, old.inode, 0, reserved=max(old.reserved, old.offset, tailed.cursor), since=old.since
        )
        self._known[old.name, old.inode] = position
        again = TailedFile(tailed.fd, tailed.stem, tailed.worker, position)
        again.listed = tailed.listed
        self._open[old.inode] = again

    def _chunk(self, tailed: TailedFile, limit: int) -> Chunk | None:
        start = tailed.cursor
        size = self._chunk_bytes
        while True:
            data = os.pread(tailed.fd, min(size, limit - start), start)
            end = data.rfind(b"\n") + 1
            if end:
                break
            if not data or len(data) < size or size >= MAX_LINE:
                if len(data) < MAX_LINE:
                    return None  # a line that is not finished; the gateway's never end so
                end = len(data)
                break
            size *= 2
        lines = data[:end].removesuffix(b"\n").split(b"\n", MAX_LINES)
        if len(lines) > MAX_LINES:
            end -= len(lines.pop()) + 1
        if not tailed.position.head:
            tailed.position.head = _head(tailed.fd, f"{min(limit, HEAD_BYTES)}:")
        tailed.cursor = start + end
        return Chunk(tailed, start, start + end, lines, start < tailed.doubt)

    def _find_strays(self, listed: set[int]) -> None:
        """Find files that were renamed while no shipper ran."""
        for position in [*self._known.values()]:
            if position.inode in listed:
                continue
            path = self._source.find(position.inode, rejected=self._rejected)
            if path is None or not _begins(path, position.head):
                continue
            stem = Path(position.name).name.removesuffix(".ndjson")
            status = path.stat()
            self._follow(path, _Renamed(position.name, stem, self.lane, position.inode, status.st_size), position)
        self._strays_found = True  # not if one of them could not be read: the next look forgets those that are not open

    def _close_done(self, newest: str) -> None:
        """Close files that are shipped and will not grow."""
        for inode, tailed in list(self._open.items()):
            position = tailed.position
            done = position.offset >= position.size and tailed.cursor == position.offset
            # The sink notices only at its next check that a file was renamed, and writes to it until then.
            if done and (tailed.stem[:8] < newest or not tailed.listed) and not self._source.is_open(inode):
                if os.fstat(tailed.fd).st_size > position.offset:
                    continue  # it has grown since it was looked at
                os.close(tailed.fd)
                del self._open[inode]

    def prune(self, files: Iterable[SourceFile]) -> None:
        """Forget the positions of files that are gone; report what was not shipped of them."""
        listed = {(file.name, file.inode) for file in files}
        for key, position in list(self._known.items()):
            if key in listed or position.inode in self._open:
                continue
            del self._known[key]
            if position.size > position.offset:
                self._on_lost(position.name, position.size - position.offset)


def lane_of(name: str) -> Lane:
    """Return the lane of a file, by its name in the sink's directory."""
    parts = Path(name).name.split(".")
    worker = int(parts[1][1:]) if len(parts) == 3 and parts[1][1:].isdigit() else 0
    return Lane("rejected" if name.startswith("rejected/") else "events", worker)


def _begins(path: Path, head: str) -> bool:
    """Return whether a file begins as its digest says; an inode may be another file's by now."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return bool(head) and _head(fd, head) == head
    finally:
        os.close(fd)


def _differs(tailed: TailedFile) -> bool:
    """Return whether a file begins differently than when it was first read."""
    head = tailed.position.head
    return bool(head) and head != _head(tailed.fd, head)


def _head(fd: int, like: str) -> str:
    """Return the digest of a file's first bytes, of as many as ``like`` is of: ``<bytes>:<CRC-32>``."""
    size = int(like.partition(":")[0])
    return f"{size}:{zlib.crc32(os.pread(fd, size, 0)):08x}"


class _Renamed(NamedTuple):
    """A file under another name, as the file that it was."""

    name: str
    stem: str
    lane: Lane
    inode: int
    size: int

    @property
    def worker(self) -> int:
        return self.lane.worker

    @property
    def rejected(self) -> bool:
        return self.lane.stream == "rejected"

    @property
    def day(self) -> str:
        return self.stem[:8]
