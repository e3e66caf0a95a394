"""Exactly once: what the sink's journal remembers is told to the store of batch ids."""

from __future__ import annotations

from typing import Protocol

from logops_fast.ingest.sink.recovery import RecoveryReport


class AnswerStore(Protocol):
    """The part of the store of batch ids that a replay needs."""

    def finish(self, emitter: str, batch_id: str, answer: bytes) -> None:
        """The batch is stored with this answer; also makes the entry where there is none."""


def replay(report: RecoveryReport, store: AnswerStore) -> int:
    """Finish every batch that a crash left stored but perhaps unanswered; how many.

    Call it before the store is told that the worker has started: claims that the worker left in progress then become
    free, and those of stored batches must be finished by that time.
    """
    for batch in report.remembered:
        store.finish(batch.emitter, batch.batch_id, batch.answer)
    return len(report.remembered)
