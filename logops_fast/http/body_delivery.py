"""Delivery of a request's body to its consumer, charged to the budget until the request is answered."""

from __future__ import annotations

from typing import Final, cast

from logops_fast.http.body import BodyDecoder, BodyError, ChunkedBody, FixedBody
from logops_fast.http.budget import Budget
from logops_fast.http.exchange import BodyConsumer
from logops_fast.http.limits import HttpLimits
from logops_fast.http.refusal import Refusal

OVERLOADED: Final = Refusal(503, "overloaded", "The server holds as many bytes as it may: try again soon.", 1)


class BodyDelivery:
    """The body of the current request of one connection; ``reset`` makes it ready for the next request.

    ``unread`` is True while a body is announced whose end has not been delivered. ``complete`` is True once the last
    byte has been, and ``consumer`` is then to be notified.
    """

    __slots__ = ("_budget", "_decoder", "_progress", "complete", "consumer", "size", "unread")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._decoder: BodyDecoder | None = None  # of a body that arrives in pieces
        self._progress = 0  # the size when the deadline was last set
        self.consumer: BodyConsumer | None = None
        self.unread = False
        self.complete = False
        self.size = 0
        """Bytes delivered so far; all of them are in the budget."""

    def __repr__(self) -> str:
        return f"<BodyDelivery {self.size} bytes{', unread' if self.unread else ''}>"

    def deliver(self, length: int | None, data: bytes, pos: int) -> int:
        """Deliver what there is of the body from ``data[pos:]``; return the offset after it.

        ``length`` is the request's Content-Length, None for a chunked body. The consumer may answer or be reset during
        the call; the body is then not complete, even on its last byte.

        Raises:
            BodyError: the framing is broken, or the body exceeds the budget.
        """
        decoder = self._decoder
        if decoder is None:
            if length is not None and length <= len(data) - pos:  # all of it is here: no need of a decoder
                end = pos + length
                self._piece(data[pos:end])
                self.complete = self.consumer is not None
                return end
            self._decoder = decoder = ChunkedBody() if length is None else FixedBody(length)
        pos = decoder.feed(data, pos, self._piece)
        self.complete = decoder.done and self.consumer is not None
        return pos

    def finish(self) -> BodyConsumer:
        """Mark the body as read; return its consumer, whose ``end`` is to be called."""
        consumer = cast(BodyConsumer, self.consumer)
        self.consumer = None
        self._decoder = None
        self.unread = self.complete = False
        return consumer

    def start_deadline(self) -> None:
        """Count progress from here."""
        self._progress = self.size

    def next_deadline(self, deadline: float, now: float, limits: HttpLimits) -> float:
        """The deadline after ``deadline``, by what has arrived since it was set; in seconds of the server's clock.

        Bytes extend it by the time they take at the minimum rate, but never beyond the grace period from now: a client
        that sends much at once could otherwise hold it, and our memory, for hours.
        """
        received = self.size - self._progress
        self._progress = self.size
        return min(deadline + received / limits.body_min_rate, now + limits.body_grace)

    def reset(self) -> None:
        """Release the charge and forget the body: its request is answered or abandoned."""
        self._budget.inflight_bytes -= self.size
        self.consumer = None
        self._decoder = None
        self.unread = self.complete = False
        self.size = self._progress = 0

    def _piece(self, data: bytes) -> None:
        budget = self._budget
        size = len(data)
        if budget.inflight_bytes + size > budget.max_inflight_bytes:
            raise BodyError(OVERLOADED)
        budget.inflight_bytes += size
        self.size += size
        cast(BodyConsumer, self.consumer).feed(data)
