"""The retry budget: how many failed requests may be tried again.

Back-off spreads retries out, the budget keeps them few: without it a slow downstream receives ``max_attempts`` times
its traffic just when it can least afford to.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from logops_fast.authgw.circuit_breaker import SlidingWindow


class RetryBudget:
    """Limits retries to ``ratio`` of the requests of the last ``window`` seconds.

    ``floor`` retries per window are allowed however few requests there are, so that a quiet service can retry at all.
    ``clock`` is monotonic, in seconds.

    Raises:
        ValueError: if ``ratio`` or ``floor`` is negative.
    """

    __slots__ = ("_clock", "_floor", "_ratio", "_window")

    def __init__(
        self,
        ratio: float = 0.2,
        window: float = 10.0,
        floor: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not ratio >= 0 or floor < 0:
            raise ValueError(f"a retry budget needs ratio and floor of at least 0, not {ratio!r} and {floor!r}")
        self._ratio = ratio
        self._floor = floor
        self._clock = clock
        self._window = SlidingWindow(window)  # first: requests, second: retries

    def request(self) -> None:
        """Count a request (its first try)."""
        self._window.add(self._clock(), 1)

    def take(self) -> bool:
        """Claim one retry. Return False, and count nothing, if the budget is spent."""
        window = self._window
        now = self._clock()
        window.advance(now)
        if window.second + 1 > max(self._floor, self._ratio * window.first + 1e-9):
            return False
        window.add(now, 0, 1)
        return True
