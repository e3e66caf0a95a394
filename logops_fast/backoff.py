"""How long to wait before trying again: one rule for retries, reconnects and restarts.

Exponential back-off with jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015): without jitter,
callers that failed together come back together.
"""

from __future__ import annotations

import random as random_module
from collections.abc import Callable
from typing import Final

MAX_DOUBLINGS: Final = 62
"""Doubling stops here whatever the bound, so that no number of failures overflows a float."""


class Backoff:
    """Exponential back-off: ``min(max_delay, base_delay * 2**(failures-1))`` seconds, less a random share.

    ``jitter`` is that share at most: 1 ("full jitter") waits between nothing and the whole delay, 0.5 between half of
    it and all of it, 0 exactly the delay. ``random`` returns floats in [0, 1).

    Raises:
        ValueError: unless 0 < base_delay <= max_delay and 0 <= jitter <= 1.
    """

    __slots__ = ("_base", "_jitter", "_max", "_random")

    def __init__(
        self,
        base_delay: float = 0.1,
        max_delay: float = 1.5,
        jitter: float = 1.0,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if not 0 < base_delay <= max_delay:
            raise ValueError(f"back-off needs 0 < base_delay <= max_delay, not {base_delay!r} and {max_delay!r}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"back-off needs a jitter of 0 to 1, not {jitter!r}")
        self._base = base_delay
        self._max = max_delay
        self._jitter = jitter
        self._random = random

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after ``failures`` failed tries (1 and up)."""
        ceiling = min(self._max, self._base * float(2 ** min(failures - 1, MAX_DOUBLINGS)))
        return ceiling * (1.0 - self._jitter * (1.0 - self._random()))
