"""Backpressure: the caps on bytes and items (contract 3, checks 1, 8 and 9)."""

from __future__ import annotations

from logops_fast.formats import item_count
from logops_fast.formats.batch import BatchHead
from logops_fast.formats.intake import Caps, OnDecoded, take_in
from logops_fast.formats.media_type import Format
from logops_fast.formats.work_queue import Ticket, WorkQueue
from logops_fast.http.refusal import Refusal


class Backpressure:
    """Size caps of one request: ``max_body_bytes`` on the wire and decompressed, ``max_items`` in a batch.

    413 means that the same request can never pass, so it is used for size alone; load is 429 or 503.
    """

    __slots__ = ("_queue", "max_body_bytes", "max_items")

    def __init__(self, max_body_bytes: int, max_items: int, queue: WorkQueue | None = None) -> None:
        self.max_body_bytes = max_body_bytes
        self.max_items = max_items
        self._queue = WorkQueue() if queue is None else queue

    def declared(self, content_length: int | None) -> Refusal | None:
        """Check 1: refuse by Content-Length alone, before anything is read."""
        if content_length is None or content_length <= self.max_body_bytes:
            return None
        detail = (
            f"Content-Length is {content_length} bytes and at most {self.max_body_bytes} are accepted: split the batch."
        )
        return Refusal(413, "too_large_hdr", detail)

    def received(self, size: int) -> Refusal | None:
        """Check 8: refuse by the bytes that arrived so far, for bodies that do not declare their length."""
        if size <= self.max_body_bytes:
            return None
        return Refusal(413, "too_large", f"The body is over {self.max_body_bytes} bytes: split the batch.")

    def take_in(self, head: BatchHead, wire: bytes, emitter: str, started: float, done: OnDecoded) -> Ticket | None:
        """Check 9: decode the body, count its items, and call ``done`` once, perhaps before returning.

        Items are an upper bound, exact only if the bound is over the cap: counting at memory speed saves parsing the
        batch twice, and what was counted too much is returned to the bucket once the answer has the true number.
        Returns the ticket of work that goes on, None if there is none.
        """
        caps = Caps(self.max_body_bytes, self.max_items)
        return take_in(self._queue, caps, head, wire, emitter, started, done)

    @staticmethod
    def exact(body_format: Format, body: bytes, estimate: int | None = None) -> int:
        """Return the true item count, for a batch whose ``estimate`` does not fit its bucket.

        Of a large body the estimate stands: JSON has been counted exactly, and lines are nearly so.
        """
        if estimate is not None and (body_format is Format.OTLP or body_format is Format.LOKI):
            return estimate  # those are always counted exactly, and in steps
        if len(body) <= item_count.FRAMED_BYTES:
            return item_count.exact(body_format, body)
        return item_count.upper_bound(body_format, body) if estimate is None else estimate
