"""The ingest pipeline: a batch in, stored lines and a summary out. Knows nothing of HTTP connections.

claim -> read (``batch_reader``: parse, normalise, mask, serialise) -> one append to the sink; the reply goes out once
the sink has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, time
from typing import Final, assert_never

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.pieces import PIECE_BYTES
from logops_fast.formats.work_queue import WorkQueue
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.batch_reader import BatchReader, is_large
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.native.reader import NativeReader
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Limits, MalformedBody, Parsed, TextOptions
from logops_fast.ingest.reading_jobs import Refused
from logops_fast.ingest.sink.commit_log import BY_BODY
from logops_fast.ingest.sink.interface import LedgerEntry, Sink
from logops_fast.ingest.summary import Reading, summarise
from logops_fast.state.interface import BatchClaim, BatchIds, ClaimKind, body_digest

OnReply = Callable[[Reply], None]

MALFORMED_STATUS: Final = {
    "empty": 400,
    "malformed": 400,
    "too_many_items": 413,
    "too_large": 413,
    "otlp_not_supported": 415,
    "unsupported_envelope": 415,
}

SINK_FAILED: Final = Refusal(
    503, "sink_failed", "The batch could not be written to disk and nothing of it was kept: send it again.", 1
)
IN_PROGRESS: Final = Refusal(
    503, "batch_in_progress", "A batch with this X-Batch-Id is being stored right now: send it again in a second.", 1
)
SAME_BODY_IN_PROGRESS: Final = Refusal(
    503, "batch_in_progress", "A batch with the same body is being stored right now: send it again in a second.", 1
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
    500, "internal_error", "The gateway failed on this batch and stored nothing of it; its log has the details."
)

logger: Final = logging.getLogger(__name__)


class IngestPipeline:
    """Stores batches. One per worker; everything but the sink's own writes happens on the event loop's thread."""

    def __init__(
        self,
        *,
        normaliser: Normaliser,
        sink: Sink,
        batch_ids: BatchIds,
        metrics: IngestMetrics,
        limits: Limits = registry.DEFAULT_LIMITS,
        text: TextOptions = registry.DEFAULT_TEXT,
        text_of: Mapping[str, TextOptions] | None = None,
        queue: WorkQueue | None = None,
        window: float = 600.0,
        native: NativeReader | None = None,
        wall: Callable[[], float] = time,
    ) -> None:
        """``window``: seconds for which a batch is recognised by its body."""
        self._reader = BatchReader(
            normaliser,
            WorkQueue() if queue is None else queue,
            limits=limits,
            text=text,
            text_of=text_of,
            native=native,
            wall=wall,
        )
        self._sink = sink
        self._batch_ids = batch_ids
        self._metrics = metrics
        self._window = window

    def send(self, batch: Batch, reply: OnReply) -> None:
        """Take a batch (a Downstream). A batch id that may come again is claimed first.

        A batch that may be recognised by its body is claimed once it is read: whether it may depends on its times.
        """
        self._claim(batch, reply, None)

    def read_ahead(self, batch: Batch) -> Ahead | None:
        """Read a batch before it is charged, if that is done in one step (a ReadAhead)."""
        read = self._reader.read_ahead(batch)
        return None if read is None else Ahead(self, batch, *read)

    def _claim(self, batch: Batch, reply: OnReply, ahead: Ahead | None) -> None:
        if batch.repeatable and not batch.body_id:
            done = partial(self._claimed, batch, reply, ahead)
            self._batch_ids.begin(batch.emitter, batch.batch_id, body_digest(batch.body), done)
        elif ahead is not None:
            self._go_on(batch, reply, ahead)
        else:
            self._store(batch, reply)

    def _claimed(self, batch: Batch, reply: OnReply, ahead: Ahead | None, claim: BatchClaim) -> None:
        match claim.kind:
            case ClaimKind.NEW:
                if ahead is not None:
                    self._go_on(batch, reply, ahead)
                else:
                    self._store(batch, reply)
            case ClaimKind.DONE:
                # A batch id already stored is answered with the first answer, and nothing is stored twice. If that
                # answer is no longer remembered, the same body gives the same one again.
                if claim.answer:
                    self._metrics.answered(batch.emitter, monotonic() - batch.started)
                    reply(Reply(200, claim.answer))
                else:
                    self._reader.read_in_pieces(batch, partial(self._answer_again, batch, reply))
            case ClaimKind.OTHER_BODY:
                self._refuse(batch, reply, BATCH_ID_REUSED)
            case ClaimKind.IN_PROGRESS:
                self._refuse(batch, reply, IN_PROGRESS)
            case ClaimKind.UNAVAILABLE:
                self._refuse(batch, reply, STATE_UNAVAILABLE)
            case _:
                assert_never(claim.kind)

    def _store(self, batch: Batch, reply: OnReply) -> None:
        """Read a batch and go on with it."""
        reader = self._reader
        if is_large(batch):
            reader.read_in_pieces(batch, partial(self._append, batch, reply))
            return
        try:
            reading, rest = reader.read(batch)
        except Exception as failure:
            self._fail_unclaimed(batch, reply, failure)
            return
        if rest is None:
            self._append(batch, reply, reading, None)
        else:
            reader.read_on(batch, reading, rest, partial(self._append, batch, reply))

    def _go_on(self, batch: Batch, reply: OnReply, ahead: Ahead) -> None:
        """Store a batch that was read, or parsed, before it was charged."""
        # The request keeps what was read ahead until it is answered. If events live as long, the next batch gets memory
        # that is in no cache: 40 us a batch of 100.
        parsed, ahead.parsed = ahead.parsed, None
        if parsed is not None:
            try:
                self._reader.take_parsed(ahead.reading, parsed)
            except Exception:
                self._store(batch, reply)  # whatever it is, to read it again meets it too, and answers
                return
        self._append(batch, reply, ahead.reading, None)

    def _append(self, batch: Batch, reply: OnReply, reading: Reading, failure: Exception | None) -> None:
        """Hand what was read to the sink, unless it has to be claimed first."""
        if failure is not None:
            self._fail_unclaimed(batch, reply, failure)
        elif not batch.body_id:
            self._commit(batch, reply, reading)
        else:
            if reading.missing_ts or not reading.count:
                batch = batch.replaced(body_id="")  # equal bodies may be two batches
            claim_id = _claim_id(batch)
            if claim_id:
                done = partial(self._claimed_read, batch, reply, reading)
                self._batch_ids.begin(batch.emitter, claim_id, body_digest(batch.body), done)
            else:
                self._commit(batch, reply, reading)

    def _claimed_read(self, batch: Batch, reply: OnReply, reading: Reading, claim: BatchClaim) -> None:
        match claim.kind:
            case ClaimKind.NEW:
                self._commit(batch, reply, reading)
            case ClaimKind.DONE:
                answer = claim.answer or summarise(reading, stored=self._sink.stores)
                # The forwarder's next try of a batch has the id of the one before: its sender sent it once.
                if batch.body_id and f'"batch_id":"{batch.batch_id}"'.encode() not in claim.answer:
                    answer = answer[:-1] + b',"duplicate":true}'
                    self._metrics.deduplicated(batch.emitter)
                self._metrics.answered(batch.emitter, monotonic() - batch.started)
                reply(Reply(200, answer))
            case ClaimKind.OTHER_BODY:
                self._refuse(batch, reply, BATCH_ID_REUSED)
            case ClaimKind.IN_PROGRESS:
                self._refuse(batch, reply, SAME_BODY_IN_PROGRESS if batch.body_id else IN_PROGRESS)
            case ClaimKind.UNAVAILABLE:
                self._refuse(batch, reply, STATE_UNAVAILABLE)
            case _:
                assert_never(claim.kind)

    def _commit(self, batch: Batch, reply: OnReply, reading: Reading) -> None:
        """Hand what was read to the sink; what is to be claimed is claimed."""
        try:
            lines = reading.lines()
            rejected = reading.rejected()
            answer = summarise(reading, stored=self._sink.stores)
        except Exception as failure:
            self._fail(batch, reply, failure)
            return
        entry = None
        claim_id = _claim_id(batch)
        if claim_id and reading.count:
            entry = LedgerEntry(batch.emitter, claim_id, answer, body_digest(batch.body))
        if len(batch.body) > PIECE_BYTES:
            batch = batch.replaced(body=b"")  # nothing of it is needed while the disk is waited for
        done = partial(self._stored, batch, reply, reading, answer)
        self._sink.append(lines, done, rejected=rejected, entry=entry)

    def _fail_unclaimed(self, batch: Batch, reply: OnReply, failure: Exception) -> None:
        """Answer a batch that could not be read, and whose body is therefore not claimed yet."""
        if batch.body_id:
            batch = batch.replaced(body_id="", repeatable=False)
        self._fail(batch, reply, failure)

    def _fail(self, batch: Batch, reply: OnReply, failure: Exception) -> None:
        self._release(batch)
        if isinstance(failure, MalformedBody):
            self._metrics.parse_errors(batch.emitter, batch.format.label, 1)
        self._refuse(batch, reply, self._refusal_of(failure))

    def _refusal_of(self, failure: Exception) -> Refusal:
        if isinstance(failure, Refused):
            return failure.refusal
        if isinstance(failure, MalformedBody):
            return Refusal(MALFORMED_STATUS[failure.reason], failure.reason, failure.detail)
        # The caller may be the state store, which answers no one; and the id must not stay claimed.
        logger.error("a batch could not be read", exc_info=failure)
        return DEFECT

    def _answer_again(self, batch: Batch, reply: OnReply, reading: Reading, failure: Exception | None) -> None:
        if isinstance(failure, Refused):
            self._refuse(batch, reply, failure.refusal)
            return
        if failure is not None:
            # Not the body that was stored under this id; that one was stored all the same.
            reading = self._reader.begin(batch)
        self._metrics.answered(batch.emitter, monotonic() - batch.started)
        reply(Reply(200, summarise(reading, stored=self._sink.stores)))

    def _stored(self, batch: Batch, reply: OnReply, reading: Reading, answer: bytes, ok: bool) -> None:
        if not ok:
            self._release(batch)
            self._refuse(batch, reply, SINK_FAILED)
            return
        metrics = self._metrics
        items = reading.count + reading.faults
        if reading.faults:
            if reading.faults > reading.too_large:
                metrics.parse_errors(batch.emitter, batch.format.label, reading.faults - reading.too_large)
            if reading.too_large:
                metrics.events_too_large(batch.emitter, reading.too_large)
        if not reading.count and (reading.faults or not registry.may_be_empty(batch.format)):
            self._release(batch)
            detail = (
                f"No event of {items} could be read (the first: {reading.errors[0].reason})."
                if reading.faults
                else "The body holds no event."
            )
            self._refuse(batch, reply, Refusal(422, "no_valid_events", detail), items)
            return
        if batch.body_id:
            self._batch_ids.finish(batch.emitter, _claim_id(batch), answer, ttl=self._window)
        elif batch.repeatable:
            self._batch_ids.finish(batch.emitter, batch.batch_id, answer)
        metrics.stored(batch.emitter, batch.scenario_id, reading)
        metrics.answered(batch.emitter, monotonic() - batch.started)
        reply(Reply(200, answer, items=items))

    def _release(self, batch: Batch) -> None:
        claim_id = _claim_id(batch)
        if claim_id:
            self._batch_ids.abandon(batch.emitter, claim_id)

    def _refuse(self, batch: Batch, reply: OnReply, refusal: Refusal, items: int | None = None) -> None:
        self._metrics.rejected(refusal.reason, batch.emitter)
        self._metrics.answered(batch.emitter, monotonic() - batch.started)
        reply(Reply(refusal.status, refusal.body(), tuple(refusal.headers()), items))


def _claim_id(batch: Batch) -> str:
    """Return what a batch is claimed under; empty if it is not."""
    if batch.body_id:
        return BY_BODY + batch.body_id
    return batch.batch_id if batch.repeatable else ""


class Ahead:
    """A batch that was read before it was charged (a ReadBatch): by the kernel, or as far as it is ``parsed``."""

    __slots__ = ("_batch", "_pipeline", "parsed", "reading")

    def __init__(self, pipeline: IngestPipeline, batch: Batch, reading: Reading, parsed: Parsed | None) -> None:
        self._pipeline = pipeline
        self._batch = batch
        self.reading = reading
        self.parsed = parsed

    @property
    def items(self) -> int:
        """Return the number of its events and faults; what is parsed ahead has no faults."""
        if self.parsed is not None:
            return len(self.parsed.events)
        return self.reading.count + self.reading.faults

    def store(self, reply: OnReply) -> None:
        """Claim the batch if it may come again, and store it."""
        self._pipeline._claim(self._batch, reply, self)
