"""Opening the sink's directory: its lock, what a crash left, today's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from logops_fast.errors import StartupError
from logops_fast.ingest.sink.file_ops import FileOps, StepFailedError
from logops_fast.ingest.sink.group_writer import GroupWriter, SinkBusyError, WorkerLock
from logops_fast.ingest.sink.recovery import RecoveryReport, recover


class SinkStartError(StartupError):
    """The sink cannot work in its directory."""


def open_writer(
    directory: Path, *, durable: bool, worker: int, workers: int, wall: Callable[[], float], ops: FileOps
) -> tuple[GroupWriter, RecoveryReport]:
    """Lock the directory, repair what a crash left and open the files of today. Raises SinkStartError."""
    try:
        lock = WorkerLock(directory, worker)
    except SinkBusyError as busy:
        raise SinkStartError(str(busy)) from None
    except OSError as error:
        raise SinkStartError(f"sink.dir {directory} cannot be used: {error.strerror or error}") from None
    try:
        report = recover(directory, worker=worker, workers=workers, now=wall())
        writer = GroupWriter(directory, durable=durable, worker=worker, workers=workers, lock=lock, wall=wall, ops=ops)
        writer.open()
    except (OSError, StepFailedError) as failure:  # mypyc gives a name one type
        lock.release()
        raise SinkStartError(f"sink.dir {directory} cannot be used: {failure}") from None
    return writer, report
