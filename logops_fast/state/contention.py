"""Retries an operation on a table whose lock another process holds: by timers, so that the event loop never waits.

A lock is held for microseconds, and ``Table.lock`` waits for about as long. Only a holder that has lost its processor,
was stopped (SIGSTOP, a debugger) or hangs in the kernel keeps one for longer, and then only one bucket of thousands:
what needs that bucket is retried here and in the end refused, and nothing else is affected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

FIRST_DELAY: Final = 0.001  # s; twice as long after each try
LONGEST_DELAY: Final = 0.05  # s
PATIENCE: Final = 1.0
"""Seconds after which an operation that a request waits for is given up."""
SLOW_DELAY: Final = 1.0
"""Seconds between further tries of an operation that is never given up."""

T = TypeVar("T")


def ignore(_result: object) -> None:
    """Do nothing with a result."""


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


class Retries:
    """The operations of one process that wait for a lock. Without a running event loop they wait where they are."""

    __slots__ = ("_needed", "_numbers", "_timers")

    def __init__(self) -> None:
        self._timers: dict[int, _Cancellable] = {}
        self._needed: dict[int, Callable[[], object]] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._timers)

    def add(self, attempt: Callable[[], T], done: Callable[[T], None], otherwise: T, *, needed: bool = False) -> None:
        """Repeat ``attempt``, which raises BlockingIOError while the lock is held, and give ``done`` its result.

        ``done`` gets ``otherwise`` once the time is over, or if the lock is refused with another OSError. What is
        ``needed`` is not given up as long as the lock is held.
        """
        self._numbers += 1
        number = self._numbers
        delay = FIRST_DELAY
        waited = 0.0
        if needed:
            self._needed[number] = attempt

        def again() -> None:
            nonlocal delay, waited
            self._timers.pop(number, None)
            result = otherwise
            try:
                result = attempt()
            except BlockingIOError:
                waited += delay
                if waited < PATIENCE:
                    delay = min(2 * delay, LONGEST_DELAY)
                    self._wait(number, delay, again)
                    return
                if needed:
                    self._wait(number, SLOW_DELAY, again)
                    return
            except OSError:
                pass
            self._needed.pop(number, None)
            done(result)

        self._wait(number, delay, again)

    def close(self) -> int:
        """Do what is needed and still waits; forget the rest. Return how many needed operations could not be done.

        The process is about to end, so the lock is waited for where it is, for ``PATIENCE`` seconds in all.
        """
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        needed, self._needed = self._needed, {}
        failed = 0
        left = PATIENCE
        for attempt in needed.values():
            while True:
                try:
                    attempt()
                except BlockingIOError:
                    if left > 0.0:
                        left -= LONGEST_DELAY
                        time.sleep(LONGEST_DELAY)
                        continue
                    failed += 1
                except OSError:
                    failed += 1
                break
        return failed

    def _wait(self, number: int, delay: float, again: Callable[[], None]) -> None:
        from asyncio import get_running_loop  # rarely needed, and what has no loop need not import it

        try:
            loop = get_running_loop()
        except RuntimeError:
            time.sleep(delay)  # a script or a test: there is nothing else to serve
            again()
        else:
            self._timers[number] = loop.call_later(delay, again)
