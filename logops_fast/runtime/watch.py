"""What the supervisor does about silent workers: others take over their connections, then they are killed."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence

from logops_fast.runtime.heartbeat import DRAINING, SINK_STALLED, STARTING, Board, WorkerState
from logops_fast.runtime.places import Place
from logops_fast.runtime.probes import LOOP_STALLED, WorkerView
from logops_fast.runtime.watchdog import START_PATIENCE, Watchdog
from logops_fast.telemetry.families import heartbeat_age, worker_kills
from logops_fast.telemetry.registry import Registry

logger = logging.getLogger(__name__)


class Watch:
    """Watches the places through the board of heartbeats. ``worker_timeout`` is in seconds."""

    def __init__(
        self,
        places: Sequence[Place],
        board: Board,
        registry: Registry,
        worker_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._board = board
        self._worker_timeout = worker_timeout
        self._clock = clock
        self._watchdog = Watchdog(len(places), clock())
        self._kills = worker_kills(registry)
        self._ages = heartbeat_age(registry)

    @property
    def unserved(self) -> float:
        """Seconds since any worker last served."""
        return self._watchdog.unserved

    def restarted(self, place: Place) -> None:
        """Reset the age of a place's heartbeat: a new process has taken it."""
        self._watchdog.restarted(place.number)

    def tick(self, now: float, *, stopping: bool) -> None:
        """Read the heartbeats, and act on those that are missing."""
        self._watchdog.tick(
            now,
            [self._board.beats(place.number) for place in self._places],
            [place.ready and not stopping for place in self._places],
        )
        for place in self._places:
            age = self._watchdog.age(place.number)
            self._ages.labels(str(place.number)).set(age if place.pid else 0.0)
            if place.pid and not stopping:
                self._judge(place, age)
        self.assign_adopters(stopping=stopping)

    def _judge(self, place: Place, age: float) -> None:
        patience = self._worker_timeout if place.ready else START_PATIENCE
        if not place.ready and age < patience:
            return
        if not self._watchdog.silent(place.number):
            if place.reported_silent:
                place.reported_silent = False
                logger.info("worker %d responds again", place.number, extra={"pid": place.pid})
            return
        state = self._board.state(place.number)
        if not place.reported_silent:
            place.reported_silent = True
            helped = any(self._responsive(other) for other in self._places)
            logger.warning(
                "worker %d does not respond: %s",
                place.number,
                "other workers accept its connections" if helped else "its connections wait for a worker",
                extra={"pid": place.pid, "silent": round(age, 1), "state": state.name},
            )
        # One that waits for a disk has said so, and would only be replaced by another that waits for it.
        if age >= patience and place.killed_at is None and state.name != SINK_STALLED:
            logger.error(
                "worker %d has not responded for %.0f s: killing it", place.number, age, extra={"pid": place.pid}
            )
            self._kills.inc()
            place.killed_at = self._clock()
            os.kill(place.pid, signal.SIGKILL)

    def assign_adopters(self, *, stopping: bool) -> None:
        """Have the connections of each place without a responsive worker accepted by another worker."""
        able = [place.number for place in self._places if self._responsive(place)]
        load = dict.fromkeys(able, 0)
        for place in self._places:
            # Until the first worker of a place served, its sockets were not listening.
            wanted = place.ever_ready and place.number not in load and not stopping and bool(able)
            adopter = self._board.adopter(place.number) if wanted else None
            if wanted and adopter not in load:
                adopter = min(able, key=load.__getitem__)
            if adopter is not None:
                load[adopter] += 1
            self._board.set_adopter(place.number, adopter)

    def _responsive(self, place: Place) -> bool:
        return bool(place.pid) and place.ready and not self._watchdog.silent(place.number)

    def all_accept_no_more(self) -> bool:
        """Return whether every worker has closed its listening sockets while draining, or is dead or silent."""
        return all(
            not place.pid or self._board.state(place.number).name == DRAINING or self._watchdog.silent(place.number)
            for place in self._places
        )

    def views(self, *, stopping: bool) -> list[WorkerView]:
        """Return the state of each worker as the admin listener reports it."""
        return [self._view(place, stopping) for place in self._places]

    def _view(self, place: Place, stopping: bool) -> WorkerView:
        age = self._watchdog.age(place.number)
        state = self._board.state(place.number)
        if not place.pid:
            state = WorkerState("restarting", "The worker has ended and is restarted: the log says why.")
        elif stopping:
            state = WorkerState(DRAINING, "The gateway is stopping.")
        elif not place.ready:
            state = WorkerState(STARTING)
        elif self._watchdog.silent(place.number) and state.name != SINK_STALLED:
            state = WorkerState(LOOP_STALLED, f"The worker's event loop has not run for {age:.0f} s.")
        return WorkerView(place.number, state.name, state.detail, age)
