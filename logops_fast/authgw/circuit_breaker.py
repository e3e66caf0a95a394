"""A circuit breaker: after too many failures the downstream is left alone for a while, then tried with a few probes.

Pure: time is a parameter. Counts lie in a fixed number of time buckets, so that neither memory nor cost grows
with traffic, and results older than the window are forgotten. Every change of state starts a new *generation*; an
admitted call carries the number of its own and reports with it, so that a late result from before an opening is neither
a probe nor counted.

What one sender's batches bring about must not stop all others. A failure that a batch may have caused is therefore
counted for its sender too: each sender has a breaker of its own, and the common one opens only if what the worst sender
did is not all there is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

MAX_BUCKETS: Final = 30
"""Time buckets of a window: its edge is exact to a thirtieth (one second in thirty)."""


class SlidingWindow:
    """Two running counts over the last ``seconds``, in at most ``MAX_BUCKETS`` buckets.

    ``now`` is monotonic; should it run backwards all the same, counts go to the newest bucket.
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
        """Forget what has left the window by ``now`` (seconds); ``first`` and ``second`` are the sums after that."""
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
        """Add to the counts at ``now``."""
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

    It stays open for ``open_for`` seconds, then lets ``half_open_probes`` calls through: if all succeed it closes with
    an empty window, one failure opens it again. Probes without a result ``probe_timeout`` seconds after the last of
    them count as lost, and a new set is let through; it should be longer than a call may take. ``clock`` is monotonic.

    Raises:
        ValueError: for parameters that cannot work.
    """

    __slots__ = (
        "_clock",
        "_generation",
        "_min_calls",
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
        clock: Callable[[], float] = time.monotonic,
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
        self._clock = clock
        self._state = BreakerState.CLOSED
        self._generation = 1
        self._since = 0.0  # open: when it opened; half-open: when the last probe was let through
        self._probes_left = 0
        self._probes_good = 0

    @property
    def state(self) -> BreakerState:
        """The state now; an opening whose time is over is half-open at once, since the next call will be a probe."""
        if self._state is not BreakerState.CLOSED:
            self._tick(self._clock())
        return self._state

    def allow(self) -> int:
        """Admit a call: return its token for ``record`` (1 and up), or 0 if it must not be made."""
        if self._state is BreakerState.CLOSED:
            return self._generation
        now = self._clock()
        self._tick(now)
        if self._state is BreakerState.OPEN or not self._probes_left:
            return 0
        self._probes_left -= 1
        self._since = now
        return self._generation

    def record(self, ok: bool, token: int, worst: Callable[[], SlidingWindow | None] | None = None) -> None:
        """Report the result of an admitted call; one of an earlier generation is ignored.

        ``worst`` returns calls and failures of the sender with the most failures, if any: without those, the share of
        failures must be over the threshold too, unless there are no other calls.
        """
        if token != self._generation:
            return
        now = self._clock()
        if self._state is BreakerState.CLOSED:
            window = self._window
            window.add(now, 1, not ok)
            if window.second and window.first >= self._min_calls and self._too_many(window.first, window.second):
                calls, failures = window.first, window.second
                one = worst() if worst is not None else None
                if one is not None:
                    calls, failures = calls - one.first, failures - one.second
                if calls <= 0 or self._too_many(calls, failures):
                    self._enter(BreakerState.OPEN, now)
        elif self._state is BreakerState.HALF_OPEN:
            if not ok:
                self._enter(BreakerState.OPEN, now)
                return
            self._probes_good += 1
            if self._probes_good >= self._probes:
                self._enter(BreakerState.CLOSED, now)

    def withdraw(self, token: int) -> None:
        """Take back an admitted call that was not made: it counts for nothing, and a probe may be used again."""
        if token == self._generation and self._state is BreakerState.HALF_OPEN:
            self._probes_left += 1

    def retry_after(self) -> int:
        """Return the whole seconds (at least 1) until calls may be let through again; 0 while closed."""
        if self._state is BreakerState.CLOSED:
            return 0
        now = self._clock()
        self._tick(now)
        if self._state is BreakerState.HALF_OPEN:
            return 1
        return max(1, math.ceil(self._since + self._open_for - now))

    def _too_many(self, calls: int, failures: int) -> bool:
        # The share as a product, with a little slack: 0.07 * 100 is a little over 7.
        return failures >= self._threshold * calls - 1e-9

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


MAX_SENDERS: Final = 1000
"""Senders with a breaker of their own; past that, those that have been quiet lose theirs."""


class Admission(NamedTuple):
    """A call that was admitted: by which breakers, and with which tokens."""

    sender: str
    own: int
    common: int


class _Sender:
    """One sender's breaker, and what it did in the window: calls, and failures that its batches may have caused."""

    __slots__ = ("breaker", "window")

    def __init__(self, breaker: CircuitBreaker, window: SlidingWindow) -> None:
        self.breaker = breaker
        self.window = window


class SenderBreakers:
    """The common breaker, and one for each sender. ``make`` returns a new breaker; ``window`` is in seconds."""

    __slots__ = ("_clock", "_make", "_seconds", "_senders", "common")

    def __init__(
        self,
        make: Callable[[], CircuitBreaker],
        window: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.common: Final = make()
        self._make = make
        self._seconds = window
        self._clock = clock
        self._senders: dict[str, _Sender] = {}

    def allow(self, sender: str) -> Admission | None:
        """Admit a call of ``sender``; None if its own breaker or the common one is open."""
        known = self._senders.get(sender)
        own = known.breaker.allow() if known is not None else 1
        if not own:
            return None
        common = self.common.allow()
        if not common:
            if known is not None:
                known.breaker.withdraw(own)
            return None
        return Admission(sender, own, common)

    def record(self, admission: Admission, ok: bool, *, by_batch: bool = False) -> None:
        """Report a result; ``by_batch`` if the batch itself may have caused a failure (it refuses no connection)."""
        now = self._clock()
        sender = self._senders.get(admission.sender)
        blamed = by_batch and not ok
        if sender is None:
            if not blamed:
                self.common.record(ok, admission.common, self._worst)
                return
            sender = self._add(admission.sender)
        sender.window.add(now, 1, blamed)
        if ok or blamed:
            sender.breaker.record(ok, admission.own)
        else:
            sender.breaker.withdraw(admission.own)
        self.common.record(ok, admission.common, self._worst)

    def withdraw(self, admission: Admission) -> None:
        """Take back an admitted call that was not made."""
        sender = self._senders.get(admission.sender)
        if sender is not None:
            sender.breaker.withdraw(admission.own)
        self.common.withdraw(admission.common)

    def retry_after(self, sender: str) -> int:
        """Return the whole seconds until a call of ``sender`` may be let through again; 0 if it may now."""
        known = self._senders.get(sender)
        return max(self.common.retry_after(), known.breaker.retry_after() if known is not None else 0)

    def own_is_open(self, sender: str) -> bool:
        """Whether it is the sender's own breaker that holds its calls back, and not the common one."""
        known = self._senders.get(sender)
        own_state = known.breaker.state if known is not None else BreakerState.CLOSED
        return own_state is not BreakerState.CLOSED and self.common.state is BreakerState.CLOSED

    def _add(self, name: str) -> _Sender:
        if len(self._senders) >= MAX_SENDERS:
            now = self._clock()
            for sender in self._senders.values():
                sender.window.advance(now)
            busy = {
                name: sender
                for name, sender in self._senders.items()
                if sender.window.second or sender.breaker.state is not BreakerState.CLOSED
            }
            self._senders = busy if len(busy) < MAX_SENDERS else {}
        sender = self._senders[name] = _Sender(self._make(), SlidingWindow(self._seconds))
        return sender

    def _worst(self) -> SlidingWindow | None:
        """Return the window of the sender with the most failures of its own."""
        now = self._clock()
        worst: SlidingWindow | None = None
        for sender in self._senders.values():
            window = sender.window
            window.advance(now)
            if window.second and (worst is None or window.second > worst.second):
                worst = window
        return worst
