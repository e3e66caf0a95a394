"""The files and positions of one directory: all that the shipper does with the disk, and the work on lines.

Synchronous; every call may wait for the disk. It belongs to one thread, but for the properties.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from logops_fast.errors import StartupError
from logops_fast.files.locks import try_lock
from logops_fast.shipper import unshippable
from logops_fast.shipper.delivery import Refused
from logops_fast.shipper.entries import Entry, EntryMaker, Place, timestamp_ns
from logops_fast.shipper.metrics import ShipMetrics
from logops_fast.shipper.positions import FILE, Position, PositionsError, Saved, load, save
from logops_fast.shipper.push_request import SECOND
from logops_fast.shipper.source import Source, SourceFile
from logops_fast.shipper.tail import Chunk, Lane, Tail, lane_of

RESERVE: Final = 8 << 20
"""Bytes that a lane may push before its positions are saved again; what a crash leaves in doubt."""
LONGEST_DOUBT: Final = 7 * 24 * 3600 * SECOND
"""How far back, in ns, a lost process may have pushed a line with the time of shipping."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShipOptions:
    """How to ship. Times in seconds, but ``query_within`` in ns (0: Loki finds entries of any age)."""

    directory: Path
    """The sink's."""
    state: Path
    """Where positions and unshippable entries are."""
    machine: str
    """As configured; empty for that of the positions, or ``hostname`` at first."""
    hostname: str
    from_beginning: bool
    imported: dict[str, int] | None
    """Positions of another collector, for the first start."""
    chunk_bytes: int
    poll_interval: float
    settle: float
    base_delay: float
    max_delay: float
    may_query: bool
    query_within: int


class Batch(NamedTuple):
    """A chunk and its entries."""

    chunk: Chunk
    place: Place
    entries: list[Entry]


class Ledger:
    """Reads chunks of each lane, and keeps account of what is in Loki. ``wall`` returns ns."""

    def __init__(self, options: ShipOptions, source: Source, metrics: ShipMetrics, wall: Callable[[], int]) -> None:
        self._options = options
        self._source = source
        self._metrics = metrics
        self._wall = wall
        self._path = options.state / FILE
        self._saved: list[Position] = []
        self._tails: dict[Lane, Tail] = {}
        self._dirty = False
        self._lock_fd = -1
        self.machines: tuple[str, ...] = ()
        """The machine's name, and the one that lines were shipped under before, if it was another."""

    def __repr__(self) -> str:
        return f"<Ledger {self._options.directory} {list(self._tails.values())!r}>"

    @property
    def lanes(self) -> list[Lane]:
        """The lanes that there are."""
        return list(self._tails)

    def pending(self, lane: Lane) -> int:
        """Return the acknowledged bytes of a lane that are not in Loki, as far as was seen."""
        return self._tails[lane].pending

    def open(self) -> None:
        """Lock the directory and read the positions. Raises StartupError."""
        options = self._options
        try:
            options.directory.mkdir(parents=True, exist_ok=True)
            fd = os.open(options.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if not try_lock(fd):
                os.close(fd)
                raise StartupError(f"another shipper ships {options.directory}: two would push every line twice")
            self._lock_fd = fd
            options.state.mkdir(parents=True, exist_ok=True)
            self._load()
        except OSError as error:
            raise StartupError(f"{error.filename or options.state}: {error.strerror}") from None

    def _load(self) -> None:
        options = self._options
        files = [*self._source.files(), *(file for file, _ in self._source.moved())]
        try:
            saved = load(self._path)
        except ValueError as error:
            logger.error(  # noqa: TRY400 - one line
                "%s; asking Loki for every line that there is, which takes a while", error
            )
            now = self._wall()
            saved = Saved(
                options.machine or options.hostname,
                [Position(f.name, f.inode, 0, reserved=f.size, since=_earliest(f, now)) for f in files],
            )
        if saved is None:
            saved = Saved(options.machine or options.hostname, self._first_positions(files))
            skipped = 0 if options.imported is not None else sum(position.offset for position in saved.files)
            if skipped:
                logger.info(
                    "first start: %d bytes that are in %s already are not shipped; if they are to be, stop, remove %s "
                    "and start with --from beginning",
                    skipped,
                    options.directory,
                    self._path,
                )
        elif options.imported is not None:
            raise PositionsError(f"{self._path} exists: positions are imported at the first start only")
        machine = options.machine or saved.machine
        self.machines = tuple(dict.fromkeys((machine, saved.machine)))
        self._saved = saved.files
        for lane in {lane_of(position.name) for position in saved.files}:
            self._add_tail(lane)
        save(self._path, self._to_save())

    def _first_positions(self, files: Sequence[SourceFile]) -> list[Position]:
        """Where to begin in files that are there already."""
        options, now = self._options, self._wall()
        positions = []
        for file in files:
            limit = self._source.limit(file.inode, file.size, file.worker)
            reserved = 0
            if options.imported is not None:
                # What another collector had pushed beyond its position carries no seq: Loki cannot be asked for it.
                offset = min(options.imported.get(file.name, limit if _older(file, options.imported) else 0), limit)
            elif options.from_beginning:
                offset, reserved = 0, limit
            else:
                offset = limit
            positions.append(Position(file.name, file.inode, offset, reserved, now, limit))
        return positions

    def _add_tail(self, lane: Lane) -> None:
        mine = [position for position in self._saved if lane_of(position.name) == lane]
        self._tails[lane] = Tail(
            self._options.directory,
            lane,
            self._source,
            mine,
            chunk_bytes=self._options.chunk_bytes,
            wall=self._wall,
            on_lost=self._lost,
        )

    def refresh(self) -> None:
        """Look at the directory: new files and lanes, renamed and removed files. Raises OSError."""
        files = self._source.files()
        moved = self._source.moved()
        for file in (*files, *(file for file, _ in moved)):
            lane = Lane("rejected" if file.rejected else "events", file.worker)
            if lane not in self._tails:
                self._add_tail(lane)
        failed: OSError | None = None
        for tail in self._tails.values():
            try:
                tail.refresh(files, moved)
            except OSError as error:  # a file that cannot be opened keeps no other lane from its own
                failed = error
            else:
                tail.prune(files)
        if failed is not None:
            raise failed

    def read(self, lane: Lane, maker: EntryMaker) -> Batch | None:
        """Return the next batch of a lane, or None if there is none at the moment. Raises OSError."""
        chunk = self._tails[lane].read()
        if chunk is None:
            return None
        place = Place(lane.stream, f"{self.machines[0]}-{lane.worker}", chunk.file.stem)
        moved = maker.moved
        entries = maker.make(place, chunk.start, chunk.lines, self._wall())
        self._metrics.moved(maker.moved - moved)
        chunk.lines.clear()
        return Batch(chunk, place, entries)

    def reserve(self, lane: Lane, chunk: Chunk) -> None:
        """Make sure that the saved positions cover a push of this chunk. Raises OSError."""
        position = chunk.file.position
        before = position.reserved
        if self._tails[lane].reserve(chunk, RESERVE):
            try:
                save(self._path, self._to_save())
            except OSError:
                position.reserved = before  # what is not on the disk covers nothing
                raise
            self._dirty = False

    def rewind(self, lane: Lane) -> None:
        """Read a lane again from its positions on, in doubt."""
        self._tails[lane].rewind()

    def finish(self, lane: Lane, batch: Batch, refused: Sequence[Refused]) -> None:
        """Move the position past a batch whose lines are in Loki, but for those that it refused. Raises OSError."""
        if refused:
            unshippable.keep(self._options.state, batch.place, refused)
            paths = unshippable.files(self._options.state)
            self._metrics.unshippable_bytes.set(unshippable.total(paths))
            one = refused[0]
            logger.error(
                "Loki does not take %d lines, kept in %s: %s",
                len(refused), self._options.state / unshippable.FOLDER, one.text[:300] or one.reason,
            )  # fmt: skip
        self._tails[lane].shipped(batch.chunk)
        self._dirty = True

    def _to_save(self) -> Saved:
        positions = [position for tail in self._tails.values() for position in tail.positions]
        return Saved(self.machines[0], positions)

    def save(self) -> None:
        """Save the positions if they have moved. Raises OSError."""
        if self._dirty:
            save(self._path, self._to_save())
            self._dirty = False

    def close(self, under_way: Collection[Lane]) -> None:
        """Save the positions and close everything; lanes with a push ``under_way`` stay in doubt. Raises OSError."""
        try:
            if self.machines:
                for lane, tail in self._tails.items():
                    if lane not in under_way:
                        tail.settle()
                    save(self._path, self._to_save())
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close everything, and save nothing."""
        for tail in self._tails.values():
            tail.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _lost(self, name: str, size: int) -> None:
        self._metrics.lost()
        logger.error("%s was removed before %d bytes of it were shipped", name, size)


def _earliest(file: SourceFile, now: int) -> int:
    """Return the earliest time, in ns, at which a line of a file may have been shipped: not before its day began.

    Loki is asked for lines with the time of shipping since then, and the longer that is, the more it has to read.
    """
    day = timestamp_ns(f"{file.day[:4]}-{file.day[4:6]}-{file.day[6:]}T00:00:00Z")
    return max(now - LONGEST_DOUBT, 0 if day is None else min(day, now))


def _older(file: SourceFile, imported: dict[str, int]) -> bool:
    """Return whether a file is of a day before all that the other collector followed: it shipped that one long ago."""
    days = [Path(name).name[:8] for name in imported]
    return file.day < min(days)
