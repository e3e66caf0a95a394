"""Signals without races: blocked during a fork, read from a pipe by the supervisor, handled by the loop in a worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
RELOAD_SIGNAL: Final = signal.SIGHUP
HANDLED: Final = frozenset({*STOP_SIGNALS, RELOAD_SIGNAL})

_READ_BYTES: Final = 512


class SignalPipe:
    """Turns signals of the main thread into bytes that a selector waits for; nothing runs inside a handler.

    Use it as a context manager: at its end the previous handlers are restored.
    """

    def __init__(self, watched: frozenset[signal.Signals], *, until_exit: bool = False) -> None:
        """``until_exit``: once a stop signal was read, all later ones are ignored, after the end of the context too.

        Ctrl-C in a shell reaches the process twice if its parent hands it on; the second may come as late as that.
        """
        self._watched = watched
        self._until_exit = until_exit
        self._stopping = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> SignalPipe:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)
        self._wakeup_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in self._watched:
            # A Python handler, or the interpreter would not write to the pipe; not SIG_IGN, which a child inherits.
            self._before[number] = signal.signal(number, _ignore)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if not (self._stopping and self._until_exit and number in STOP_SIGNALS):
                signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self.read_end)
        os.close(self._write_end)

    def read(self) -> list[signal.Signals]:
        """Return the signals since the last call, in order; there may be none."""
        try:
            numbers = os.read(self.read_end, _READ_BYTES)
        except BlockingIOError:
            return []
        found = [signal.Signals(number) for number in numbers]
        self._stopping = self._stopping or any(number in STOP_SIGNALS for number in found)
        return found

    def forget_in_child(self) -> None:
        """Restore the default handlers after a fork, and close the pipe, which belongs to the parent."""
        signal.set_wakeup_fd(-1)
        for number in self._watched:
            signal.signal(number, signal.SIG_DFL)
        os.close(self.read_end)
        os.close(self._write_end)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass


@contextmanager
def held_back() -> Iterator[None]:
    """Block stop and reload signals; a child forked meanwhile keeps them blocked until :func:`let_through`.

    So a signal that reaches a new worker before it has handlers waits for them instead of killing it or being lost.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Deliver the signals blocked since the fork, and all later ones."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def install(
    loop: asyncio.AbstractEventLoop, stop: Callable[[signal.Signals], None], reload: Callable[[], None]
) -> None:
    """Have ``loop`` call ``stop`` on SIGTERM and SIGINT, ``reload`` on SIGHUP; then unblock the signals."""
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(RELOAD_SIGNAL, reload)
    let_through()
