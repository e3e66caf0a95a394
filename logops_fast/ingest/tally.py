"""What is counted while a batch is normalised, and the times of receipt that its events get."""

from __future__ import annotations

from typing import Final

from logops_fast.ingest.epoch import utc_seconds

_SECOND: Final = 1_000_000


class Tally:
    """Counts of one batch, as in `normaliser.Normalised`, levels in the order in which they came.

    ``received_at``: seconds since 1970, from which on each event without a time gets a microsecond of its own;
    ``receipts_before``: how many of those were given out before.
    """

    __slots__ = ("_before", "_fraction", "_received_at", "_second", "levels", "masked", "missing_level", "missing_ts")

    def __init__(self, received_at: float, receipts_before: int = 0) -> None:
        self.levels: dict[str, int] = {}
        self.masked: dict[str, int] = {}
        self.missing_ts = 0
        self.missing_level = 0
        self._received_at = received_at
        self._before = receipts_before
        self._second = ""
        self._fraction = 0

    def receipt(self) -> str:
        """Return the time of receipt of the next event without a time."""
        if not self._second or self._fraction == _SECOND:
            seconds, self._fraction = divmod(round(self._received_at * 1e6) + self._before, _SECOND)
            self._second = utc_seconds(seconds) + "."
        self._before += 1
        self._fraction += 1
        # Not :06d: compiled code calls format() for it, which takes longer than all of the rest.
        return self._second + str(_SECOND + self._fraction - 1)[1:] + "Z"
