"""The places of the workers: what the supervisor knows of the process in each, and when to start the next one."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Final

from logops_fast import backoff
from logops_fast.runtime.worker import READY, STARTUP_ERROR

BACKOFF_FIRST: Final = 0.1  # seconds
BACKOFF_MAX: Final = 5.0
RESTART_BACKOFF: Final = backoff.Backoff(BACKOFF_FIRST, BACKOFF_MAX, jitter=0.0)
BACKOFF_RESET_AFTER: Final = 30.0  # a worker that lived this long failed for another reason than the last one


class Backoff:
    """How long to wait before a worker is restarted; starts over once a worker has lived long enough."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def after(self, lifetime: float) -> float:
        """Return the seconds to wait after a worker that lived ``lifetime`` seconds."""
        if lifetime >= BACKOFF_RESET_AFTER:
            self._failures = 0
        self._failures += 1
        return RESTART_BACKOFF.delay(self._failures)


@dataclass(slots=True)
class Place:
    """One worker's place: its listening sockets and heartbeat are fixed, its process changes over time."""

    number: int
    index: int = -1
    """The number of the process's files and counters; see ``WorkerContext``."""
    pid: int = 0
    report_fd: int = -1
    started: float = 0.0
    restart_at: float = 0.0
    report: bytes = b""
    ready: bool = False
    """Whether the current process serves."""
    ever_ready: bool = False
    """Whether any process of this place has served; its sockets are listening since then."""
    reported_silent: bool = False
    killed_at: float | None = None
    backoff: Backoff = field(default_factory=Backoff)

    def occupied_by(self, pid: int, index: int, report_fd: int, now: float) -> None:
        """Record a new process."""
        self.pid, self.index, self.report_fd, self.started = pid, index, report_fd, now
        self.report, self.ready, self.reported_silent, self.killed_at = b"", False, False, None

    def add_report(self, data: bytes) -> bool:
        """Take bytes of the process's report; return whether they say that it serves now."""
        self.report += data
        if self.ready or not self.report.startswith(READY):
            return False
        self.ready = self.ever_ready = True
        return True

    @property
    def startup_error(self) -> str:
        """Why the process could not start, if it reported that."""
        return self.report[1:].decode("utf-8", "replace") if self.report.startswith(STARTUP_ERROR) else ""


def ending(code: int) -> str:
    """Return how a process ended, in words, from its exit code (negative: the signal)."""
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
