"""Jobs that read one large batch, a piece in each step, so that no batch holds the event loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from logops_fast.errors import LogOpsError
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.native.reader import NativeReader, Part
from logops_fast.ingest.parsers.base import Limits, Parsed
from logops_fast.ingest.summary import Reading

OnRead = Callable[[Reading, Exception | None], None]


class Refused(LogOpsError):  # noqa: N818 - it says what became of the batch
    """A batch was refused before it was read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal: Final = refusal


class ReadingJob:
    """Reads a batch with the parsers."""

    __slots__ = ("_done", "_pieces", "_reading")

    def __init__(self, reading: Reading, pieces: Iterator[Parsed], done: OnRead) -> None:
        self._reading = reading
        self._pieces = pieces
        self._done = done

    def step(self) -> bool:
        """Parse the next piece, or normalise some of it; returns whether there is more."""
        reading = self._reading
        failure: Exception | None = None
        try:
            if reading.take_more():
                return True
            for parsed in self._pieces:
                reading.hold(parsed)
                return True
        except Exception as error:
            failure = error
        self._done(reading, failure)
        return False

    def refuse(self, refusal: Refusal) -> None:
        """End before the first step."""
        self._done(self._reading, Refused(refusal))


class NativeJob:
    """Reads a batch with the kernel; from the beginning with the parsers if the kernel leaves it to them."""

    __slots__ = ("_at", "_done", "_instead", "_limits", "_native", "_parsers", "_reading")

    def __init__(
        self,
        native: NativeReader,
        reading: Reading,
        limits: Limits,
        instead: Callable[[], ReadingJob],
        done: OnRead,
    ) -> None:
        """``instead``: makes the job that reads the batch with the parsers, with a Reading of its own."""
        self._native = native
        self._reading = reading
        self._limits = limits
        self._instead = instead
        self._done = done
        self._at = 0
        self._parsers: ReadingJob | None = None

    def step(self) -> bool:
        """Read the next piece; returns whether there is one more."""
        if self._parsers is not None:
            return self._parsers.step()
        reading = self._reading
        try:
            part = self._part(reading)
            if part is not None:
                reading.take_normalised(part.normalised)
            if part is None or reading.count + reading.faults > self._limits.max_items:
                self._parsers = self._instead()
                return True
        except Exception as error:
            self._done(reading, error)
            return False
        if part.end is not None:
            self._at = part.end
            return True
        self._done(reading, None)
        return False

    def _part(self, reading: Reading) -> Part | None:
        batch = reading.batch
        if batch.format is Format.OTLP:
            return self._native.read_export(
                batch.body,
                self._limits,
                start=self._at,
                emitter=batch.emitter,
                scenario_id=batch.scenario_id,
                received_at=reading.received_at,
                receipts_before=reading.missing_ts,
            )
        return self._native.read_part(
            batch.body,
            start=self._at,
            # Within a piece no event is over the limit of one.
            size=min(PIECE_BYTES, self._limits.max_event_bytes),
            by_line=batch.format is Format.NDJSON,
            emitter=batch.emitter,
            scenario_id=batch.scenario_id,
            received_at=reading.received_at,
            receipts_before=reading.missing_ts,
        )

    def refuse(self, refusal: Refusal) -> None:
        """End before the first step."""
        self._done(self._reading, Refused(refusal))
