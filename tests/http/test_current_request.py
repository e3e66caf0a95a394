from __future__ import annotations

import pytest

from logops_fast.http.budget import Budget
from logops_fast.http.current_request import CurrentRequest
from logops_fast.http.exchange import Request
from logops_fast.http.limits import HttpLimits
from tests.http.support import Collector, Parked, Wire, post


def request_of(data: bytes) -> tuple[Parked, Request]:
    app = Parked()
    Wire(app).send(data)
    return app, app.requests[0]


@pytest.mark.parametrize(("data", "unread"), [(post(b"x"), True), (post(), False)])
def test_a_request_is_counted_until_it_is_forgotten(data: bytes, unread: bool) -> None:
    budget = Budget(HttpLimits())
    current = CurrentRequest(budget)
    assert repr(current) == "no request"
    _, request = request_of(data)
    current.begin(request)
    assert (current.request, current.body.unread, budget.inflight_requests) == (request, unread, 1)
    assert "POST b'/v1/logs'" in repr(current)
    current.forget()
    assert (current.request, current.body.unread, budget.inflight_requests) == (None, False, 0)


def test_the_application_learns_once_that_its_request_is_abandoned() -> None:
    budget = Budget(HttpLimits())
    current = CurrentRequest(budget)
    current.abandon("closed")
    assert budget.inflight_requests == 0
    app, request = request_of(post(b"x"))
    notices: list[list[str]] = []
    request.on_close = lambda: notices.append(app.aborts[:])
    current.begin(request)
    current.body.consumer = Collector(app, request)
    for _ in range(2):
        current.abandon("body_timeout")
        assert (request.closed, budget.inflight_requests, current.request) == (True, 0, None)
    assert (app.aborts, notices) == (["body_timeout"], [["body_timeout"]])
