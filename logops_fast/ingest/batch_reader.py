"""How a batch is read: by the kernel or by the parsers, in one step or piece by piece through the work queue.

A small batch is read in one step, a large one in many, so that no batch holds the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from time import time
from typing import Final

import orjson

from logops_fast.formats.batch import Batch
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.formats.work_queue import WorkQueue
from logops_fast.ingest.native.reader import NativeReader
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Limits, Parsed, TextOptions
from logops_fast.ingest.parsers.json_values import check_writable
from logops_fast.ingest.reading_jobs import NativeJob, OnRead, ReadingJob
from logops_fast.ingest.summary import Reading

AHEAD_BYTES: Final = 65_536
"""Bytes of JSON that are read in one step however many events they hold, before they are charged."""


class BatchReader:
    """Reads the batches of one pipeline. ``wall`` is the wall clock: the time of receipt of what is read."""

    __slots__ = ("_limits", "_native", "_normaliser", "_queue", "_text", "_text_of", "_wall")

    def __init__(
        self,
        normaliser: Normaliser,
        queue: WorkQueue,
        *,
        limits: Limits = registry.DEFAULT_LIMITS,
        text: TextOptions = registry.DEFAULT_TEXT,
        text_of: Mapping[str, TextOptions] | None = None,
        native: NativeReader | None = None,
        wall: Callable[[], float] = time,
    ) -> None:
        """``text_of``: the options of the emitters that have their own; ``text`` those of all others."""
        self._normaliser = normaliser
        self._queue = queue
        self._limits = limits
        self._text = text
        self._text_of = text_of or {}
        self._native = native
        self._wall = wall

    def begin(self, batch: Batch) -> Reading:
        """Return a reading of the batch, received now, of which nothing is read."""
        native = self._native
        if native is not None and _is_json(batch):
            native = None  # it was handed to the kernel as it came
        return Reading(batch, self._normaliser, self._limits.max_event_bytes, self._wall(), native)

    def read_ahead(self, batch: Batch) -> tuple[Reading, Parsed | None] | None:
        """Return what is read of a batch in one step before it is charged, or None if it is not.

        The kernel reads all of it. Without the kernel a small body of JSON is parsed: to parse it counts it, too; the
        rest is left to ``take_parsed``.
        """
        native, body = self._native, batch.body
        if native is None:
            return self._parse_ahead(batch) if len(body) <= AHEAD_BYTES and _is_json(batch) else None
        if len(body) > PIECE_BYTES or not _is_for_native(batch):
            return None
        if len(body) > AHEAD_BYTES and _is_json(batch) and body.count(b"{") > PIECE_ITEMS:
            return None
        reading = self.begin(batch)
        try:
            return (reading, None) if self._read_native(native, batch, reading) else None
        except Exception:
            return None  # whatever it is, `read` meets it too, and raises it

    def take_parsed(self, reading: Reading, parsed: Parsed) -> None:
        """Normalise what ``read_ahead`` parsed. If it raises, the batch is to be read from its beginning."""
        reading.take(parsed, not self._normaliser.is_plain)

    def read(self, batch: Batch) -> tuple[Reading, Iterator[Parsed] | None]:
        """Read a batch that is not large in one step.

        Return what was read, and None; or, of a batch that makes more than one piece, the pieces that ``read_on``
        takes. What cannot be written as it is, such as an integer over 64 bits, is rare enough to be found out when it
        is written: the batch is then read once more, and checked. Raises MalformedBody, and what a defect raises.
        """
        reading = self.begin(batch)
        if self._native is not None and self._read_native(self._native, batch, reading):
            return reading, None
        is_json = _is_json(batch)
        checked = not is_json or not self._normaliser.is_plain
        try:
            return reading, self._read_parsed(batch, reading, is_json, checked)
        except orjson.JSONEncodeError:
            if checked:
                raise
            reading = self.begin(batch)
            return reading, self._read_parsed(batch, reading, is_json, True)

    def read_on(self, batch: Batch, reading: Reading, pieces: Iterator[Parsed], done: OnRead) -> None:
        """Read what ``read`` has left, in steps; ``done`` is called once, perhaps before this returns."""
        job = ReadingJob(reading, pieces, done)
        self._queue.add(job, batch.emitter, len(batch.body), batch.started)

    def read_in_pieces(self, batch: Batch, done: OnRead) -> None:
        """Read a batch from its beginning, piece by piece; ``done`` is called once, perhaps before this returns."""
        reading = self.begin(batch)
        if self._native is None or not is_large(batch) or not _is_for_native(batch):
            self.read_on(batch, reading, self._pieces(batch, reading), done)
            return
        instead = partial(self._job_of_pieces, batch, done)
        job = NativeJob(self._native, reading, self._limits, instead, done)
        self._queue.add(job, batch.emitter, len(batch.body), batch.started)

    def _parse_ahead(self, batch: Batch) -> tuple[Reading, Parsed] | None:
        limits = self._limits
        if len(batch.body) > limits.max_event_bytes:
            return None
        try:
            # Not `parse_at_once`: 32 KiB of `[1,1,1,` make 16,000 faults, in one step and before they are charged.
            parsed = registry.parse_clean(batch.format, batch.body, checked=not self._normaliser.is_plain)
        except Exception:
            return None  # as above
        if parsed is None or len(parsed.events) > min(PIECE_ITEMS, limits.max_items):
            return None
        return self.begin(batch), parsed

    def _read_parsed(self, batch: Batch, reading: Reading, is_json: bool, checked: bool) -> Iterator[Parsed] | None:
        """Read a batch with the parsers; return the pieces if it is to be read in steps."""
        if not is_json and registry.shares(batch.format):
            pieces = self._pieces(batch, reading)
            parsed = next(pieces)
            more = next(pieces, None)
            if more is not None:
                return chain((parsed, more), pieces)
        else:
            at_once = registry.parse_at_once(
                batch.format, batch.body, reading.received_at, self._limits, self._options(batch), checked=checked
            )
            if at_once is None:
                return self._pieces(batch, reading)
            parsed = at_once
        if len(parsed.events) + len(parsed.faults) > PIECE_ITEMS:
            if not checked:
                check_writable(parsed.events)
            return iter((parsed,))
        reading.take(parsed, checked)
        return None

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

    def _options(self, batch: Batch) -> TextOptions:
        return self._text_of.get(batch.emitter, self._text)

    def _pieces(self, batch: Batch, reading: Reading) -> Iterator[Parsed]:
        options = self._options(batch)
        return registry.parse_pieces(batch.format, batch.body, reading.received_at, self._limits, options)

    def _job_of_pieces(self, batch: Batch, done: OnRead) -> ReadingJob:
        reading = self.begin(batch)
        return ReadingJob(reading, self._pieces(batch, reading), done)


def is_large(batch: Batch) -> bool:
    """Return whether a batch is read piece by piece from the start."""
    return len(batch.body) > PIECE_BYTES or batch.items > PIECE_ITEMS


def _is_json(batch: Batch) -> bool:
    return batch.format is Format.NDJSON or batch.format is Format.JSON


def _is_for_native(batch: Batch) -> bool:
    """Return whether the kernel reads such a body itself."""
    return (_is_json(batch) or batch.format is Format.OTLP) and not batch.tenant
