"""The supervisor: forks the workers, starts those that die again, forwards signals, ends with all of them drained."""

from __future__ import annotations

import errno
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
from typing import Final, NoReturn

from logops_fast import backoff
from logops_fast.errors import StartupError
from logops_fast.runtime.signals import HANDLED, RELOAD_SIGNAL, STOP_SIGNALS, SignalPipe, held_back
from logops_fast.runtime.worker import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_STARTUP,
    READY,
    STARTUP_ERROR,
    WorkerContext,
)
from logops_fast.telemetry import exposition
from logops_fast.telemetry.families import worker_restarts
from logops_fast.telemetry.registry import Registry
from logops_fast.telemetry.slab import Slab

BACKOFF_FIRST: Final = 0.1  # seconds
BACKOFF_MAX: Final = 5.0
RESTART_BACKOFF: Final = backoff.Backoff(BACKOFF_FIRST, BACKOFF_MAX, jitter=0.0)
BACKOFF_RESET_AFTER: Final = 30.0  # a worker that lived this long failed for another reason than the last one
KILL_MARGIN: Final = 2.0  # a worker gives up by itself at the drain timeout; this is for one that cannot
SAME_SIGNAL_WITHIN: Final = 0.5  # one Ctrl-C may arrive twice: from the terminal and from a wrapper that forwards it
_READ_BYTES: Final = 65_536

log = logging.getLogger(__name__)


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


def reserve_port(host: str, port: int) -> socket.socket:
    """Hold a port for the workers: a bound socket that never listens; port 0 takes a free one for all of them.

    SO_REUSEPORT would let a second gateway of the same user share the port in silence. So it is first bound without:
    that fails while anyone listens there or holds it. The socket returned has SO_REUSEPORT and not SO_REUSEADDR,
    which keeps the port taken in the eyes of the next one who looks, even while no worker listens.

    :raises StartupError: the port is in use, not permitted, or the host is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartupError(f"host {host!r} cannot be resolved: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            # Connections of an earlier run in TIME_WAIT are no reason to refuse.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _only_ipv6(probe)
            probe.bind(address)
            address = probe.getsockname()
        held = socket.socket(family, kind, protocol)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _only_ipv6(held)
            held.bind(address)
        except OSError:
            held.close()
            raise
    except OSError as error:
        raise StartupError(_bind_message(host, port, error)) from None
    return held


def _only_ipv6(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:  # as asyncio binds it
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bind_message(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or choose another port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not permitted: ports below 1024 need privileges, choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine"
    return f"port {port} on {host} cannot be bound: {error.strerror}"


def run_supervised(
    workers: int,
    main: Callable[[WorkerContext], int],
    *,
    drain_timeout: float,
    on_ready: Callable[[], None] | None = None,
) -> int:
    """Run ``main`` in ``workers`` forked processes until SIGTERM or SIGINT; the same path for one as for many.

    Call it before any thread or event loop exists. ``on_ready`` is called once, when every worker has said that it
    serves. Returns the exit code: 0 after a clean drain, 1 when a worker failed to drain or had to be killed, 2 when
    the service cannot start (the reason has been logged), 128 + the signal when a second one cut the drain short.
    """
    exposition.preload()  # shared by all workers, and no worker's first scrape waits for it
    with SignalPipe(HANDLED | {signal.SIGCHLD}) as signals:
        return _Supervisor(workers, main, drain_timeout, on_ready, signals).run()


@dataclass(slots=True)
class _Slot:
    """One worker's place; its process changes over time."""

    index: int
    restarts: Backoff = field(default_factory=Backoff)
    pid: int = 0
    report_fd: int = -1
    started: float = 0.0
    restart_at: float = 0.0
    ever_ready: bool = False
    told: bytes = b""


class _Supervisor:
    def __init__(
        self,
        workers: int,
        main: Callable[[WorkerContext], int],
        drain_timeout: float,
        on_ready: Callable[[], None] | None,
        signals: SignalPipe,
    ) -> None:
        self._main = main
        self._drain_timeout = drain_timeout
        self._on_ready = on_ready
        self._signals = signals
        self._slab = Slab(workers + 1)  # the last region is the supervisor's own
        self._restarts = worker_restarts(Registry(self._slab, workers))
        self._slots = [_Slot(index) for index in range(workers)]
        self._selector = selectors.DefaultSelector()
        # Workers hold the read end: when the supervisor dies, however it dies, they see its end.
        self._alive_read, self._alive_write = os.pipe()
        self._exit_code = EXIT_OK
        self._stopping = False
        self._stop_signal_at = 0.0
        self._kill_at = float("inf")

    def run(self) -> int:
        self._selector.register(self._signals.read_end, selectors.EVENT_READ)
        gc.freeze()  # pages that no collection writes to stay shared with the workers
        for slot in self._slots:
            self._start(slot)
        while not self._over():
            events = self._selector.select(self._timeout())
            for key, _ in events:
                if key.data is not None:
                    self._read_report(key.data)
            for number in self._signals.read():
                self._on_signal(number)
            self._reap()
            now = time.monotonic()
            for slot in self._slots:
                if not slot.pid and not self._stopping and now >= slot.restart_at:
                    self._restarts.inc()
                    self._start(slot)
            if now >= self._kill_at:
                self._kill("not drained in time")
        self._selector.close()
        os.close(self._alive_read)
        os.close(self._alive_write)
        gc.unfreeze()
        return self._exit_code

    def _over(self) -> bool:
        return self._stopping and not any(slot.pid for slot in self._slots)

    def _timeout(self) -> float | None:
        due = [slot.restart_at for slot in self._slots if not slot.pid and not self._stopping]
        if any(slot.pid for slot in self._slots) and self._kill_at != float("inf"):
            due.append(self._kill_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start(self, slot: _Slot) -> None:
        report_read, report_write = os.pipe()
        _flush()
        with held_back():
            try:
                pid = os.fork()
            except OSError as error:  # out of processes or memory for the moment
                os.close(report_read)
                os.close(report_write)
                slot.restart_at = time.monotonic() + slot.restarts.after(0.0)
                log.error("worker %d cannot be forked: %s", slot.index, error.strerror)  # noqa: TRY400 - one line
                return
            if pid == 0:
                self._become_worker(slot.index, report_write)
        os.close(report_write)
        os.set_blocking(report_read, False)
        slot.pid, slot.report_fd, slot.started, slot.told = pid, report_read, time.monotonic(), b""
        self._selector.register(report_read, selectors.EVENT_READ, slot)

    def _become_worker(self, index: int, report_write: int) -> NoReturn:
        code = EXIT_FAILED
        try:
            self._signals.forget_in_child()
            self._selector.close()
            os.close(self._alive_write)  # or this worker would keep its own sign of life alive
            for other in self._slots:
                if other.pid:
                    os.close(other.report_fd)
            context = WorkerContext(index, len(self._slots), self._slab, report_write, self._alive_read)
            try:
                code = self._main(context)
            except StartupError as error:
                context.startup_failed(str(error))
                code = EXIT_STARTUP
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else EXIT_FAILED
        except BaseException:
            log.exception("worker %d failed", index)
        finally:
            _flush()
            os._exit(code)  # never return into the supervisor's frames, nor run its atexit handlers

    def _read_report(self, slot: _Slot) -> None:
        try:
            data = os.read(slot.report_fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(slot.report_fd)  # its end is told by waitpid
            return
        slot.told += data
        if slot.told.startswith(READY) and not slot.ever_ready:
            slot.ever_ready = True
            if all(other.ever_ready for other in self._slots):
                log.info("ready", extra={"workers": len(self._slots)})
                if self._on_ready is not None:
                    self._on_ready()

    def _on_signal(self, number: signal.Signals) -> None:
        if number == RELOAD_SIGNAL:
            self._send(RELOAD_SIGNAL)
        elif number in STOP_SIGNALS:
            now = time.monotonic()
            if not self._stopping:
                log.info("draining", extra={"signal": number.name, "drain_timeout": self._drain_timeout})
                self._stop()
                self._stop_signal_at = now
            elif now - self._stop_signal_at >= SAME_SIGNAL_WITHIN:
                self._kill("told to stop again")
                self._exit_code = 128 + number

    def _stop(self) -> None:
        self._stopping = True
        self._kill_at = time.monotonic() + self._drain_timeout + KILL_MARGIN
        self._send(signal.SIGTERM)

    def _kill(self, why: str) -> None:
        left = [slot.index for slot in self._slots if slot.pid]
        log.error("killing workers: %s", why, extra={"workers": left})
        if self._exit_code == EXIT_OK:
            self._exit_code = EXIT_FAILED
        self._kill_at = float("inf")
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, number)  # not reaped yet, so the pid is still this worker's

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
                if pid:
                    self._ended(slot, os.waitstatus_to_exitcode(status))

    def _ended(self, slot: _Slot, code: int) -> None:
        if slot.report_fd in self._selector.get_map():
            self._read_report(slot)
        if slot.report_fd in self._selector.get_map():
            self._selector.unregister(slot.report_fd)
        os.close(slot.report_fd)
        self._slab.regions[slot.index].clear_gauges()
        lifetime = time.monotonic() - slot.started
        pid, slot.pid = slot.pid, 0
        if self._stopping:
            if code != EXIT_OK and self._exit_code == EXIT_OK:
                log.error("worker %d %s while draining", slot.index, _how(code), extra={"pid": pid})
                self._exit_code = EXIT_FAILED
        elif code == EXIT_STARTUP and not slot.ever_ready:
            message = slot.told[1:].decode("utf-8", "replace") or "the service cannot start"
            log.error("%s", message)
            self._exit_code = EXIT_STARTUP
            self._stop()
        else:
            delay = slot.restarts.after(lifetime)
            slot.restart_at = time.monotonic() + delay
            reason = slot.told[1:].decode("utf-8", "replace") if slot.told.startswith(STARTUP_ERROR) else ""
            log.warning(
                "worker %d %s: starting it again",
                slot.index,
                _how(code),
                extra={"pid": pid, "lived": round(lifetime, 1), "delay": delay}
                | ({"reason": reason} if reason else {}),
            )


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _flush() -> None:
    """What is buffered is written by the process that wrote it, once."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
