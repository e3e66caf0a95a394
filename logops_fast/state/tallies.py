"""How many live nonces each client holds: what decides who is refused first when their table is nearly full.

Counts are kept by slice of expiry, so a nonce that expires leaves the count without being looked at. They lie in the
extra memory of the table, shared by all workers and updated without a lock: two workers that add to one cell in the
same 100 ns may lose one count, which is gone with its slice a moment later and decides nothing.
"""

from __future__ import annotations

import struct
from typing import Final

from xxhash import xxh3_64_intdigest

from logops_fast.state.table import Table

ROWS: Final = 4096
"""Clients counted one by one; the first row is the sum, and all further clients share the second."""

SLICES: Final = 32
TALLY_BYTES: Final = ROWS * 8 + ROWS * SLICES * 8

_TOTAL: Final = 0
SHARED: Final = 1
_COUNT: Final = 0xFFFF_FFFF
_CELL: Final = struct.calcsize("Q")


class Tallies:
    """The counts of one table; ``lifetime`` is the longest time that an entry lives, in seconds.

    A row holds the hash of its client and a ring of cells; a cell holds the number of its slice (upper 32 bits) and how
    many entries expire within it.
    """

    __slots__ = ("_cells", "_known", "_owners", "_table", "_width")

    def __init__(self, table: Table, lifetime: float) -> None:
        self._table = table
        self._owners = table.extra[: ROWS * _CELL].cast("Q")
        self._cells = table.extra[ROWS * _CELL : TALLY_BYTES].cast("Q")
        # One slice is being filled and one is running out while all others are whole.
        self._width = max(1, int(lifetime / (SLICES - 2)) + 1)
        self._known: dict[bytes, int] = {}

    def row(self, owner: bytes) -> int:
        """Return the row of a client, assigning one on its first use. Raises OSError if the lock is refused."""
        row = self._known.get(owner)
        if row is not None:
            return row
        row = self._assign(xxh3_64_intdigest(owner, self._table.seed) | 1)
        if row != SHARED:
            self._known[owner] = row
        return row

    def add(self, row: int, expiry: int) -> None:
        """Count an entry that lives until ``expiry`` (whole seconds)."""
        cells = self._cells
        number = expiry // self._width
        total = number % SLICES  # the first row is the sum
        own = row * SLICES + total
        cell = cells[own]
        cells[own] = cell + 1 if cell >> 32 == number else number << 32 | 1
        cell = cells[total]
        cells[total] = cell + 1 if cell >> 32 == number else number << 32 | 1

    def take_back(self, row: int, expiry: int) -> None:
        """Count an entry no longer, before its time."""
        number = expiry // self._width
        for each in (row, _TOTAL):
            at = each * SLICES + number % SLICES
            cell = self._cells[at]
            if cell >> 32 == number and cell & _COUNT:
                self._cells[at] = cell - 1

    def held(self, row: int, now: float) -> int:
        """Return how many entries of a row are alive at ``now``; one slice of time too many at the most."""
        first = row * SLICES
        total = 0
        oldest = int(now) // self._width
        for cell in self._cells[first : first + SLICES]:
            if cell >> 32 >= oldest:
                total += cell & _COUNT
        return total

    def total(self, now: float) -> int:
        """Return how many entries are alive in all."""
        return self.held(_TOTAL, now)

    def most(self, now: float) -> int:
        """Return how many entries the client with the most of them holds."""
        used = [row for row in range(SHARED, ROWS) if row == SHARED or self._owners[row]]
        return max(self.held(row, now) for row in used)

    def close(self) -> None:
        """Release the views of the table's memory."""
        self._owners.release()
        self._cells.release()

    def _assign(self, identity: int) -> int:
        """Return the row of a hash: its own, or the next free one from where it belongs, or the shared row."""
        owners, table = self._owners, self._table
        table.lock(table.words_lock)
        try:
            row = start = 2 + identity % (ROWS - 2)
            while owners[row] not in (0, identity):
                row = row + 1 if row + 1 < ROWS else 2
                if row == start:
                    return SHARED
            owners[row] = identity
        finally:
            table.unlock(table.words_lock)
        return row
