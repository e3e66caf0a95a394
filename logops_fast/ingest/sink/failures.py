"""How failures of the sink are reported, and kept from its callers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from logops_fast.ingest.sink.file_ops import StepFailedError

logger = logging.getLogger(__name__)


def report(
    error: BaseException | None, directory: Path, on_error: Callable[[str, str], None]
) -> StepFailedError | None:
    """Report a failure and those that followed from it, each by its operation and a sentence; return the first."""
    if error is None:
        return None
    if isinstance(error, StepFailedError):
        failure = error
    else:
        # A defect or no memory: the group was cut away, its batches must be answered all the same.
        logger.error("a group could not be stored", exc_info=error)
        failure = StepFailedError("internal", directory, OSError(0, repr(error)))
    step: StepFailedError | None = failure
    while step is not None:
        guarded(on_error, step.operation, str(step))
        step = step.rollback
    return failure


def both(error: BaseException, second: BaseException | None) -> BaseException:
    """Add to a failure that its group could not be cut away either."""
    if isinstance(error, StepFailedError) and isinstance(second, StepFailedError):
        error.rollback = second
    return error


def guarded(callback: Callable[..., None], *args: object) -> None:
    """Call back; one caller's mistake must not cost the others their answer."""
    try:
        callback(*args)
    except Exception:
        logger.exception("a callback of the sink failed")
