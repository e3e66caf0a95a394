"""Nonces in a table: an atomic insert, and a horizon up to which nothing counts as new.

The table has three levels of 1, 3 and 12 sixteenths of its buckets, used one after the other as the former is full, so
that memory and file space are taken only as it fills (see ``state.growth``): a quiet gateway uses the first level, and
looks in no other. The bucket of a key in a
larger level determines its bucket in the first, whose lock therefore covers all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from math import ceil, floor
from typing import Final

from logops_fast.state.contention import Retries, ignore
from logops_fast.state.growth import Growth
from logops_fast.state.interface import NonceVerdict
from logops_fast.state.table import BUCKET_BYTES, Geometry, Table
from logops_fast.state.tallies import SHARED, TALLY_BYTES, Tallies

KIND: Final = b"nonces"

KEY_BYTES: Final = 8
SLOTS: Final = BUCKET_BYTES // KEY_BYTES
LOAD: Final = 0.75
"""Fill at the promised number of nonces, from which on the client that holds the most is refused.

The lower levels are then full and the last one is two thirds full. What is left is for all other clients: up to a fill
of 0.87, one bucket in a thousand overflows.
"""

LIFETIME: Final = 602.0
"""Seconds that a nonce lives at most with the default clock tolerance: twice 300 s, and the slack."""

_SIXTEENTHS: Final = (1, 3, 12)
# Bound once: an Enum member costs two look-ups each time it is named.
_FRESH: Final = NonceVerdict.FRESH
_UNAVAILABLE: Final = NonceVerdict.UNAVAILABLE
_CHECKS: Final = 128
"""How often the fill is looked at while the table fills once, apart from once a second."""
_LAST_SECOND: Final = 0xFFFF_FFFF
_HASH_OF: Final = struct.Struct("<Q").unpack_from


def geometry(max_nonces: int) -> Geometry:
    """Return a table for this many live nonces: 12 bytes a slot, 16 for each nonce promised."""
    buckets = ceil(max_nonces / (SLOTS * LOAD))
    if buckets > sum(_SIXTEENTHS):
        buckets = -(-buckets // 16) * 16
    return Geometry(KIND, buckets, "I", 1, TALLY_BYTES, KEY_BYTES)


def first_buckets(buckets: int) -> int:
    """Return how many of a table's buckets are its first level, which is used from the start."""
    return _levels(buckets)[0][1]


def fresh_horizon(started_at: float, tolerance: float) -> float:
    """Return the horizon of a table created at ``started_at`` (wall seconds): what was signed before is refused.

    It may have been used in an earlier life of the table. A request from a clock that runs ahead may have been
    too, by as much as that clock is ahead; refusing those as well would mean ``tolerance`` seconds without service.
    """
    return floor(started_at) + tolerance


def set_horizon(table: Table, horizon: float) -> None:
    """For a new table: whatever expires up to ``horizon`` (wall seconds) may have been used before it was created."""
    second = _whole(horizon)
    metas = table.metas
    for bucket in range(table.buckets):
        metas[2 * bucket] = second


class TableNonces:
    """Nonces of one table (a NonceStore). ``wall`` is the wall clock, ``lifetime`` the longest life of a nonce (s).

    Expiry is kept in whole seconds, rounded down. A bucket's horizon is the latest expiry that it has forgotten:
    a nonce that expires no later might be one of those, so it is refused, and a clock that is set back brings nothing
    back to life. Horizons are per bucket because a key has only one, and its lock is held anyway.

    Order of the writes, for a process killed in between: horizon, key, turn, expiry. A new key with an old expiry is
    a free slot, whether or not it is still the next in turn.

    Once the table is nearly full, a client that holds at least as much as the largest holder did at the last check is
    refused as ``CROWDED``: one client, at any rate, never takes the room of another. A table that
    cannot grow, because the file system is full, is full.
    """

    __slots__ = (
        "_first", "_growth", "_inserts", "_levels", "_looked_at", "_nearly_full",
        "_recheck", "_retries", "_table", "_tallies", "_top", "_wall",
    )  # fmt: skip

    def __init__(
        self,
        table: Table,
        wall: Callable[[], float],
        lifetime: float = LIFETIME,
        *,
        retries: Retries | None = None,
    ) -> None:
        self._table = table
        self._retries = Retries() if retries is None else retries
        self._wall = wall
        self._levels = _levels(table.buckets)
        self._first = self._levels[0][1]
        self._growth = Growth(table)
        self._tallies = Tallies(table, lifetime) if len(table.extra) >= TALLY_BYTES else None
        self._nearly_full = int(table.buckets * SLOTS * LOAD)
        self._recheck = self._nearly_full // _CHECKS
        self._looked_at = -1
        self._inserts = 0
        self._top = 0

    def insert(self, key: bytes, expires_at: float, done: Callable[[NonceVerdict], None]) -> None:
        """See ``NonceStore``; answers before it returns, unless another process holds the lock."""
        verdict = self.insert_now(key, expires_at)
        if verdict is None:
            self._retries.add(partial(self._try_insert, key, expires_at), done, _UNAVAILABLE)
        else:
            done(verdict)

    def insert_now(self, key: bytes, expires_at: float) -> NonceVerdict | None:
        """Insert a nonce and return the verdict; None, and nothing is done, if another process holds the lock."""
        try:
            return self._try_insert(key, expires_at)
        except BlockingIOError:
            return None
        except OSError:
            return _UNAVAILABLE

    def remove(self, key: bytes, expires_at: float) -> None:
        """See ``NonceStore``. What cannot be given back stays used, and the sender signs again."""
        try:
            self._try_remove(key, expires_at)
        except BlockingIOError:
            self._retries.add(partial(self._try_remove, key, expires_at), ignore, None)
        except OSError:
            return

    def restore(self, digest: bytes, expiry: int) -> bool:
        """Insert a nonce by its digest, when a table is taken over; return False if there is no room for it."""
        hashed: int = _HASH_OF(digest)[0]
        slot = self._room(hashed, self._wall())
        if slot < 0:
            return False
        self._table.put(slot, digest[8:])
        self._table.values[slot] = expiry
        if self._tallies is not None:
            self._tallies.add(SHARED, expiry)  # whose it was is not known any more
        return True

    def close(self) -> None:
        """Release the views of the table's memory."""
        if self._tallies is not None:
            self._tallies.close()

    def _try_insert(self, key: bytes, expires_at: float) -> NonceVerdict:
        table = self._table
        digest = table.digest(key)
        hashed: int = _HASH_OF(digest)[0]
        home = hashed % self._first
        row = self._tallies.row(key.partition(b"\0")[0]) if self._tallies is not None else 0
        table.lock(home)
        try:
            return self._insert(digest[8:], hashed, home, _whole(expires_at), row)
        finally:
            table.unlock(home)

    def _try_remove(self, key: bytes, expires_at: float) -> None:
        table = self._table
        digest = table.digest(key)
        hashed: int = _HASH_OF(digest)[0]
        home = hashed % self._first
        expiry = _whole(expires_at)
        row = self._tallies.row(key.partition(b"\0")[0]) if self._tallies is not None else 0
        table.lock(home)
        try:
            slot = self._find(digest[8:], hashed, home)
            if slot >= 0 and table.values[slot] == expiry:
                table.values[slot] = 0
                table.undo_turn(slot // SLOTS, slot)
                if self._tallies is not None:
                    self._tallies.take_back(row, expiry)
        finally:
            table.unlock(home)

    def _find(self, fingerprint: bytes, hashed: int, home: int) -> int:
        """Return the slot of a key, or -1, looking only in levels that were ever used."""
        table = self._table
        slot = table.find_used(fingerprint, home)
        if slot >= 0 or not table.words[1]:
            return slot
        for level in range(1, len(self._levels)):
            if not table.words[level]:
                break
            first, buckets = self._levels[level]
            bucket = first + hashed % buckets
            if self._growth.missing(bucket):
                continue
            slot = table.find(fingerprint, bucket)
            if slot >= 0:
                return slot
        return -1

    def _insert(self, fingerprint: bytes, hashed: int, home: int, expiry: int, row: int) -> NonceVerdict:
        table = self._table
        expiries, metas = table.values, table.metas
        now = self._wall()
        slot = self._find(fingerprint, hashed, home)
        if slot >= 0:
            held = expiries[slot]
            if held > now or expiry <= held:
                return NonceVerdict.REPLAY
        horizon = metas[2 * home]
        if expiry <= horizon:
            return NonceVerdict.FORGOTTEN
        tallies = self._tallies
        if tallies is not None:
            self._inserts += 1
            if self._inserts > self._recheck or int(now) != self._looked_at:
                self._look(tallies, now)
            if self._top > 0 and tallies.held(row, now) >= self._top:
                return NonceVerdict.CROWDED
        if slot < 0:
            slot = self._room(hashed, now)
            if slot < 0:
                top = 0 if tallies is None else tallies.most(now)
                most = tallies is not None and tallies.held(row, now) >= top
                return NonceVerdict.CROWDED if most else NonceVerdict.FULL
            held = expiries[slot]
            if held > horizon:
                metas[2 * home] = held
            table.put(slot, fingerprint)
        expiries[slot] = expiry
        if tallies is not None:
            tallies.add(row, expiry)
        return _FRESH

    def _room(self, hashed: int, now: float) -> int:
        """Return a free slot in the lowest level that has one, or -1. Only the last level is searched for holes."""
        table = self._table
        last = len(self._levels) - 1
        for level, (first, buckets) in enumerate(self._levels):
            bucket = first + hashed % buckets
            if level and self._growth.missing(bucket) and not self._growth.reserve(bucket, now):
                return -1
            if level < last:
                slot = table.next_in_turn(bucket, now)
            else:
                slot = table.victim(bucket, now)
                if table.values[slot] > now:
                    return -1
            if slot >= 0:
                if level:
                    table.words[level] = 1  # a word of its own for each level: there is no update to lose
                return slot
        return -1

    def _look(self, tallies: Tallies, now: float) -> None:
        """Note how much the largest holder has if the table is nearly full, and 0 otherwise."""
        self._looked_at = int(now)
        self._inserts = 0
        self._top = tallies.most(now) if tallies.total(now) >= self._nearly_full else 0


def _levels(buckets: int) -> tuple[tuple[int, int], ...]:
    """Return the first bucket and the number of buckets of each level; a small table has only one."""
    if buckets <= sum(_SIXTEENTHS):
        return ((0, buckets),)
    unit = buckets // 16
    return tuple((unit * sum(_SIXTEENTHS[:level]), unit * share) for level, share in enumerate(_SIXTEENTHS))


def _whole(moment: float) -> int:
    # Rounded down, so that with a second of slack a timestamp of the second before the start is within the
    # horizon and one of the same second is not.
    return min(max(floor(moment), 1), _LAST_SECOND)
