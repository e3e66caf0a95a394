"""Large bodies are worked on in steps on the event loop, a slice of one job in each of the loop's turns.

A slice ends with the first step that ends after SLICE_SECONDS. Between two slices every connection is served and what
that has scheduled is done, so that what others wait for is SLICE_SECONDS and one step, whatever a body holds. Between
two steps other threads may run: the one that writes to the disk has batches of others. An emitter has a few large jobs
in work; its others wait, the oldest first, and are refused when that takes too long or when what waits takes too much
memory.
"""

from __future__ import annotations

import asyncio
import heapq
import select
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from logops_fast.http.refusal import Refusal

LARGE_BYTES: Final = 1 << 20
"""Bodies over this many bytes count against ``max_large_per_emitter``."""

MAX_WAITING_BYTES: Final = 48 << 20
"""Bytes of bodies that may wait in a worker: three of the largest."""

PATIENCE: Final = 5.0
"""Seconds a large body may wait."""

SLICE_SECONDS: Final = 0.002
"""A small batch waits for about three slices until it is answered: to be read, to be written, to be synced."""

PUT_OFF_SECONDS: Final = 0.005
"""Most by which a slice is put off, and no more than the one before it took: half of the time is left for the jobs."""

OVERLOADED: Final = Refusal(
    503, "overloaded", "Too many large batches of this emitter are being worked on: send it again, or smaller ones.", 1
)


class Job(Protocol):
    """One body's work."""

    def step(self) -> bool:
        """Do a bounded piece of the work; return whether there is more. Must not raise."""

    def refuse(self, refusal: Refusal) -> None:
        """End the job before its first step. Must not raise."""


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


class Ticket:
    """A job in the queue."""

    __slots__ = ("_queue", "_timer", "emitter", "job", "large", "size", "started")

    def __init__(self, queue: WorkQueue, job: Job, emitter: str, size: int, started: float, large: bool) -> None:
        self._queue = queue
        self.job: Job | None = job
        self.emitter = emitter
        self.size = size
        self.started = started
        self.large = large
        self._timer: _Cancellable | None = None

    def __lt__(self, other: Ticket) -> bool:
        return self.started < other.started

    def __repr__(self) -> str:
        return f"<Ticket of {self.emitter}, {self.size} bytes>"

    def wait(self, timer: _Cancellable) -> None:
        """Remember what will refuse the job."""
        self._timer = timer

    def begin(self) -> None:
        """Forget what would refuse the job."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cancel(self) -> None:
        """Make no further step: the client is gone. A body that waits is released at once."""
        self.begin()
        self.job = None
        self._queue.forget(self)


class WorkQueue:
    """The jobs of one worker. Everything happens on the event loop's thread."""

    def __init__(
        self,
        *,
        max_large_per_emitter: int = 2,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        call_later: Callable[[float, Callable[[], None]], _Cancellable] | None = None,
        clock: Callable[[], float] = monotonic,
        give_way: Callable[[], object] | None = None,
    ) -> None:
        """``call_soon``: schedules a slice. ``give_way``: called between the steps of a slice."""
        self._max_large = max_large_per_emitter
        self._call_soon = _loop_call_soon if call_soon is None else call_soon
        self._call_later = _loop_call_later if call_later is None else call_later
        self._clock = clock
        self._give_way = _release_interpreter if give_way is None else give_way
        self._active: deque[Ticket] = deque()
        self._large: dict[str, int] = {}
        self._waiting: dict[str, list[Ticket]] = {}
        self._waiting_bytes = 0
        self._scheduled = False
        self._before_slice: Callable[[], bool] | None = None
        self._slice_ended = 0.0
        self._may_wait = 0.0  # seconds from the end of a slice to the begin of the next

    def __repr__(self) -> str:
        waiting = sum(map(len, self._waiting.values()))
        return f"<WorkQueue of {len(self._active)} jobs, {waiting} waiting with {self._waiting_bytes} bytes>"

    def __len__(self) -> int:
        return len(self._active) + sum(map(len, self._waiting.values()))

    def add(self, job: Job, emitter: str, size: int, started: float, *, large: bool | None = None) -> Ticket:
        """Take in a job that holds ``size`` bytes; ``started`` (monotonic seconds) is the age that orders jobs.

        ``large`` says whether it counts against the emitter's large jobs; left out, its size does.
        """
        ticket = Ticket(self, job, emitter, size, started, size > LARGE_BYTES if large is None else large)
        if not ticket.large:
            self._begin(ticket)
        elif self._large.get(emitter, 0) < self._max_large:
            self._large[emitter] = self._large.get(emitter, 0) + 1
            self._begin(ticket)
        elif self._waiting_bytes + size > MAX_WAITING_BYTES:
            job.refuse(OVERLOADED)
        else:
            self._waiting_bytes += size
            ticket.wait(self._call_later(PATIENCE, lambda: self._expire(ticket)))
            heapq.heappush(self._waiting.setdefault(emitter, []), ticket)
        return ticket

    def before_each_slice(self, call: Callable[[], bool]) -> None:
        """Have ``call``, which must not raise, called before each slice.

        It returns whether the slice is put off to another turn, in which it is called again; see PUT_OFF_SECONDS.
        """
        self._before_slice = call

    def forget(self, ticket: Ticket) -> None:
        """Take a cancelled ticket out of those that wait."""
        waiting = self._waiting.get(ticket.emitter)
        if waiting is not None and ticket in waiting:
            self._remove(ticket, waiting)

    def _expire(self, ticket: Ticket) -> None:
        job = ticket.job
        self._remove(ticket, self._waiting[ticket.emitter])
        if job is not None:
            job.refuse(OVERLOADED)

    def _remove(self, ticket: Ticket, waiting: list[Ticket]) -> None:
        waiting.remove(ticket)
        heapq.heapify(waiting)
        if not waiting:
            del self._waiting[ticket.emitter]
        self._waiting_bytes -= ticket.size

    def _begin(self, ticket: Ticket) -> None:
        ticket.begin()
        self._active.append(ticket)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        before = self._before_slice
        if before is not None and before() and self._clock() - self._slice_ended < self._may_wait:
            self._call_soon(self._turn)
            return
        self._scheduled = False
        ticket = self._active.popleft()
        if self._slice(ticket):
            self._active.append(ticket)
        elif ticket.large:
            self._finished(ticket.emitter)
        if self._active and not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)

    def _slice(self, ticket: Ticket) -> bool:
        """Work on a job for a while; returns whether there is more to do."""
        begun = self._clock()
        while True:
            job = ticket.job  # a step may cancel it
            if job is None or not job.step():
                return False
            now = self._clock()
            if now - begun >= SLICE_SECONDS:
                self._slice_ended = now
                self._may_wait = min(now - begun, PUT_OFF_SECONDS)
                return True
            self._give_way()

    def _finished(self, emitter: str) -> None:
        waiting = self._waiting.get(emitter)
        if waiting is not None:
            ticket = heapq.heappop(waiting)
            if not waiting:
                del self._waiting[emitter]
            self._waiting_bytes -= ticket.size
            self._begin(ticket)
        elif self._large[emitter] == 1:
            del self._large[emitter]
        else:
            self._large[emitter] -= 1


def _loop_call_soon(callback: Callable[[], None]) -> object:
    """Schedule after what the loop is about to receive, and after what that schedules.

    Scheduled directly, the next slice would run before it: a commit, for example, is begun by a callback. The
    standard library's loop needs one turn more for this than uvloop, which costs 20 us a slice.
    """
    loop = asyncio.get_running_loop()
    return loop.call_soon(loop.call_soon, loop.call_soon, callback)


def _release_interpreter() -> object:
    """Release the interpreter's lock for a moment, in 1 us.

    Compiled code does not do so by itself: the thread that writes would wait for the end of the slice, once for each of
    its system calls.
    """
    return select.select((), (), (), 0)


def _loop_call_later(delay: float, callback: Callable[[], None]) -> _Cancellable:
    return asyncio.get_running_loop().call_later(delay, callback)
