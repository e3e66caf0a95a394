"""Batches that wait for the disk, in the order in which they came, and the next group of them.

Pure: clocks are parameters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from logops_fast.ingest.sink.commit_log import LedgerEntry, encode_entry
from logops_fast.ingest.sink.day_files import DAY_SECONDS, day_of
from logops_fast.ingest.sink.gathering import LARGE_BYTES, move_group
from logops_fast.ingest.sink.group_writer import Group
from logops_fast.ingest.sink.interface import OnStored


class WaitingBatch:
    """A batch, the day on which it came, and its caller."""

    __slots__ = ("day", "encoded", "entry", "lines", "on_stored", "rejected", "since", "size")

    def __init__(
        self,
        day: str,
        lines: bytes,
        rejected: bytes,
        entry: LedgerEntry | None,
        encoded: bytes | None,
        on_stored: OnStored,
        since: float,
    ) -> None:
        self.day = day
        self.lines = lines
        self.rejected = rejected
        self.entry = entry
        self.encoded = encoded
        self.on_stored = on_stored
        self.size = len(lines) + len(rejected)
        self.since = since


class WaitingBatches:
    """A queue of batches. ``wall`` (epoch seconds) gives their day, ``clock`` (monotonic seconds) their wait."""

    __slots__ = ("_after_large", "_clock", "_day", "_day_start", "_wall", "batches")

    def __init__(self, wall: Callable[[], float], clock: Callable[[], float]) -> None:
        self._wall = wall
        self._clock = clock
        self._day = ""
        self._day_start = 0.0
        self._after_large = False
        self.batches: deque[WaitingBatch] = deque()
        """What waits, the oldest first; ``since`` of each is on ``clock``."""

    def add(self, lines: bytes, rejected: bytes, entry: LedgerEntry | None, on_stored: OnStored) -> None:
        """Add a batch that comes now."""
        now = self._wall()
        if not 0.0 <= now - self._day_start < DAY_SECONDS:
            self._day = day_of(now)
            self._day_start = now // DAY_SECONDS * DAY_SECONDS
        encoded = None if entry is None else encode_entry(entry)
        self.batches.append(WaitingBatch(self._day, lines, rejected, entry, encoded, on_stored, self._clock()))

    def take(self, group: Group, batches: list[WaitingBatch]) -> bool:
        """Move the next group of what waits (see `gathering`) to ``group`` and ``batches``; return whether it is large.

        If it raises, as without memory, ``batches`` has what does not wait any more.
        """
        move_group(self.batches, batches, after_large=self._after_large)
        for batch in batches:
            group.add(batch.lines, batch.rejected, batch.encoded)
        self._after_large = batches[0].size > LARGE_BYTES
        return self._after_large

    def put_back(self, batches: list[WaitingBatch]) -> None:
        """Let batches that were taken wait again, before all others."""
        self.batches.extendleft(reversed(batches))
