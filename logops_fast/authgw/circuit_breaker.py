"""A circuit breaker: after too many failures the downstream is left alone for a while, then tried with a few probes.

Pure: time comes in as ``mono``. Counts lie in a fixed number of time buckets, so that neither memory nor cost grows
with traffic, and news older than the window is forgotten. Every change of state starts a new *generation*; an admitted
call carries the number of its own and reports with it, so that a late answer from before an opening is neither a probe
nor news.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Final

MAX_BUCKETS: Final = 30
"""Time buckets of a window: its edge is exact to a thirtieth (one second in thirty)."""


class SlidingWindow:
    """Two running counts over the last ``seconds``, in at most ``MAX_BUCKETS`` buckets.

    ``now`` may not run backwards (a monotonic clock); where it does, counts go to the newest bucket.
    """

    __slots__ = ("_first", "_newest", "_second", "_width", "first", "second")

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"a window needs a length above 0 s, not {seconds!r}")
        self._width = seconds / MAX_BUCKETS
        self._first = [0] * MAX_BUCKETS
        self._second = [0] * MAX_BUCKETS
        self._newest = -1
        self.first = 0
        self.second = 0

    def advance(self, now: float) -> None:
        """Forget what has left the window by ``now`` (seconds); ``first`` and ``second`` are the sums then."""
        index = int(now / self._width)
        passed = index - self._newest
        if passed <= 0:
            return
        self._newest = index
        if passed >= MAX_BUCKETS:
            self.clear()
            return
        for slot in range(index - passed + 1, index + 1):
            slot %= MAX_BUCKETS
            self.first -= self._first[slot]
            self.second -= self._second[slot]
            self._first[slot] = self._second[slot] = 0

    def add(self, now: float, first: int = 0, second: int = 0) -> None:
        """Count at ``now``."""
        self.advance(now)
        slot = self._newest % MAX_BUCKETS
        self._first[slot] += first
        self._second[slot] += second
        self.first += first
        self.second += second

    def clear(self) -> None:
        """Forget everything."""
        self._first = [0] * MAX_BUCKETS
        self._second = [0] * MAX_BUCKETS
        self.first = self.second = 0


class BreakerState(IntEnum):
    """The state, as the gauge ``logops_circuit_breaker_state`` shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitBreaker:
    """Opens at ``failure_threshold`` (a share, 0 to 1) of at least ``min_calls`` calls in ``window`` seconds.

    Stays open for ``open_for`` seconds, then lets ``half_open_probes`` calls through: all good closes it with an empty
    window, one bad opens it again. Probes still without a report ``probe_timeout`` seconds after the last of them was
    let through are given up for lost, and a new set is let through; it should be longer than a call may take.
    Raises ``ValueError`` for parameters that cannot work.
    """

    __slots__ = (
        "_generation",
        "_min_calls",
        "_mono",
        "_open_for",
        "_probe_timeout",
        "_probes",
        "_probes_good",
        "_probes_left",
        "_since",
        "_state",
        "_threshold",
        "_window",
    )

    def __init__(
        self,
        failure_threshold: float = 0.2,
        window: float = 30.0,
        min_calls: int = 20,
        open_for: float = 20.0,
        half_open_probes: int = 3,
        probe_timeout: float = 30.0,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < failure_threshold <= 1:
            raise ValueError(f"failure_threshold is a share above 0 and at most 1, not {failure_threshold!r}")
        if min_calls < 1 or half_open_probes < 1 or not (open_for > 0 and probe_timeout > 0):
            raise ValueError("min_calls and half_open_probes are at least 1, open_for and probe_timeout above 0 s")
        self._threshold = failure_threshold
        self._window = SlidingWindow(window)  # first: calls, second: failures among them
        self._min_calls = min_calls
        self._open_for = open_for
        self._probes = half_open_probes
        self._probe_timeout = probe_timeout
        self._mono = mono
        self._state = BreakerState.CLOSED
        self._generation = 1
        self._since = 0.0  # open: when it opened; half-open: when the last probe was let through
        self._probes_left = 0
        self._probes_good = 0

    @property
    def state(self) -> BreakerState:
        """The state now. An opening whose time is over is half-open at once: who waits for it may send probes."""
        if self._state is not BreakerState.CLOSED:
            self._tick(self._mono())
        return self._state

    def allow(self) -> int:
        """Admit a call: its token for ``record`` (1 and up), or 0 where it must not be made."""
        if self._state is BreakerState.CLOSED:
            return self._generation
        now = self._mono()
        self._tick(now)
        if self._state is BreakerState.OPEN or not self._probes_left:
            return 0
        self._probes_left -= 1
        self._since = now
        return self._generation

    def record(self, ok: bool, token: int) -> None:
        """Report how an admitted call went; one of an earlier generation is passed over."""
        if token != self._generation:
            return
        now = self._mono()
        if self._state is BreakerState.CLOSED:
            window = self._window
            window.add(now, 1, not ok)
            # The share as a product, with a hair's slack: 0.07 * 100 is a little over 7.
            enough = self._threshold * window.first - 1e-9
            if window.second and window.first >= self._min_calls and window.second >= enough:
                self._enter(BreakerState.OPEN, now)
        elif self._state is BreakerState.HALF_OPEN:
            if not ok:
                self._enter(BreakerState.OPEN, now)
                return
            self._probes_good += 1
            if self._probes_good >= self._probes:
                self._enter(BreakerState.CLOSED, now)

    def withdraw(self, token: int) -> None:
        """An admitted call was not made after all: it counts for nothing, and a probe may be used again."""
        if token == self._generation and self._state is BreakerState.HALF_OPEN:
            self._probes_left += 1

    def retry_after(self) -> int:
        """Whole seconds (rounded up, at least 1) until calls may be let through again; 0 while closed."""
        if self._state is BreakerState.CLOSED:
            return 0
        now = self._mono()
        self._tick(now)
        if self._state is BreakerState.HALF_OPEN:
            return 1
        return max(1, math.ceil(self._since + self._open_for - now))

    def _tick(self, now: float) -> None:
        waited = now - self._since
        if self._state is BreakerState.OPEN:
            over = waited >= self._open_for
        else:
            over = not self._probes_left and waited >= self._probe_timeout
        if over:
            self._enter(BreakerState.HALF_OPEN, now)

    def _enter(self, state: BreakerState, now: float) -> None:
        self._state = state
        self._generation += 1
        self._since = now
        self._probes_left = self._probes if state is BreakerState.HALF_OPEN else 0
        self._probes_good = 0
        if state is BreakerState.CLOSED:
            self._window.clear()
