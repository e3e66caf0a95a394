"""When a failed request may be tried again, and after how long.

Back-off with full jitter keeps the tries of many clients apart; the budget keeps them few: without it a slow
downstream gets ``max_attempts`` times its traffic just when it can bear it least.
"""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable
from typing import Final

from logops_fast.authgw.circuit_breaker import SlidingWindow

MAX_DOUBLINGS: Final = 62
"""Back-off stops doubling here, whatever its bound, so that no attempt number overflows a float."""


class Backoff:
    """Exponential back-off with full jitter: uniform between 0 and ``min(max_delay, base_delay * 2**(n-1))`` seconds.

    ``random`` gives floats in [0, 1). Raises ``ValueError`` unless 0 < base_delay <= max_delay.
    """

    __slots__ = ("_base", "_max", "_random")

    def __init__(
        self,
        base_delay: float = 0.1,
        max_delay: float = 1.5,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if not 0 < base_delay <= max_delay:
            raise ValueError(f"back-off needs 0 < base_delay <= max_delay, not {base_delay!r} and {max_delay!r}")
        self._base = base_delay
        self._max = max_delay
        self._random = random

    def delay(self, failures: int) -> float:
        """Seconds to wait after ``failures`` failed tries (1 and up)."""
        ceiling = self._base * float(2 ** min(failures - 1, MAX_DOUBLINGS))
        return self._random() * min(self._max, ceiling)


class RetryBudget:
    """Retries are at most ``ratio`` of the requests of the last ``window`` seconds.

    ``floor`` retries a window are allowed however few requests there are: a quiet service may retry at all.
    Raises ``ValueError`` for a negative ratio or floor.
    """

    __slots__ = ("_floor", "_mono", "_ratio", "_window")

    def __init__(
        self,
        ratio: float = 0.2,
        window: float = 10.0,
        floor: int = 3,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        if not ratio >= 0 or floor < 0:
            raise ValueError(f"a retry budget needs ratio and floor of at least 0, not {ratio!r} and {floor!r}")
        self._ratio = ratio
        self._floor = floor
        self._mono = mono
        self._window = SlidingWindow(window)  # first: requests, second: retries

    def request(self) -> None:
        """Count a request (its first try)."""
        self._window.add(self._mono(), 1)

    def take(self) -> bool:
        """Claim one retry; false where the budget is spent, and then nothing is counted."""
        window = self._window
        now = self._mono()
        window.advance(now)
        if window.second + 1 > max(self._floor, self._ratio * window.first + 1e-9):
            return False
        window.add(now, 0, 1)
        return True
