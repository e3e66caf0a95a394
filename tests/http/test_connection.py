from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.http.exchange import Response
from logops_fast.http.limits import HttpLimits
from tests.http.cases import BAD, GOOD, Case
from tests.http.support import Collector, Echo, Parked, Wire, chunked, make_server, post
from tests.support.tables import each_of

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
bad = each_of("case", BAD, ids=[case.name for case in BAD])
good = each_of("data", [data for _, data in GOOD], ids=[name for name, _ in GOOD])


# -- every known bad request


def check_refused(wire: Wire, case: Case, *, before: int = 0) -> None:
    *earlier, (status, headers, body) = wire.answers
    assert [one[0] for one in earlier] == [200] * before
    assert status == case.status
    assert body.startswith(b'{"error":"%b","detail":"' % case.reason.encode())
    assert headers[b"connection"] == b"close"
    assert wire.fate == "ending"
    assert isinstance(wire.app, Echo)
    assert [(one.status, one.reason) for one in wire.app.refusals] == [(case.status, case.reason)]
    assert wire.server.budget.inflight_bytes == 0
    assert wire.server.budget.inflight_requests == 0


@bad
def test_a_bad_request_is_refused_and_the_connection_ends(case: Case) -> None:
    check_refused(Wire().send(case.data), case)


@bad
def test_a_bad_request_is_refused_the_same_when_it_comes_byte_by_byte(case: Case) -> None:
    wire = Wire().send_bytewise(case.data)
    check_refused(wire, case)
    assert wire.output == Wire().send(case.data).output


@bad
def test_a_bad_request_after_a_good_one_ends_the_connection_after_its_answer(case: Case) -> None:
    check_refused(Wire().send(post(b"good") + case.data), case, before=1)


@bad
def test_nothing_after_a_bad_request_is_read_as_a_request(case: Case) -> None:
    app = Echo()
    wire = Wire(app).send(case.data + b"\r\n\r\n" + post(b"smuggled") * 3).send(post(b"smuggled"))
    check_refused(wire, case)
    assert b"smuggled" not in b"".join(app.bodies)


# -- good requests


@good
def test_a_good_request_is_answered_and_the_connection_stays(data: bytes) -> None:
    app = Echo()
    wire = Wire(app).send(data + post(b"next"))
    assert wire.statuses[-2:] == [200, 200]
    assert wire.fate == "open"
    assert app.bodies[-1] == b"next"


@given(
    st.lists(st.sampled_from([data for _, data in GOOD] + [case.data for case in BAD]), min_size=1, max_size=4),
    st.lists(st.integers(min_value=0), max_size=12),
)
def test_the_answers_are_the_same_however_the_bytes_were_split(requests: list[bytes], cuts: list[int]) -> None:
    data = b"".join(requests)
    whole = Wire().send(data)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = Wire().send_each(data[a:b] for a, b in pairwise(edges))
    assert pieces.output == whole.output
    assert pieces.fate == whole.fate
    assert isinstance(pieces.app, Echo)
    assert isinstance(whole.app, Echo)
    assert pieces.app.bodies == whole.app.bodies
    assert pieces.app.refusals == whole.app.refusals


def test_the_request_says_what_was_sent() -> None:
    app = Parked()
    Wire(app).send(post(b"hello", b"X-Key: a", line=b"PUT /a//b?c=%20 HTTP/1.1"))
    request = app.requests[0]
    assert (request.method, request.target, request.path) == ("PUT", b"/a//b?c=%20", b"/a//b")
    assert (request.version, request.peer, request.content_length) == ("1.1", "192.0.2.7", 5)
    assert (request.has_body, request.chunked, request.received_at) == (True, False, 1000.0)
    assert request.headers[b"x-key"] == b"a"


@pytest.mark.parametrize(
    ("address", "peer"),
    [(("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1"), (("2001:db8::1", 1, 0, 0), "2001:db8::1"), ("", "")],
)
def test_the_peer_is_named_by_its_plain_address(address: object, peer: str) -> None:
    app = Parked()
    Wire(app, extra={"peername": address}).send(post())
    assert app.requests[0].peer == peer


def test_received_at_is_when_the_first_byte_of_the_head_came() -> None:
    app = Parked()
    wire = Wire(app).send(b"GET / HT")
    wire.advance(3).send(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert app.requests[0].received_at == 1000.0


def test_the_whole_answer_is_one_write() -> None:
    wire = Wire().send(post(b"x" * 1000))
    assert wire.transport.writes == 1


def test_an_answer_has_lower_case_fields_a_date_and_no_server_name() -> None:
    wire = Wire().send(post(b"x"))
    (_, headers, body) = wire.answers[0]
    assert sorted(headers) == [b"content-length", b"content-type", b"date"]
    assert headers[b"content-length"] == b"%d" % len(body)
    assert headers[b"date"].endswith(b" GMT")


def test_head_gets_the_header_of_get_and_no_body() -> None:
    get = Wire().send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").output
    head = Wire().send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" * 2).output
    get_head = get.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert head == get_head.replace(b"content-length: 39", b"content-length: 40") * 2


@pytest.mark.parametrize(
    ("data", "connection", "fate"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", None, "open"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"close", "ending"),
        (b"GET / HTTP/1.0\r\n\r\n", b"close", "ending"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"keep-alive", "open"),
    ],
)
def test_the_client_decides_whether_the_connection_is_kept(data: bytes, connection: bytes | None, fate: str) -> None:
    wire = Wire().send(data).send(data)
    assert wire.answers[0][1].get(b"connection") == connection
    assert wire.fate == fate
    assert len(wire.answers) == (2 if fate == "open" else 1)


# -- answers and their order


def test_requests_are_handled_one_after_another_and_answers_keep_their_order() -> None:
    app = Parked()
    wire = Wire(app).send(b"".join(post(b"", line=b"GET /%d HTTP/1.1" % i) for i in range(5)))
    for i in range(5):
        assert [request.path for request in app.requests] == [b"/%d" % j for j in range(i + 1)]
        app.requests[i].respond(Response(200, b"%d" % i))
    assert [body for _, _, body in wire.answers] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_thousand_pipelined_requests_do_not_grow_the_stack() -> None:
    assert Wire().send(post(b"x") * 1000).statuses == [200] * 1000


def test_reading_pauses_while_too_much_waits_after_a_request() -> None:
    app = Parked()
    wire = Wire(app).send(post() + post(b"x" * 60_000))
    assert wire.transport.reading
    wire.send(post(b"y" * 60_000))
    assert not wire.transport.reading
    assert wire.server.budget.inflight_bytes > 120_000
    app.requests[0].respond(Response(200, b""))
    for request in app.requests[1:]:
        request.accept_body(Collector(app, request))
    assert wire.transport.reading
    app.requests[2].accept_body(Collector(app, app.requests[2]))
    assert app.bodies == [b"x" * 60_000, b"y" * 60_000]
    assert wire.server.budget.inflight_bytes == 0


def test_a_second_answer_is_an_error() -> None:
    app = Parked()
    wire = Wire(app).send(post())
    app.requests[0].respond(Response(200, b""))
    with pytest.raises(RuntimeError):
        app.requests[0].respond(Response(200, b""))
    assert wire.statuses == [200]


def test_a_header_value_with_a_line_break_is_refused_and_the_request_stays_open() -> None:
    app = Parked()
    wire = Wire(app).send(post())
    with pytest.raises(ValueError, match="line break"):
        app.requests[0].respond(Response(200, b"", headers=[(b"x-emitter", b"a\r\nx-admin: 1")]))
    assert wire.output == b""
    app.requests[0].respond(Response(204, b"", headers=[(b"x-emitter", b"a")]))
    assert wire.output == b"HTTP/1.1 204 No Content\r\ndate: *\r\nx-emitter: a\r\n\r\n"


# -- Expect: 100-continue


def test_continue_is_said_only_once_the_body_is_accepted() -> None:
    app = Parked()
    head, _, body = post(b"hello", b"Expect: 100-continue").partition(b"hello")
    wire = Wire(app).send(head)
    assert wire.output == b""
    app.requests[0].accept_body(Collector(app, app.requests[0]))
    assert wire.output == CONTINUE
    wire.send(b"hello" + body)
    assert wire.statuses == [100, 200]
    assert wire.fate == "open"


def test_a_refusal_takes_the_place_of_continue() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"hello", b"Expect: 100-continue").removesuffix(b"hello"))
    app.requests[0].respond(Response(401, b"{}"))
    assert wire.statuses == [401]
    assert wire.fate == "ending"


def test_continue_is_not_said_without_a_body() -> None:
    assert Wire().send(post(b"", b"Expect: 100-continue")).statuses == [200]


# -- bodies


def test_a_body_may_be_accepted_long_after_it_came() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"hello") + post(b"next"))
    request = app.requests[0]
    request.accept_body(Collector(app, request))
    assert app.bodies == [b"hello"]
    assert wire.statuses == [200]
    with pytest.raises(RuntimeError):
        request.accept_body(Collector(app, request))


def test_a_body_comes_in_the_pieces_it_was_sent_in_and_is_counted_until_answered() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"x" * 3000)[:-2000])
    request = app.requests[0]
    collector = Collector(app, request)
    answer, app.answer = app.answer, lambda *_: None  # type: ignore[method-assign]
    request.accept_body(collector)
    wire.send(b"x" * 1500)
    assert wire.server.budget.inflight_bytes == 2500
    wire.send(b"x" * 500)
    assert [len(piece) for piece in collector.pieces] == [1000, 1500, 500]
    assert (wire.server.budget.inflight_bytes, wire.server.budget.inflight_requests) == (3000, 1)
    answer(request, b"")
    assert (wire.server.budget.inflight_bytes, wire.server.budget.inflight_requests) == (0, 0)


def test_a_large_chunked_body_arrives_unchanged() -> None:
    app = Echo()
    body = hashlib.sha256(b"seed").digest() * 10_000
    data = chunked(*(body[i : i + 1021] for i in range(0, len(body), 1021)))
    Wire(app).send_each(data[i : i + 4099] for i in range(0, len(data), 4099))
    assert app.bodies == [body]


# -- answers in another protocol


def shouted(response: Response) -> Response:
    return Response(299 if response.status == 200 else response.status, response.body.upper(), b"text/plain")


def encoded_wire(limits: HttpLimits | None = None) -> Wire:
    return Wire(server=make_server(Echo(), limits, lambda: 0.0, encoder_of=lambda _request: shouted))


def test_an_answer_of_the_application_is_encoded() -> None:
    ((status, headers, body),) = encoded_wire().send(post(b"hi")).answers
    assert (status, headers[b"content-type"]) == (299, b"text/plain")
    assert b'"BODY":"HI"' in body


def test_a_refusal_of_the_http_layer_is_encoded_from_the_head_on() -> None:
    for limits, sent in (
        (HttpLimits(max_inflight_bytes=0), post(b"x")),  # before the application has the request
        (HttpLimits(max_inflight_bytes=10), post(b"x" * 20)),
    ):
        ((status, headers, body),) = encoded_wire(limits).send(sent).answers
        assert (status, headers[b"content-type"]) == (503, b"text/plain")
        assert b'"ERROR":"OVERLOADED"' in body


def test_a_head_that_cannot_be_read_is_refused_in_the_gateways_own_form() -> None:
    ((status, headers, _),) = encoded_wire().send(b"GET\r\n\r\n").answers
    assert (status, headers[b"content-type"]) == (400, b"application/json")
