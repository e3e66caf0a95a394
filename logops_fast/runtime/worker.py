"""A worker process: one event loop and one service, with signals to reload and to drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from logops_fast.runtime.allocator import keep_freed_memory
from logops_fast.runtime.build import build
from logops_fast.runtime.heartbeat import STARTING, Board, WorkerState
from logops_fast.runtime.listeners import Listeners
from logops_fast.runtime.loop import ASYNCIO, accelerator, new_event_loop
from logops_fast.runtime.signals import install
from logops_fast.runtime.watchdog import TICK
from logops_fast.telemetry import logs
from logops_fast.telemetry.families import ProcessMetrics, build_info
from logops_fast.telemetry.log_output import non_blocking_handler
from logops_fast.telemetry.registry import Registry
from logops_fast.telemetry.slab import Slab

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_STARTUP: Final = 2

READY: Final = b"R"
STARTUP_ERROR: Final = b"E"
MAX_MESSAGE_BYTES: Final = 4000  # under PIPE_BUF on Linux; one write to an empty pipe does not block
SAMPLE_EVERY: Final = 1.0  # seconds between samples of CPU and memory, which take 20 us
YOUNG_OBJECTS: Final = 20_000
SWITCH_SECONDS: Final = 0.0005
"""How long a thread waits for the interpreter's lock before it asks for it.

The disk thread needs the lock three to ten times for each commit. At the default of 5 ms, beside large batches of a
compiled gateway, others waited for 70 to 140 ms; at 0.5 ms for 20 to 35.
"""

logger = logging.getLogger(__name__)


class Service(Protocol):
    """What a worker runs."""

    async def start(self) -> None:
        """Open everything and serve. Raises OperatorError if it cannot, and trying again would not help."""

    async def drain(self) -> None:
        """Accept no more, finish what is in flight, flush. It is cancelled at the drain timeout."""

    def reload(self) -> asyncio.Future[None] | None:
        """Read the configuration and keys again; what does not validate changes nothing.

        Returns what ends when that is done, None if it is done already.
        """

    def state(self) -> WorkerState:
        """Return ``ready``, or why no batch can be taken; called before every heartbeat."""

    def accept_for(self, places: frozenset[int]) -> None:
        """Accept the connections of these places, whose workers are silent, besides its own."""


BuildService = Callable[["WorkerContext"], Awaitable[Service]]


@dataclass(slots=True)
class WorkerContext:
    """What a worker knows of its surroundings.

    ``place`` is its position among ``count`` and selects its listening sockets and heartbeat; ``index`` is the number
    of its files, counters and claims, which differs from ``place`` only while a killed predecessor that the kernel has
    not ended yet still holds the files of the usual number.
    """

    index: int
    count: int
    slab: Slab
    report_fd: int
    alive_fd: int
    place: int = 0
    board: Board = field(default_factory=lambda: Board(1))
    listeners: Listeners = field(default_factory=dict, repr=False)
    successor: bool = False
    """Whether another process served in this place before: what it has reloaded must be reloaded."""
    _registry: Registry | None = field(default=None, repr=False)

    @property
    def registry(self) -> Registry:
        """The worker's metrics, over its own region of the slab."""
        if self._registry is None:
            self._registry = Registry(self.slab, self.index)
        return self._registry

    def ready(self) -> None:
        """Report to the supervisor that this worker serves."""
        self._report(READY)

    def startup_failed(self, message: str) -> None:
        """Report why this worker cannot start; the supervisor logs it once, however many workers report the same."""
        self._report(STARTUP_ERROR + message.encode("utf-8", "replace")[:MAX_MESSAGE_BYTES])

    def publish(self, state: WorkerState) -> None:
        """Publish the worker's state at once, instead of with the next heartbeat."""
        self.board.set_state(self.place, state)

    def _report(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone, which the other pipe reports as well
            os.write(self.report_fd, data)


def run_worker(context: WorkerContext, build: BuildService, *, drain_timeout: float) -> int:
    """Build the service on a new event loop, run it until SIGTERM, SIGINT or the supervisor's death, and drain it.

    Returns the exit code: 0 after a clean drain, 1 if ``drain_timeout`` seconds were not enough. Raises OperatorError
    from ``build`` or ``start``.
    """
    if context.count > 1:
        logs.bind(worker=context.place)
    if context.place == 0 and accelerator() == ASYNCIO:
        logger.info("uvloop is not installed: running on the standard event loop, which needs more CPU per request")
    keep_freed_memory()
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_Worker(context, build, drain_timeout).run())


class _Worker:
    """One run of a worker. A signal that arrives during start-up takes effect once the service has started."""

    def __init__(
        self,
        context: WorkerContext,
        build: BuildService,
        drain_timeout: float,
    ) -> None:
        self._context = context
        self._build = build
        self._drain_timeout = drain_timeout
        self._stopping = asyncio.Event()
        self._stop_at = 0.0
        self._service: Service | None = None
        self._reload_wanted = False
        self._adopted: frozenset[int] = frozenset()

    async def run(self) -> int:
        self._loop = loop = asyncio.get_running_loop()
        self._errors = logs.RateLimited(logger)
        loop.set_exception_handler(self._on_loop_error)
        loop.add_reader(self._context.alive_fd, self._on_supervisor_gone)
        install(loop, self._on_stop, self._on_reload)
        start = asyncio.ensure_future(self._start())
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
            if not start.done():
                await asyncio.wait((start,), timeout=self._time_left())
                if not start.done():
                    logger.error("stopped while starting, and the start did not end in time")
                    return EXIT_FAILED
            service = start.result()
            await self._stopping.wait()
            return await self._drain(service)
        finally:
            start.cancel()
            stop.cancel()
            self._errors.flush()

    async def _start(self) -> Service:
        registry = self._context.registry
        build_info(registry, accelerator(), build())
        self._process = ProcessMetrics(registry, self._context.place)
        self._sample()
        self._beat()
        service = await self._build(self._context)
        await service.start()
        # What start-up created lives until the end: the collector need not walk it again.
        gc.collect()
        gc.freeze()
        # A batch is garbage without cycles. At the default of 700 a batch of 1000 events is searched for them while it
        # is processed: 6% of its CPU.
        gc.set_threshold(YOUNG_OBJECTS)
        self._service = service
        self._context.publish(service.state())  # not with the next heartbeat: the supervisor may be asked at once
        self._context.ready()
        if self._reload_wanted:
            self._on_reload()
        return service

    async def _drain(self, service: Service) -> int:
        try:
            async with asyncio.timeout(self._time_left()) as limit:
                await service.drain()
        except Exception:
            if not limit.expired():
                logger.exception("the drain failed")
                return EXIT_FAILED
            logger.error(  # noqa: TRY400 - a traceback would only show where it was cancelled
                "not drained in time: abandoning what is in flight", extra={"drain_timeout": self._drain_timeout}
            )
            return EXIT_FAILED
        return EXIT_OK

    def _time_left(self) -> float:
        return max(0.0, self._stop_at + self._drain_timeout - self._loop.time())

    def _on_stop(self, _number: signal.Signals | None = None) -> None:
        # Ctrl-C reaches the whole process group and is forwarded by the supervisor as well: twice counts as once.
        if not self._stopping.is_set():
            self._stop_at = self._loop.time()
            self._stopping.set()

    def _on_supervisor_gone(self) -> None:
        # Nothing is ever written to this pipe: readable means that its other end is closed.
        self._loop.remove_reader(self._context.alive_fd)
        logger.warning("the supervisor is gone: draining")
        self._on_stop()

    def _on_reload(self) -> None:
        if self._service is None:
            self._reload_wanted = True
            return
        done = None
        try:
            done = self._service.reload()
        except Exception:
            logger.exception("the reload failed: nothing was changed")
        if done is None:
            self._reloaded()
        else:
            done.add_done_callback(self._reloaded)

    def _reloaded(self, _done: object = None) -> None:
        self._context.board.count_reload(self._context.place)

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A fault in a callback costs a request, not the worker; one in every request must not fill a disk.
        error = context.get("exception")
        message = str(context.get("message") or "unhandled error")
        key = f"{type(error).__name__}: {message}"
        self._errors.log(logging.ERROR, key, message, exc_info=error)

    def _beat(self) -> None:
        """Report that the loop runs, publish the state, and take over or hand back the places of silent workers."""
        self._loop.call_later(TICK, self._beat)
        board, place = self._context.board, self._context.place
        board.beat(place)
        board.set_state(place, WorkerState(STARTING) if self._service is None else self._service.state())
        adopted = board.adopted_by(place)
        if adopted != self._adopted and self._service is not None:
            self._adopted = adopted
            self._service.accept_for(adopted)
        handler = non_blocking_handler()
        if handler is not None:
            handler.flush()

    def _sample(self) -> None:
        self._process.sample()
        self._loop.call_later(SAMPLE_EVERY, self._sample)
