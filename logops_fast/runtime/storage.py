"""The storage of the Ingest Gateway in one worker: its sink, recovered and replayed, and the housekeeping."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logops_fast.config.settings import Settings
from logops_fast.ingest.housekeeping.autorun import Autorun
from logops_fast.ingest.housekeeping.retention import Report
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.sink.file_sink import FileSink
from logops_fast.ingest.sink.interface import NullSink, Sink, SinkCommit
from logops_fast.ingest.sink.recovery import replay
from logops_fast.runtime import housekeeping
from logops_fast.runtime.worker import WorkerContext
from logops_fast.state.interface import MAX_WORKERS, StateStore
from logops_fast.telemetry.logs import RateLimited

logger = logging.getLogger(__name__)


class Storage:
    """Opens and closes the sink and the housekeeping of one worker, and reports their outcomes."""

    def __init__(
        self,
        settings: Settings,
        context: WorkerContext,
        state: StateStore,
        metrics: IngestMetrics,
        *,
        on_failure: Callable[[], object],
    ) -> None:
        self._state: Final = state
        self._context: Final = context
        self._metrics: Final = metrics
        self._errors: Final = RateLimited(logger)
        self._on_failure: Final = on_failure
        self._window = settings.dedup.window
        self._file_sink: FileSink | None = None
        if settings.sink.enabled:
            self._file_sink = FileSink(
                Path(settings.sink.dir),
                durability=settings.sink.durability,
                worker=context.index,
                # A successor of a process that the kernel has not ended yet has an index past the count.
                workers=max(context.count, context.index + 1),
                claims=state.batch_ids,
                on_commit=self._committed,
                on_error=self._failed,
            )
        self.sink: Final[Sink] = self._file_sink or NullSink()
        self._autorun: Autorun | None = None
        if settings.sink.enabled and settings.housekeeping.autorun:
            self._autorun = Autorun(
                Path(settings.sink.dir),
                settings.housekeeping.interval,
                lambda stop: housekeeping.run(settings, stop=stop),
                self._housekept,
            )

    def give_way(self) -> bool:
        """Let the sink's thread write, before the loop's thread is busy for long; return whether to wait for a turn."""
        return self._file_sink is not None and self._file_sink.give_way()

    async def start(self) -> None:
        """Lock the directory, repair what a crash left, replay the journal's batch ids. Raises SinkStartError."""
        if self._file_sink is not None:
            report = await self._file_sink.start()
            replayed = replay(report, self._state.batch_ids, self._window)
            if report.torn_bytes:
                logger.warning("%s", report.text())
            elif replayed:
                logger.info("%s", report.text())
            if self._file_sink.by_thread and sys.platform == "linux":
                logger.info(
                    "the kernel offers no queue for syncs (a seccomp filter, fs.aio-max-nr): a thread syncs instead"
                )
        # Only now, as the replay has finished the claims of stored batches: those left in progress become free.
        if self._context.index == 0:
            # Workers that do not exist any more: worker 0 has replayed their journals.
            for index in range(self._context.count, MAX_WORKERS):
                if not self._context.board.index_used(index):
                    self._state.worker_started(index)
        self._state.worker_started(self._context.index)
        if self._autorun is not None:
            self._autorun.start()

    async def close(self) -> None:
        """Store and sync what is pending, and close the files."""
        if self._autorun is not None:
            await self._autorun.stop()
        await self.sink.close()

    def _committed(self, commit: SinkCommit) -> None:
        self._metrics.sink_committed(commit.bytes, commit.seconds)

    def _housekept(self, report: Report) -> None:
        if report.outcome != "busy":  # an operator's `logops housekeeping` is running
            self._metrics.housekeeping_run(report.outcome, report.counts)
        if report.results or report.errors:
            logger.log(logging.ERROR if report.errors else logging.INFO, "housekeeping: %s", report.text())

    def _failed(self, operation: str, text: str) -> None:
        self._metrics.sink_failed()
        self._on_failure()
        self._errors.log(logging.ERROR, operation, f"the sink failed: {text}")
