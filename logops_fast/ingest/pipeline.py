"""The ingest pipeline: a batch in, stored lines and a summary out. Knows nothing of HTTP connections.

parse -> normalise, mask, serialise -> one append to the sink; the reply goes out once the sink has it. A small batch is
read in one step, a large one piece by piece through the work queue, so that no batch holds the event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from time import monotonic, time
from typing import Final, assert_never

import orjson

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.formats.work_queue import WorkQueue
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.native.reader import NativeReader
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Limits, MalformedBody, Parsed, TextOptions
from logops_fast.ingest.parsers.json_values import check_writable
from logops_fast.ingest.reading_jobs import NativeJob, OnRead, ReadingJob, Refused
from logops_fast.ingest.sink.commit_log import BY_BODY
from logops_fast.ingest.sink.interface import LedgerEntry, Sink
from logops_fast.ingest.summary import Reading, summarise
from logops_fast.state.interface import BatchClaim, BatchIds, ClaimKind, body_digest

OnReply = Callable[[Reply], None]

AHEAD_BYTES: Final = 65_536
"""Bytes of JSON that are read in one step however many events they hold, before they are charged."""

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
        self._normaliser = normaliser
        self._sink = sink
        self._batch_ids = batch_ids
        self._metrics = metrics
        self._limits = limits
        self._text = text
        self._text_of = text_of or {}
        self._queue = WorkQueue() if queue is None else queue
        self._window = window
        self._native = native
        self._wall = wall

    def send(self, batch: Batch, reply: OnReply) -> None:
        """Take a batch (a Downstream). A batch id that may come again is claimed first.

        A batch that may be recognised by its body is claimed once it is read: whether it may depends on its times.
        """
        self._claim(batch, reply, None)

    def read_ahead(self, batch: Batch) -> Ahead | None:
        """Read a batch before it is charged, if the kernel reads all of it in one step (a ReadAhead).

        Without the kernel a small body of JSON is parsed: to parse it counts it, too, and what is left to do waits.
        """
        native, body = self._native, batch.body
        if native is None:
            return self._parse_ahead(batch) if len(body) <= AHEAD_BYTES and _is_json(batch) else None
        if len(body) > PIECE_BYTES or not _is_for_native(batch):
            return None
        if len(body) > AHEAD_BYTES and _is_json(batch) and body.count(b"{") > PIECE_ITEMS:
            return None
        reading = self._reading(batch)
        try:
            return Ahead(self, batch, reading, None) if self._read_native(native, batch, reading) else None
        except Exception:
            return None  # whatever it is, `send` meets it too, and answers

    def _parse_ahead(self, batch: Batch) -> Ahead | None:
        reading = self._reading(batch)
        try:
            parsed = self._parse(batch, reading, not self._normaliser.is_plain)
        except Exception:
            return None  # as above
        if parsed is None or len(parsed.events) + len(parsed.faults) > PIECE_ITEMS:
            return None
        return Ahead(self, batch, reading, parsed)

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
                    self._read_pieces(batch, self._reading(batch), partial(self._answer_again, batch, reply))
            case ClaimKind.OTHER_BODY:
                self._refuse(batch, reply, BATCH_ID_REUSED)
            case ClaimKind.IN_PROGRESS:
                self._refuse(batch, reply, IN_PROGRESS)
            case ClaimKind.UNAVAILABLE:
                self._refuse(batch, reply, STATE_UNAVAILABLE)
            case _:
                assert_never(claim.kind)

    def _store(self, batch: Batch, reply: OnReply, checked: bool = False) -> None:
        """Read a batch and go on with it.

        What cannot be written as it is, such as an integer over 64 bits, is rare enough to be found out when it is
        written: the batch is then read once more, and ``checked``.
        """
        reading = self._reading(batch)
        if _is_large(batch):
            self._read_pieces(batch, reading, partial(self._append, batch, reply))
            return
        # The common case: read in one step.
        try:
            if self._native is not None and self._read_native(self._native, batch, reading):
                self._append(batch, reply, reading, None)
                return
            is_json = _is_json(batch)
            if not is_json:
                checked = True
            if not is_json and registry.shares(batch.format):
                pieces = self._pieces(batch, reading)
                parsed = next(pieces)
                more = next(pieces, None)
                if more is not None:
                    self._enqueue(batch, reading, chain((parsed, more), pieces), partial(self._append, batch, reply))
                    return
            else:
                checked = checked or not self._normaliser.is_plain
                at_once = self._parse(batch, reading, checked)
                if at_once is None:
                    self._read_pieces(batch, reading, partial(self._append, batch, reply))
                    return
                parsed = at_once
            if len(parsed.events) + len(parsed.faults) > PIECE_ITEMS:
                if not checked:
                    check_writable(parsed.events)
                self._enqueue(batch, reading, iter((parsed,)), partial(self._append, batch, reply))
                return
        except Exception as error:
            if not checked and isinstance(error, orjson.JSONEncodeError):
                self._store(batch, reply, checked=True)
            else:
                self._append(batch, reply, reading, error)
            return
        self._take(batch, reply, reading, parsed, checked)

    def _go_on(self, batch: Batch, reply: OnReply, ahead: Ahead) -> None:
        """Store a batch that was read, or parsed, before it was charged."""
        # The request keeps what was read ahead until it is answered. If events live as long, the next batch gets memory
        # that is in no cache: 40 us a batch of 100.
        parsed, ahead.parsed = ahead.parsed, None
        if parsed is None:
            self._append(batch, reply, ahead.reading, None)
        else:
            self._take(batch, reply, ahead.reading, parsed, not self._normaliser.is_plain)

    def _take(self, batch: Batch, reply: OnReply, reading: Reading, parsed: Parsed, checked: bool) -> None:
        """Normalise what was parsed of a small batch, and go on with it. ``checked``: see `_store`."""
        failure: Exception | None = None
        try:
            reading.take(parsed, checked)
        except Exception as error:
            if not checked and isinstance(error, orjson.JSONEncodeError):
                self._store(batch, reply, checked=True)
                return
            failure = error
        self._append(batch, reply, reading, failure)

    def _read_native(self, native: NativeReader, batch: Batch, reading: Reading) -> bool:
        """Read a batch with the kernel; False if the parsers have to, because of what it is or holds."""
        if not _is_for_native(batch):
            return False
        normalised = None
        if batch.format is Format.OTLP:
            part = native.read_export(
                batch.body,
                self._limits,
                start=0,
                emitter=batch.emitter,
                scenario_id=batch.scenario_id,
                received_at=reading.received_at,
                receipts_before=0,
            )
            if part is not None and part.end is None:
                normalised = part.normalised
        elif len(batch.body) <= self._limits.max_event_bytes:
            normalised = native.read(
                batch.body,
                by_line=batch.format is Format.NDJSON,
                emitter=batch.emitter,
                scenario_id=batch.scenario_id,
                received_at=reading.received_at,
                receipts_before=0,
            )
        if normalised is None or normalised.count > self._limits.max_items:
            return False
        reading.take_normalised(normalised)
        return True

    def _reading(self, batch: Batch) -> Reading:
        native = self._native
        if native is not None and _is_json(batch):
            native = None  # it was handed to the kernel as it came
        return Reading(batch, self._normaliser, self._limits.max_event_bytes, self._wall(), native)

    def _options(self, batch: Batch) -> TextOptions:
        return self._text_of.get(batch.emitter, self._text)

    def _parse(self, batch: Batch, reading: Reading, checked: bool) -> Parsed | None:
        options = self._options(batch)
        return registry.parse_at_once(
            batch.format, batch.body, reading.received_at, self._limits, options, checked=checked
        )

    def _pieces(self, batch: Batch, reading: Reading) -> Iterator[Parsed]:
        options = self._options(batch)
        return registry.parse_pieces(batch.format, batch.body, reading.received_at, self._limits, options)

    def _read_pieces(self, batch: Batch, reading: Reading, done: OnRead) -> None:
        """Read a batch, of which nothing was read, piece by piece."""
        if self._native is None or not _is_large(batch) or not _is_for_native(batch):
            self._enqueue(batch, reading, self._pieces(batch, reading), done)
            return
        instead = partial(self._job_of_pieces, batch, done)
        job = NativeJob(self._native, reading, self._limits, instead, done)
        self._queue.add(job, batch.emitter, len(batch.body), batch.started)

    def _job_of_pieces(self, batch: Batch, done: OnRead) -> ReadingJob:
        reading = self._reading(batch)
        return ReadingJob(reading, self._pieces(batch, reading), done)

    def _enqueue(self, batch: Batch, reading: Reading, pieces: Iterator[Parsed], done: OnRead) -> None:
        job = ReadingJob(reading, pieces, done)
        self._queue.add(job, batch.emitter, len(batch.body), batch.started)

    def _append(self, batch: Batch, reply: OnReply, reading: Reading, failure: Exception | None) -> None:
        """Hand what was read to the sink, unless it has to be claimed first."""
        if not batch.body_id:
            self._commit(batch, reply, reading, failure)
        elif failure is not None:
            self._commit(batch.replaced(body_id="", repeatable=False), reply, reading, failure)
        else:
            if reading.missing_ts or not reading.count:
                batch = batch.replaced(body_id="")  # equal bodies may be two batches
            claim_id = _claim_id(batch)
            if claim_id:
                done = partial(self._claimed_read, batch, reply, reading)
                self._batch_ids.begin(batch.emitter, claim_id, body_digest(batch.body), done)
            else:
                self._commit(batch, reply, reading, None)

    def _claimed_read(self, batch: Batch, reply: OnReply, reading: Reading, claim: BatchClaim) -> None:
        match claim.kind:
            case ClaimKind.NEW:
                self._commit(batch, reply, reading, None)
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

    def _commit(self, batch: Batch, reply: OnReply, reading: Reading, failure: Exception | None) -> None:
        """Hand what was read to the sink; what is to be claimed is claimed."""
        rejected = b""
        answer = b""
        if failure is None:
            try:
                lines = reading.lines()
                rejected = reading.rejected()
                answer = summarise(reading, stored=self._sink.stores)
            except Exception as error:
                failure = error
        if failure is not None:
            self._release(batch)
            if isinstance(failure, MalformedBody):
                self._metrics.parse_errors(batch.emitter, batch.format.label, 1)
            self._refuse(batch, reply, self._refusal_of(failure))
            return
        entry = None
        claim_id = _claim_id(batch)
        if claim_id and reading.count:
            entry = LedgerEntry(batch.emitter, claim_id, answer, body_digest(batch.body))
        if len(batch.body) > PIECE_BYTES:
            batch = batch.replaced(body=b"")  # nothing of it is needed while the disk is waited for
        done = partial(self._stored, batch, reply, reading, answer)
        self._sink.append(lines, done, rejected=rejected, entry=entry)

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
            reading = self._reading(batch)
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


def _is_large(batch: Batch) -> bool:
    return len(batch.body) > PIECE_BYTES or batch.items > PIECE_ITEMS


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
        """Return the number of its events and faults."""
        if self.parsed is not None:
            return len(self.parsed.events) + len(self.parsed.faults)
        return self.reading.count + self.reading.faults

    def store(self, reply: OnReply) -> None:
        """Claim the batch if it may come again, and store it."""
        self._pipeline._claim(self._batch, reply, self)


def _is_json(batch: Batch) -> bool:
    return batch.format is Format.NDJSON or batch.format is Format.JSON


def _is_for_native(batch: Batch) -> bool:
    """Return whether the kernel reads such a body itself."""
    return (_is_json(batch) or batch.format is Format.OTLP) and not batch.tenant
