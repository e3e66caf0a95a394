"""The supervisor: forks and watches the workers, replaces those that die or hang, and drains them at the end.

It is single-threaded, because it forks, and never waits for a worker: workers report through shared memory (see
``heartbeat``), and a process that the kernel does not end even after SIGKILL (it hangs in a disk's driver, say) is left
behind; its successor gets another index, so that it does not wait for the locks of the old one either.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn

from logops_fast.errors import OperatorError
from logops_fast.http.routes import Router
from logops_fast.runtime.admin import AdminListener
from logops_fast.runtime.heartbeat import STARTING, Board, WorkerState
from logops_fast.runtime.listeners import Listeners
from logops_fast.runtime.notify import Notifier
from logops_fast.runtime.places import Place, ending
from logops_fast.runtime.probes import AdminProbes
from logops_fast.runtime.reloading import Reloading
from logops_fast.runtime.signals import HANDLED, RELOAD_SIGNAL, STOP_SIGNALS, SignalPipe, held_back
from logops_fast.runtime.watch import Watch
from logops_fast.runtime.watchdog import TICK, UNHEALTHY_AFTER
from logops_fast.runtime.worker import EXIT_FAILED, EXIT_OK, EXIT_STARTUP, WorkerContext
from logops_fast.telemetry import exposition
from logops_fast.telemetry.families import DroppedLines, worker_restarts
from logops_fast.telemetry.log_output import non_blocking_handler
from logops_fast.telemetry.registry import Registry
from logops_fast.telemetry.slab import Slab

KILL_MARGIN: Final = 2.0  # seconds; a worker gives up on its own at the drain timeout, this is for one that cannot
REAP_PATIENCE: Final = 2.0  # seconds after SIGKILL before a process that has not ended is left behind
SAME_SIGNAL_WITHIN: Final = 0.5  # one Ctrl-C may arrive twice: from the terminal and from a wrapper that forwards it
SPARE_INDICES: Final = 16  # processes that may be left behind at the same time
WORKER_TIMEOUT: Final = 30.0
_STOPPING_TICK: Final = 0.05
_READ_BYTES: Final = 65_536
_FOREVER: Final = float("inf")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Supervision:
    """How to run the workers.

    ``drain_timeout`` and ``worker_timeout`` are seconds. ``listeners`` are the sockets of ``bind_listeners`` by
    gateway, and ``admin`` the listening socket of the admin listener; the supervisor closes both.
    """

    drain_timeout: float
    worker_timeout: float = WORKER_TIMEOUT
    listeners: Listeners = field(default_factory=dict)
    admin: socket.socket | None = None
    on_ready: Callable[[], None] | None = None
    """Called once, when every worker has reported that it serves."""
    notifier: Notifier = field(default_factory=Notifier)
    """Where the service manager is notified."""


def run_supervised(workers: int, main: Callable[[WorkerContext], int], plan: Supervision) -> int:
    """Run ``main`` in ``workers`` forked processes until SIGTERM or SIGINT; one worker takes the same path as many.

    Call it before any thread or event loop exists. Returns the exit code: 0 after a clean drain, 1 if a worker failed
    to drain or had to be killed, 2 if the service cannot start (the reason has been logged), 128 + the signal if a
    second one cut the drain short.
    """
    exposition.preload()  # shared by all workers, and no worker's first scrape waits for it
    with SignalPipe(HANDLED | {signal.SIGCHLD}, until_exit=True) as signals:
        return _Supervisor(workers, main, plan, signals).run()


class _Supervisor:
    def __init__(
        self, workers: int, main: Callable[[WorkerContext], int], plan: Supervision, signals: SignalPipe
    ) -> None:
        self._main = main
        self._plan = plan
        self._signals = signals
        indices = workers + SPARE_INDICES
        self._slab = Slab(indices + 1)  # the last region is the supervisor's own
        self._registry = Registry(self._slab, indices)
        self._restarts = worker_restarts(self._registry)
        self._dropped_lines = DroppedLines(self._registry)
        self._places = [Place(number) for number in range(workers)]
        self._board = Board(workers, indices)
        self._reloading = Reloading(self._places, self._board)
        self._watch = Watch(self._places, self._board, self._registry, plan.worker_timeout)
        self._left_behind: dict[int, int] = {}  # pid -> index of killed processes that have not ended
        self._selector = selectors.DefaultSelector()
        # Workers hold the read end: however the supervisor dies, they see the end of the pipe.
        self._alive_read, self._alive_write = os.pipe()
        self._exit_code = EXIT_OK
        self._stopping = False
        self._stop_signal_at = 0.0
        self._served = False  # whether every worker has served once
        self._kill_at = _FOREVER
        self._give_up_at = _FOREVER
        self._listening = True
        self._next_tick = 0.0
        self._admin = None if plan.admin is None else self._open_admin(plan.admin)

    def _open_admin(self, listener: socket.socket) -> AdminListener:
        router = Router(lambda _refusal, _peer: None)
        probes = AdminProbes(
            lambda: self._watch.views(stopping=self._stopping),
            lambda: self._watch.unserved,
            partial(exposition.render, self._registry),
        )
        probes.route(router)
        return AdminListener(listener, self._selector, router, clock=time.monotonic, wall=time.time)

    def run(self) -> int:
        self._selector.register(self._signals.read_end, selectors.EVENT_READ, self._on_signals)
        gc.freeze()  # pages that no collection writes to stay shared with the workers
        for place in self._places:
            self._start(place)
        while not self._over():
            for key, events in self._selector.select(max(0.0, self._wake_at() - time.monotonic())):
                key.data(events)
            self._reap()
            now = time.monotonic()
            if now >= self._next_tick:
                self._next_tick = now + (_STOPPING_TICK if self._stopping else TICK)
                self._tick(now)
            for place in self._places:
                if not place.pid and not self._stopping and now >= place.restart_at:
                    self._restarts.inc()
                    self._start(place)
            if now >= self._kill_at:
                self._kill_all("not drained in time")
        self._close()
        return self._exit_code

    def _close(self) -> None:
        if self._admin is not None:
            self._admin.close()
        self._stop_listening()
        self._selector.close()
        os.close(self._alive_read)
        os.close(self._alive_write)
        gc.unfreeze()
        if self._stop_signal_at:  # who asked for it hears the end of it; a start that failed has said why
            logger.info("drained" if self._exit_code == EXIT_OK else "stopped", extra={"exit_code": self._exit_code})
        handler = non_blocking_handler()
        if handler is not None:
            handler.flush()

    def _over(self) -> bool:
        if not self._stopping:
            return False
        left = [place.pid for place in self._places if place.pid]
        if left and time.monotonic() >= self._give_up_at:
            logger.error("leaving processes behind that the kernel does not end", extra={"pids": left})
            return True
        return not left

    def _wake_at(self) -> float:
        restarts = [place.restart_at for place in self._places if not place.pid and not self._stopping]
        return min(self._next_tick, self._kill_at, *restarts)

    def _tick(self, now: float) -> None:
        self._watch.tick(now, stopping=self._stopping)
        if not self._served or self._watch.unserved < UNHEALTHY_AFTER:
            self._plan.notifier.alive(now)
        if self._reloading.ended(now) and not self._stopping:
            self._plan.notifier.ready(self._status())
        for place in self._places:
            if place.killed_at is not None and now >= place.killed_at + REAP_PATIENCE:
                self._leave_behind(place)
        if self._stopping and self._listening and self._watch.all_accept_no_more():
            self._stop_listening()
        if self._admin is not None:
            self._admin.sweep()
        handler = non_blocking_handler()
        if handler is not None:
            handler.flush()
        self._dropped_lines.sample()

    def _stop_listening(self) -> None:
        """Refuse new connections, also on behalf of a worker that hangs and still has the sockets open."""
        self._listening = False
        for sockets in self._plan.listeners.values():
            for sock in sockets:
                if sock.type == socket.SOCK_STREAM:  # datagrams that have arrived are still read
                    with contextlib.suppress(OSError):  # not connected, as macOS says of a listening socket
                        sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    # Processes

    def _start(self, place: Place) -> None:
        index = self._free_index(place)
        if index is None:
            place.restart_at = time.monotonic() + place.backoff.after(0.0)
            logger.error("worker %d cannot be started: too many killed processes have not ended", place.number)
            return
        report_read, report_write = os.pipe()
        _flush()
        self._board.set_state(place.number, WorkerState(STARTING))
        with held_back():
            try:
                pid = os.fork()
            except OSError as error:  # out of processes or memory for the moment
                os.close(report_read)
                os.close(report_write)
                place.restart_at = time.monotonic() + place.backoff.after(0.0)
                logger.error("worker %d cannot be forked: %s", place.number, error.strerror)  # noqa: TRY400 - one line
                return
            if pid == 0:
                self._become_worker(place, index, report_write)
        os.close(report_write)
        os.set_blocking(report_read, False)
        place.occupied_by(pid, index, report_read, time.monotonic())
        self._board.use_index(index, True)
        self._watch.restarted(place)
        self._selector.register(report_read, selectors.EVENT_READ, partial(self._read_report, place))

    def _free_index(self, place: Place) -> int | None:
        """Return the place's own number, or a spare one while a process that was left behind still has it."""
        spares = range(len(self._places), len(self._places) + SPARE_INDICES)
        return next((i for i in (place.number, *spares) if not self._board.index_used(i)), None)

    def _become_worker(self, place: Place, index: int, report_write: int) -> NoReturn:
        code = EXIT_FAILED
        try:
            self._signals.forget_in_child()
            self._selector.close()
            if self._admin is not None:
                self._admin.close_in_child()
            handler = non_blocking_handler()
            if handler is not None:
                handler.forget_buffered()
            os.close(self._alive_write)  # or this worker would keep the pipe open that reports the supervisor's death
            for other in self._places:
                if other.pid:
                    os.close(other.report_fd)
            context = WorkerContext(
                index,
                len(self._places),
                self._slab,
                report_write,
                self._alive_read,
                place.number,
                self._board,
                self._plan.listeners,
                place.ever_ready,
            )
            try:
                code = self._main(context)
            except OperatorError as error:
                context.startup_failed(error.located)
                code = EXIT_STARTUP
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else EXIT_FAILED
        except BaseException:
            logger.exception("worker %d failed", place.number)
        finally:
            _flush()
            os._exit(code)  # never return into the supervisor's frames, nor run its atexit handlers

    def _read_report(self, place: Place, _events: int = 0) -> None:
        try:
            data = os.read(place.report_fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(place.report_fd)  # waitpid reports the end of the process
            return
        first = not place.ever_ready
        if place.add_report(data) and first and all(other.ever_ready for other in self._places) and not self._stopping:
            logger.info("ready", extra={"workers": len(self._places)})
            self._served = True
            self._plan.notifier.ready(self._status())
            if self._plan.on_ready is not None:
                self._plan.on_ready()

    def _on_signals(self, _events: int) -> None:
        for number in self._signals.read():
            self._on_signal(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if number == RELOAD_SIGNAL:
            if self._served and not self._stopping:
                now = time.monotonic()
                self._plan.notifier.reloading(now)
                self._reloading.begin(now)
            self._send(RELOAD_SIGNAL)
        elif number in STOP_SIGNALS:
            now = time.monotonic()
            if not self._stopping:
                logger.info("draining", extra={"signal": number.name, "drain_timeout": self._plan.drain_timeout})
                self._stop()
                self._stop_signal_at = now
            elif now - self._stop_signal_at >= SAME_SIGNAL_WITHIN:
                self._kill_all("a second signal to stop")
                self._exit_code = 128 + number

    def _status(self) -> str:
        count = len(self._places)
        return f"serving with {count} worker{'s' if count > 1 else ''}"

    def _stop(self) -> None:
        self._stopping = True
        self._plan.notifier.stopping("draining")
        self._next_tick = 0.0
        self._kill_at = time.monotonic() + self._plan.drain_timeout + KILL_MARGIN
        self._send(signal.SIGTERM)

    def _kill_all(self, why: str) -> None:
        left = [place.number for place in self._places if place.pid]
        logger.error("killing workers: %s", why, extra={"workers": left})
        if self._exit_code == EXIT_OK:
            self._exit_code = EXIT_FAILED
        self._kill_at = _FOREVER
        self._give_up_at = time.monotonic() + REAP_PATIENCE
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)  # not reaped yet, so the pid is still this worker's

    def _reap(self) -> None:
        for place in self._places:
            if place.pid:
                pid, status = os.waitpid(place.pid, os.WNOHANG)
                if pid:
                    self._board.use_index(place.index, False)
                    self._ended(place, os.waitstatus_to_exitcode(status))
        for left in [*self._left_behind]:
            pid, _ = os.waitpid(left, os.WNOHANG)
            if pid:
                index = self._left_behind.pop(left)
                self._board.use_index(index, False)
                logger.info("a killed process has ended at last", extra={"pid": pid})

    def _leave_behind(self, place: Place) -> None:
        """Give up on a process that SIGKILL does not end: it hangs in the kernel, and ends when that lets it."""
        logger.error(
            "worker %d was killed and does not end: replacing it all the same", place.number, extra={"pid": place.pid}
        )
        self._left_behind[place.pid] = place.index
        self._vacate(place)
        place.restart_at = 0.0

    def _vacate(self, place: Place) -> None:
        if place.report_fd in self._selector.get_map():
            self._read_report(place)
        if place.report_fd in self._selector.get_map():
            self._selector.unregister(place.report_fd)
        os.close(place.report_fd)
        self._slab.regions[place.index].clear_gauges()
        place.pid, place.killed_at, place.ready = 0, None, False

    def _ended(self, place: Place, code: int) -> None:
        pid, lifetime = place.pid, time.monotonic() - place.started
        self._vacate(place)
        if self._stopping:
            if code != EXIT_OK and self._exit_code == EXIT_OK:
                logger.error("worker %d %s while draining", place.number, ending(code), extra={"pid": pid})
                self._exit_code = EXIT_FAILED
        elif code == EXIT_STARTUP and not place.ever_ready:
            logger.error("%s", place.startup_error or "the service cannot start")
            self._exit_code = EXIT_STARTUP
            self._stop()
        else:
            delay = place.backoff.after(lifetime)
            place.restart_at = time.monotonic() + delay
            fields: dict[str, object] = {"pid": pid, "lived": round(lifetime, 1), "delay": delay}
            if place.startup_error:
                fields["reason"] = place.startup_error
            logger.warning(
                "worker %d %s: restarting it",
                place.number,
                ending(code),
                extra=fields,
            )
            self._watch.assign_adopters(stopping=False)


def _flush() -> None:
    """Flush the standard streams, so that a forked child does not write the parent's buffers again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
