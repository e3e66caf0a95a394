"""What connections hold together, and what is refused beyond it."""

from __future__ import annotations

from logops_fast.http.budget import Budget
from logops_fast.http.limits import HttpLimits
from logops_fast.http.proxies import TrustedProxies
from logops_fast.http.server import HttpServer
from tests.http.support import Echo, Parked, Wire, make_server, post


def test_a_body_past_the_cap_is_refused_and_the_rest_of_it_dropped() -> None:
    app = Echo()
    limits = HttpLimits(max_inflight_bytes=10_000)
    wire = Wire(app, limits).send(post(b"x" * 20_000)[:-15_000])
    assert wire.server.budget.inflight_bytes == 5000
    wire.send(b"x" * 6000)
    ((status, headers, body),) = wire.answers
    assert (status, headers[b"retry-after"], headers[b"x-backpressure-reason"]) == (503, b"1", b"overloaded")
    assert b'"overloaded"' in body
    assert app.aborts == ["overloaded"]
    assert [refusal.reason for refusal in app.refusals] == ["overloaded"]
    assert wire.server.budget.inflight_bytes == 0
    assert wire.fate == "ending"


def test_at_the_cap_new_bodies_are_refused_and_requests_without_one_are_served() -> None:
    limits = HttpLimits(max_inflight_bytes=10_000)
    budget = Budget(limits)
    app = Echo()
    server = make_server(app, limits, lambda: 0.0, budget=budget)
    budget.inflight_bytes = 10_000
    assert Wire(server=server).send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").statuses == [200]
    assert len(app.requests) == 1
    assert Wire(server=server).send(post(b"x")).statuses == [503]
    assert Wire(server=server).send(b"GET /hea").statuses == [503]
    assert len(app.requests) == 1
    assert budget.inflight_bytes == 10_000


def test_a_body_that_is_not_accepted_counts_too() -> None:
    app = Parked()
    wire = Wire(app, HttpLimits(max_inflight_bytes=10_000)).send(post(b"x" * 8000))
    assert wire.server.budget.inflight_bytes == 8000
    wire.send(post(b"y" * 8000))
    assert wire.statuses == [503]
    assert app.requests[0].closed


def test_pipelined_requests_past_the_cap_wait_in_the_kernel() -> None:
    app = Parked()
    wire = Wire(app, HttpLimits(max_inflight_bytes=1000)).send(post() + post(b"x" * 900))
    assert wire.transport.reading
    wire.send(post(b"y" * 100))
    assert not wire.transport.reading
    assert wire.statuses == []


def test_one_connection_too_many_is_refused_and_closed() -> None:
    app = Echo()
    server = make_server(app, HttpLimits(max_connections=2), lambda: 0.0)
    first, second = Wire(server=server), Wire(server=server)
    third = Wire(server=server)
    assert third.statuses == [503]
    assert third.fate == "ending"
    third.send(post(b"no"))
    assert app.bodies == []
    assert [refusal.reason for refusal in app.refusals] == ["overloaded"]
    assert server.budget.connections == 2
    first.eof()
    assert Wire(server=server).send(post(b"yes")).statuses == [200]
    assert second.send(post(b"yes")).statuses == [200]


def from_address(server: HttpServer, address: str) -> Wire:
    return Wire(server=server, extra={"peername": (address, 5000)})


def test_one_address_has_a_cap_of_its_own_and_the_others_are_served() -> None:
    app = Echo()
    server = make_server(app, HttpLimits(max_connections_per_address=2), lambda: 0.0)
    first, _second = from_address(server, "192.0.2.1"), from_address(server, "192.0.2.1")
    third = from_address(server, "192.0.2.1")
    assert third.statuses == [503]
    assert third.answers[0][1][b"x-backpressure-reason"] == b"too_many_connections"
    assert [refusal.reason for refusal in app.refusals] == ["too_many_connections"]
    assert from_address(server, "192.0.2.2").send(post(b"other")).statuses == [200]
    first.eof()
    assert from_address(server, "192.0.2.1").send(post(b"again")).statuses == [200]
    assert server.budget.connections == 3


def test_a_trusted_proxy_has_no_cap_and_its_clients_are_distinguished() -> None:
    app = Parked()
    server = make_server(
        app, HttpLimits(max_connections_per_address=1), lambda: 0.0, proxies=TrustedProxies(["10.0.0.0/8"])
    )
    wires = [from_address(server, "10.0.0.1") for _ in range(3)]
    for number, wire in enumerate(wires):
        wire.send(post(b"", b"X-Forwarded-For: 1.1.1.1, 203.0.113.%d" % number))
    assert [request.peer for request in app.requests] == ["203.0.113.0", "203.0.113.1", "203.0.113.2"]
    for wire in wires:
        wire.lose()
    assert server.budget.connections == 0


def test_a_flood_from_one_address_is_aborted_without_answers_and_leaves_room_for_the_others() -> None:
    server = make_server(Echo(), HttpLimits(max_connections_per_address=1), lambda: 0.0)
    wires = [from_address(server, "192.0.2.1") for _ in range(300)]
    wires[-1].settle()
    assert (wires[1].statuses, wires[-1].fate, wires[-1].output) == ([503], "aborted", b"")
    assert from_address(server, "192.0.2.2").send(post(b"x")).statuses == [200]


def test_far_too_many_connections_are_cut_without_a_word() -> None:
    server = make_server(Echo(), HttpLimits(max_connections=1), lambda: 0.0)
    wires = [Wire(server=server) for _ in range(300)]
    assert wires[1].statuses == [503]
    wires[-1].settle()
    assert (wires[-1].fate, wires[-1].output) == ("aborted", b"")
