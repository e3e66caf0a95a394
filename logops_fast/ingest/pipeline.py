"""The ingest pipeline: a batch in, stored lines and a summary out. Knows nothing of HTTP connections.

parse -> normalise, mask, serialise -> one append to the sink; the reply goes out once the sink has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic, time
from typing import Final

from logops_fast.formats.batch import Batch, Reply
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.normaliser import Normalised, Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Fault, MalformedBody
from logops_fast.ingest.rejected import rejected_lines
from logops_fast.ingest.sink.interface import LedgerEntry, Sink
from logops_fast.ingest.summary import summarise
from logops_fast.state.interface import BatchClaim, BatchIds, ClaimKind, body_digest

OnReply = Callable[[Reply], None]

MALFORMED_STATUS: Final = {"empty": 400, "malformed": 400, "otlp_not_supported": 415}

SINK_FAILED: Final = Refusal(
    503, "sink_failed", "The batch could not be written to disk and nothing of it was kept: send it again.", 1
)
IN_PROGRESS: Final = Refusal(
    503, "batch_in_progress", "A batch with this X-Batch-Id is being stored right now: ask again in a second.", 1
)
BATCH_ID_REUSED: Final = Refusal(
    422,
    "batch_id_reused",
    "Another body was sent under this X-Batch-Id in the last ten minutes, and nothing of this one was stored: give "
    "each batch an id of its own.",
)
STATE_UNAVAILABLE: Final = Refusal(
    503, "state_unavailable", "The store that remembers batch ids does not answer: send the batch again.", 1
)
DEFECT: Final = Refusal(
    500, "internal_error", "The gateway failed on this batch and stored nothing of it; its log says where."
)
EMPTY: Final = Normalised(b"", 0, 0, 0, {}, {})

_log: Final = logging.getLogger(__name__)


class IngestPipeline:
    """Stores batches. One per worker; all on the loop's thread but the sink's own writes."""

    def __init__(
        self,
        *,
        normaliser: Normaliser,
        sink: Sink,
        batch_ids: BatchIds,
        metrics: IngestMetrics,
        wall: Callable[[], float] = time,
    ) -> None:
        self._normaliser = normaliser
        self._sink = sink
        self._batch_ids = batch_ids
        self._metrics = metrics
        self._wall = wall

    def send(self, batch: Batch, reply: OnReply) -> None:
        """Take a batch (a Downstream). A batch id that may come again is claimed first."""
        if batch.repeatable:
            digest = body_digest(batch.body)
            self._batch_ids.begin(batch.emitter, batch.batch_id, digest, partial(self._claimed, batch, reply))
        else:
            self._store(batch, reply)

    def _claimed(self, batch: Batch, reply: OnReply, claim: BatchClaim) -> None:
        if claim.kind is ClaimKind.NEW:
            self._store(batch, reply)
        elif claim.kind is ClaimKind.DONE:
            # A batch id already stored is answered with the first answer, and nothing is stored twice. Where that
            # answer is remembered no more, the same body gives the same one again.
            self._metrics.answered(batch.emitter, monotonic() - batch.started)
            reply(Reply(200, claim.answer or self._answer_again(batch)))
        elif claim.kind is ClaimKind.OTHER_BODY:
            self._refuse(batch, reply, BATCH_ID_REUSED)
        else:
            self._refuse(batch, reply, IN_PROGRESS if claim.kind is ClaimKind.IN_PROGRESS else STATE_UNAVAILABLE)

    def _store(self, batch: Batch, reply: OnReply) -> None:
        received_at = self._wall()
        try:
            normalised, faults, answer = self._read(batch, received_at)
            rejected = rejected_lines(batch, faults, self._normaliser.mask_text, received_at) if faults else b""
        except MalformedBody as bad:
            self._release(batch)
            self._metrics.parse_errors(batch.emitter, batch.format.label, 1)
            self._refuse(batch, reply, Refusal(MALFORMED_STATUS[bad.reason], bad.reason, bad.detail))
            return
        except Exception:
            # Whoever called may be the state store, which answers nobody; and the id must not stay claimed.
            _log.exception("a batch could not be read")
            self._release(batch)
            self._refuse(batch, reply, DEFECT)
            return
        entry = None
        if batch.repeatable and normalised.count:
            entry = LedgerEntry(batch.emitter, batch.batch_id, answer)
        done = partial(self._stored, batch, reply, normalised, faults, answer)
        self._sink.append(normalised.lines, done, rejected=rejected, entry=entry)

    def _read(self, batch: Batch, received_at: float) -> tuple[Normalised, list[Fault], bytes]:
        """The lines of a batch, its faults, and the answer they make. Raises MalformedBody."""
        parsed = registry.parse(batch.format, batch.body, now=received_at)
        normalised = self._normaliser.run(
            parsed.events, emitter=batch.emitter, scenario_id=batch.scenario_id, received_at=received_at
        )
        return normalised, parsed.faults, summarise(batch, normalised, parsed.faults, stored=self._sink.stores)

    def _answer_again(self, batch: Batch) -> bytes:
        try:
            return self._read(batch, self._wall())[2]
        except MalformedBody:
            # Not the body that was stored under this id; it was stored all the same.
            return summarise(batch, EMPTY, (), stored=self._sink.stores)

    def _stored(
        self, batch: Batch, reply: OnReply, normalised: Normalised, faults: list[Fault], answer: bytes, ok: bool
    ) -> None:
        if not ok:
            self._release(batch)
            self._refuse(batch, reply, SINK_FAILED)
            return
        metrics = self._metrics
        items = normalised.count + len(faults)
        if faults:
            metrics.parse_errors(batch.emitter, batch.format.label, len(faults))
        if not normalised.count:
            self._release(batch)
            detail = (
                f"None of the {items} events could be read (the first: {faults[0].reason})."
                if faults
                else "The body holds no event."
            )
            self._refuse(batch, reply, Refusal(422, "no_valid_events", detail), items)
            return
        if batch.repeatable:
            self._batch_ids.finish(batch.emitter, batch.batch_id, answer)
        metrics.stored(batch.emitter, batch.scenario_id, normalised)
        metrics.answered(batch.emitter, monotonic() - batch.started)
        reply(Reply(200, answer, items=items))

    def _release(self, batch: Batch) -> None:
        if batch.repeatable:
            self._batch_ids.abandon(batch.emitter, batch.batch_id)

    def _refuse(self, batch: Batch, reply: OnReply, refusal: Refusal, items: int | None = None) -> None:
        self._metrics.rejected(refusal.reason, batch.emitter)
        self._metrics.answered(batch.emitter, monotonic() - batch.started)
        reply(Reply(refusal.status, refusal.body(), tuple(refusal.headers()), items))
