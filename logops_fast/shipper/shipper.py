"""The shipper: tails, deliveries and positions put together on an event loop.

Each lane (one stream of one worker) is a task that reads a chunk, delivers it and moves its position; the next chunk is
read meanwhile. Everything that may wait for a disk, and the work on lines, is done in one thread, so that the loop
answers at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeVar

from logops_fast.backoff import Backoff
from logops_fast.errors import LogOpsError, StartupError
from logops_fast.shipper.answers import Effect, TimeLimits
from logops_fast.shipper.delivery import Ask, Delivery, Hold, Push
from logops_fast.shipper.entries import EntryMaker, Place
from logops_fast.shipper.ledger import LONGEST_DOUBT, Batch, Ledger, ShipOptions
from logops_fast.shipper.loki import Loki, QueryError, encode
from logops_fast.shipper.metrics import ShipMetrics
from logops_fast.shipper.push_request import SECOND
from logops_fast.shipper.questions import questions
from logops_fast.shipper.source import Source
from logops_fast.shipper.tail import Lane

SAVE_EVERY: Final = 1.0  # seconds, if positions have moved
MAX_IN_MEMORY: Final = 6
"""Batches in memory, of all lanes together: about 5 MB each."""
STOP_GRACE: Final = 3.0
"""Seconds that a push under way is waited for at the end. Without its answer the next start asks Loki."""
SHIPPED_MARGIN: Final = 5 * SECOND

ResultT = TypeVar("ResultT")

logger = logging.getLogger(__name__)


TroubleReason = Literal["loki_unreachable", "loki_refuses", "files_unreadable", "ship_failed"]


class Trouble(NamedTuple):
    """Why a lane makes no progress: a reason of ``/readyz``, and a sentence."""

    reason: TroubleReason
    text: str


class _HeldError(LogOpsError):
    """Loki takes nothing of a batch, whatever is in it: it is read again later, perhaps with more lines."""


class _StoppedError(LogOpsError):
    """The shipper is stopping: a push under way is abandoned, and Loki asked about it at the next start."""


class Shipper:
    """Ships one directory. ``start`` it on the loop; ``wall`` returns ns, ``clock`` seconds."""

    def __init__(
        self,
        options: ShipOptions,
        source: Source,
        loki: Loki,
        maker: Callable[[], EntryMaker],
        metrics: ShipMetrics,
        *,
        wall: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._ledger = Ledger(options, source, metrics, wall)
        self._loki = loki
        self._make_maker = maker
        self._metrics = metrics
        self._wall = wall
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ship")
        self._lanes: dict[Lane, asyncio.Task[None]] = {}
        self._under_way: set[Lane] = set()
        self._limits = TimeLimits()
        self._trouble: dict[Lane, Trouble] = {}
        self._caught_up: dict[Lane, float] = {}
        self._lane_trouble: dict[Lane, Trouble] = {}
        self._slots = asyncio.Semaphore(MAX_IN_MEMORY)
        self._stopping = asyncio.Event()
        self._scanned = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._once = False
        self._disk_trouble: Trouble | None = None
        self._save_trouble: Trouble | None = None
        self._query_denied = False

    def __repr__(self) -> str:
        return f"<Shipper {self._options.directory} lanes={len(self._lanes)} pending={self.pending}>"

    @property
    def trouble(self) -> Trouble | None:
        """None, or why lines do not get to Loki."""
        lanes = (*self._trouble.values(), *self._lane_trouble.values())
        return self._disk_trouble or self._save_trouble or next(iter(lanes), None)

    @property
    def pending(self) -> int:
        """Acknowledged bytes that are not in Loki, as far as was seen."""
        return sum(map(self._ledger.pending, self._ledger.lanes))

    async def start(self) -> None:
        """Lock the directory, read the positions, and begin. Raises StartupError."""
        await self._in_thread(self._ledger.open)
        self._tasks = [self._task(self._scan_forever()), self._task(self._save_forever())]

    async def run_once(self, progress: Callable[[int, int], None]) -> None:
        """Ship everything that is acknowledged, then end. ``progress`` gets bytes shipped since the start, and left.

        Raises StartupError.
        """
        self._once = True
        await self._in_thread(self._ledger.open)
        self._tasks = [self._task(self._save_forever())]
        shipped = 0
        try:
            try:
                await self._scan()
            except OSError as error:
                raise StartupError(f"{error.filename or self._options.directory}: {error.strerror}") from None
            before = self.pending
            while not all(task.done() for task in self._lanes.values()):
                await asyncio.wait([*self._lanes.values()], timeout=0.2)
                left = self.pending
                shipped = max(shipped, before - left)
                progress(shipped, left)
            for task in self._lanes.values():
                task.result()
        finally:
            await self.stop()

    async def renew_credentials(self) -> bool:
        """Read Loki's credentials again, and return whether they have changed. Raises ValueError, and keeps the old."""
        return await self._loki.renew()

    async def stop(self) -> None:
        """Wait a moment for pushes under way, save the positions, and close. Later calls do nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._scanned.set()
        for task in self._tasks:
            task.cancel()
        lanes = [*self._lanes.values()]
        if lanes:
            await asyncio.wait(lanes, timeout=STOP_GRACE)
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._in_thread(partial(self._ledger.close, self._under_way))
        except OSError as error:
            logger.error("the positions cannot be saved: %s", error)  # noqa: TRY400 - one line
        await self._loki.aclose()
        self._thread.shutdown(wait=False)

    # On the loop.

    async def _scan_forever(self) -> None:
        while not self._stopping.is_set():
            began = self._clock()
            try:
                await self._scan()
                self._disk_trouble = None
            except OSError as error:
                text = f"{error.filename or self._options.directory}: {error.strerror}"
                if self._disk_trouble is None:
                    logger.error("the files cannot be read: %s", text)  # noqa: TRY400 - one line
                self._disk_trouble = Trouble("files_unreadable", text)
                self._awake()  # the files that can be read are shipped
            except Exception as error:
                logger.exception("looking for files failed")
                self._disk_trouble = Trouble("files_unreadable", str(error))
            # A directory of very many files takes long to look at: a tenth of the time at most.
            await self._sleep(max(self._options.poll_interval, 9 * (self._clock() - began)))

    async def _scan(self) -> None:
        try:
            await self._in_thread(self._ledger.refresh)
        finally:
            self._follow_lanes()
        self._awake()

    def _follow_lanes(self) -> None:
        for lane in self._ledger.lanes:
            if lane not in self._lanes:
                self._caught_up[lane] = self._clock()
                self._lanes[lane] = self._task(self._run_lane(lane))

    def _awake(self) -> None:
        """Let the lanes look whether their files have grown."""
        self._scanned.set()
        self._scanned.clear()
        self._sample()

    async def _save_forever(self) -> None:
        while not self._stopping.is_set():
            await self._sleep(SAVE_EVERY)
            try:
                await self._in_thread(self._ledger.save)
                self._save_trouble = None
            except OSError as error:
                text = f"the positions cannot be saved: {error}"
                if self._save_trouble is None:
                    logger.error("%s", text)  # noqa: TRY400 - one line
                self._save_trouble = Trouble("ship_failed", text)

    async def _run_lane(self, lane: Lane) -> None:
        """Ship one lane until the end; after any failure it continues from its position, in doubt."""
        maker = self._make_maker()
        backoff = Backoff(self._options.base_delay, self._options.max_delay, jitter=0.5)
        failures = 0
        ahead: asyncio.Task[Batch | None] | None = None
        while not self._stopping.is_set():
            try:
                batch = await (ahead or self._load_batch(lane, maker))
                ahead = None
                if batch is None:
                    if self._once:
                        return
                    await self._scanned.wait()
                    continue
                if not self._slots.locked():
                    ahead = self._task(self._load_batch(lane, maker))
                try:
                    await self._deliver(lane, batch)
                finally:
                    self._slots.release()
                failures = 0
                self._lane_trouble.pop(lane, None)
            except _StoppedError:
                break
            except Exception as error:
                failures += 1
                if isinstance(error, _HeldError):
                    self._note(lane, "loki_refuses", f"Loki refuses every line, which are kept where they are: {error}")
                else:
                    text = f"shipping the {lane.stream} of worker {lane.worker} failed: {error}"
                    self._lane_trouble[lane] = Trouble("ship_failed", text)
                    # A full disk needs no traceback.
                    logger.error("%s", text, exc_info=not isinstance(error, OSError))  # noqa: TRY400
                if ahead is not None:
                    await self._drop(ahead)
                    ahead = None
                await self._in_thread(partial(self._ledger.rewind, lane))
                await self._sleep(backoff.delay(failures))
        if ahead is not None:
            ahead.cancel()

    async def _load_batch(self, lane: Lane, maker: EntryMaker) -> Batch | None:
        """Read the next batch, once there is room in memory; the caller gives the room back."""
        await self._slots.acquire()
        batch = None
        try:
            batch = await self._in_thread(partial(self._ledger.read, lane, maker))
        finally:
            if batch is None:
                self._slots.release()
        return batch

    async def _drop(self, ahead: asyncio.Task[Batch | None]) -> None:
        with contextlib.suppress(Exception):
            if await ahead is not None:
                self._slots.release()

    async def _deliver(self, lane: Lane, batch: Batch) -> None:
        chunk, now = batch.chunk, self._wall()
        shipped = None
        if chunk.doubtful:
            since = max(chunk.file.position.since, now - LONGEST_DOUBT)
            # Later than now if a clock was set back.
            shipped = since - SHIPPED_MARGIN, max(now, since, self._limits.latest) + SHIPPED_MARGIN
        await self._in_thread(partial(self._ledger.reserve, lane, chunk))
        delivery = Delivery(
            batch.entries,
            limits=self._limits,
            tally=self._metrics,
            backoff=Backoff(self._options.base_delay, self._options.max_delay, jitter=0.5),
            settle=self._options.settle,
            query_within=self._options.query_within,
            shipped=shipped,
        )
        self._under_way.add(lane)
        while (step := delivery.next(self._wall())) is not None:
            if self._stopping.is_set():
                raise _StoppedError
            if isinstance(step, Push):
                await self._push(lane, delivery, step)
            elif isinstance(step, Ask):
                await self._ask(lane, batch.place, delivery, step)
            elif isinstance(step, Hold):
                raise _HeldError(step.text)
            else:
                await self._sleep(step.seconds)
        await self._in_thread(partial(self._ledger.finish, lane, batch, delivery.refused))
        self._under_way.discard(lane)
        self._well(lane)
        stored = len(batch.entries) - len(delivery.refused)
        self._metrics.shipped(batch.place.stream, stored, chunk.end - chunk.start)

    async def _push(self, lane: Lane, delivery: Delivery, step: Push) -> None:
        body = await self._in_thread(partial(encode, step.entries))
        began = self._clock()
        answer = await self._loki.push(body, again=not self._query_denied)
        self._metrics.pushed(answer.effect, self._clock() - began)
        if answer.effect is Effect.STORED:
            self._well(lane)
        elif answer.effect is Effect.DENIED:
            self._note(lane, "loki_refuses", f"Loki does not let this shipper in: {answer.shown}")
        elif answer.effect is Effect.IGNORED:
            self._note(lane, "loki_refuses", f"this answer to a push is not Loki's 204: {answer.shown}")
        elif answer.effect not in (Effect.REFUSED, Effect.TOO_LARGE):
            self._note(lane, "loki_unreachable", f"Loki takes nothing: {answer.shown}")
        delivery.answered(answer, self._wall())

    async def _ask(self, lane: Lane, place: Place, delivery: Delivery, step: Ask) -> None:
        denied = not self._options.may_query
        if not denied:
            try:
                asked = await self._in_thread(
                    partial(questions, place, self._ledger.machines, step.entries, step.shipped)
                )
                found = await self._loki.ask(asked)
            except QueryError as error:
                denied = error.denied
                self._metrics.asked("denied" if denied else "failed")
                if denied:
                    if not self._query_denied:
                        logger.warning("Loki cannot be asked what it has, lines may be there twice: %s", error)
                    self._query_denied = True
                else:
                    reason: TroubleReason = "loki_refuses" if error.foreign else "loki_unreachable"
                    self._note(lane, reason, f"Loki does not answer a query: {error}")
                    delivery.unasked(allowed=True, now=self._wall())
                    return
            else:
                self._query_denied = False
                self._metrics.asked("answered")
                delivery.asked(found, self._wall())
                return
        delivery.unasked(allowed=False, now=self._wall())

    def _note(self, lane: Lane, reason: TroubleReason, text: str) -> None:
        if self.trouble is None:
            logger.warning("%s", text[:500])
        self._trouble[lane] = Trouble(reason, text[:500])

    def _well(self, lane: Lane) -> None:
        if self._trouble.pop(lane, None) is not None and self.trouble is None:
            logger.info("Loki takes lines again")

    def _sample(self) -> None:
        """Bring the gauges up to date."""
        now = self._clock()
        for lane in self._lanes:
            if not self._ledger.pending(lane):
                self._caught_up[lane] = now
        self._metrics.lag_bytes.set(self.pending)
        self._metrics.lag_seconds.set(now - min(self._caught_up.values(), default=now))

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until the end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _in_thread(self, call: Callable[[], ResultT]) -> ResultT:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _task(self, coroutine: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(_report)
        return task


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, LogOpsError):
        logger.error("a task of the shipper failed", exc_info=error)
