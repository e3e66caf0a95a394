"""What is counted while a batch is normalised, and the times of receipt that its events get."""

from __future__ import annotations

from logops_fast.ingest.epoch import utc_seconds
from logops_fast.ingest.levels import LEVELS


class Tally:
    """Counts of one batch, as in `normaliser.Normalised`; ``levels`` has each level, even if none was counted.

    ``receipt_micros``: microseconds since 1970, the time of receipt of the first event without a time of its own.
    """

    __slots__ = ("_fraction", "_second", "_seconds", "levels", "masked", "missing_level", "missing_ts")

    def __init__(self, receipt_micros: int) -> None:
        self.levels = dict.fromkeys(LEVELS, 0)
        self.masked: dict[str, int] = {}
        self.missing_ts = 0
        self.missing_level = 0
        self._seconds, self._fraction = divmod(receipt_micros, 1_000_000)
        self._second = ""

    def receipt(self) -> str:
        """Return the time of receipt of the next event without a time: each gets a microsecond of its own."""
        fraction = self._fraction
        if fraction == 1_000_000:
            fraction = 0
            self._seconds += 1
            self._second = ""
        if not self._second:
            self._second = utc_seconds(self._seconds) + "."
        self._fraction = fraction + 1
        # Not :06d: compiled code calls format() for it, which takes longer than all of the rest.
        return self._second + str(1_000_000 + fraction)[1:] + "Z"
