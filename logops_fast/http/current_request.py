"""The request of a connection that is not answered yet, with the delivery of its body."""

from __future__ import annotations

import logging
from typing import Final

from logops_fast.http.body_delivery import BodyDelivery
from logops_fast.http.budget import Budget
from logops_fast.http.exchange import Request

_logger: Final = logging.getLogger(__name__)


class CurrentRequest:
    """At most one request of a connection, counted in the budget while it is unanswered.

    ``request`` is None between two requests; ``body`` is then ready for the next one's.
    """

    __slots__ = ("_budget", "body", "request")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.request: Request | None = None
        self.body = BodyDelivery(budget)

    def __repr__(self) -> str:
        request = self.request
        return "no request" if request is None else f"{request.method} {request.path!r} {self.body}"

    def begin(self, request: Request) -> None:
        """Take a new request; there is no other."""
        self.request = request
        self.body.unread = request.has_body
        self._budget.inflight_requests += 1

    def forget(self) -> None:
        """Release what is held for the request: it is answered or abandoned."""
        self.request = None
        self.body.reset()
        self._budget.inflight_requests -= 1

    def abandon(self, reason: str) -> None:
        """Notify the application that its request, if there is one, has ended without an answer of its own."""
        request, consumer = self.request, self.body.consumer
        if request is None:
            return
        request.closed = True
        self.forget()
        try:
            if consumer is not None:
                consumer.abort(reason)
            if request.on_close is not None:
                request.on_close()
        except Exception:
            _logger.exception("the application failed on a request that ended early")
