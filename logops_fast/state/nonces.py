"""Nonces in a table: an atomic insert, and a horizon behind which nothing is fresh."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Final

from logops_fast.state.interface import NonceVerdict
from logops_fast.state.table import Geometry, Table

KIND: Final = b"nonces"
_LAST_SECOND: Final = 0xFFFF_FFFF


def geometry(max_nonces: int) -> Geometry:
    """A table for so many nonces at a time: 20 bytes a slot, 29 for each nonce promised."""
    return Geometry.sized(KIND, max_nonces, "I", 1)


def fresh_horizon(started_at: float, tolerance: float) -> float:
    """The horizon of a table made at ``started_at`` (wall seconds): what was signed before then is not let in.

    It may have been used in a former life of the table. A request from a clock that runs ahead may have been
    too, by as much as that clock is ahead; refusing those as well would mean ``tolerance`` seconds without service.
    """
    return floor(started_at) + tolerance


def set_horizon(table: Table, horizon: float) -> None:
    """For a new table: whatever expires up to ``horizon`` (wall seconds) may have been used before it was made."""
    second = _whole(horizon)
    metas = table.metas
    for bucket in range(table.buckets):
        metas[2 * bucket] = second


class TableNonces:
    """Nonces of one table (a NonceStore). ``wall`` tells seconds of the wall clock.

    Expiry is kept in whole seconds, rounded down. A bucket's horizon is the latest expiry that it has forgotten:
    a nonce that expires no later might be one of those, so it is refused, and a clock that is set back brings nothing
    back to life. Horizons are per bucket because a key has but one, and its lock is held anyway.

    Order of the writes, for a process killed in between: horizon, key, expiry. A new key with an old expiry is
    a free slot.
    """

    __slots__ = ("_table", "_wall")

    def __init__(self, table: Table, wall: Callable[[], float]) -> None:
        self._table = table
        self._wall = wall

    def insert(self, key: bytes, expires_at: float, done: Callable[[NonceVerdict], None]) -> None:
        """See ``NonceStore``; answers before it returns."""
        table = self._table
        digest, bucket = table.locate(key)
        try:
            table.lock(bucket)
            try:
                verdict = self._insert(digest, bucket, _whole(expires_at))
            finally:
                table.unlock(bucket)
        except OSError:
            verdict = NonceVerdict.UNAVAILABLE
        done(verdict)

    def _insert(self, digest: bytes, bucket: int, expiry: int) -> NonceVerdict:
        table = self._table
        expiries, metas = table.values, table.metas
        now = self._wall()
        slot = table.find(digest, bucket)
        if slot >= 0:
            held = expiries[slot]
            if held > now or expiry <= held:
                return NonceVerdict.REPLAY
        horizon = metas[2 * bucket]
        if expiry <= horizon:
            return NonceVerdict.FORGOTTEN
        if slot < 0:
            slot = table.victim(bucket, now)
            held = expiries[slot]
            if held > now:
                return NonceVerdict.FULL
            if held > horizon:
                metas[2 * bucket] = held
            table.put(slot, digest)
        expiries[slot] = expiry
        return NonceVerdict.FRESH


def _whole(moment: float) -> int:
    # Rounded down, so that with a second of slack a stamp of the second before the start stays behind the
    # horizon and one of the same second does not.
    return min(max(floor(moment), 1), _LAST_SECOND)
