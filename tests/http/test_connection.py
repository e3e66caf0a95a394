from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.http.budget import Budget
from logops_fast.http.connection_state import State
from logops_fast.http.exchange import Request, Response
from logops_fast.http.limits import HttpLimits
from logops_fast.http.proxies import TrustedProxies
from logops_fast.http.server import HttpServer
from tests.http.cases import BAD, GOOD, Case
from tests.http.support import Collector, Echo, Failing, Parked, Wire, chunked, make_server, post
from tests.support.tables import each_of

MEBIBYTE = 1_048_576
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


# -- answers before the end of the body


@each_of("body_is_here", [True, False])
@each_of("request_bytes", [post(b"x" * 100), chunked(b"x" * 100)])
def test_an_answer_before_the_body_is_the_last_one_whether_or_not_the_body_is_here(
    body_is_here: bool, request_bytes: bytes
) -> None:
    app = Parked()
    head, _, body = request_bytes.partition(b"\r\n\r\n")
    wire = Wire(app).send(head + b"\r\n\r\n" + (body if body_is_here else b""))
    app.requests[0].respond(Response(401, b"{}"))
    wire.send(body + post(b"smuggled"))
    assert wire.statuses == [401]
    assert wire.answers[0][1][b"connection"] == b"close"
    assert wire.fate == "ending"
    assert len(app.requests) == 1


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_answer_on_a_piece_is_the_last_one_even_on_the_last_piece(step: int) -> None:
    class Capped(Echo):
        def handle(self, request: Request) -> None:
            app = self

            class Consumer(Collector):
                def feed(self, data: bytes) -> None:
                    super().feed(data)
                    if sum(map(len, self.pieces)) > 9 and not request.answered:
                        app.bodies.append(b"over")
                        request.respond(Response(413, b"{}"))

            request.accept_body(Consumer(self, request))

    for data in (post(b"x" * 10), chunked(b"x" * 10)):
        app = Capped()
        stream = data + post(b"no")
        wire = Wire(app).send_each(stream[i : i + step] for i in range(0, len(stream), step))
        assert wire.statuses == [413]
        assert wire.fate == "ending"
        assert app.bodies == [b"over"]
        assert app.aborts == []


def test_an_empty_body_need_not_be_accepted_for_the_connection_to_stay() -> None:
    app = Parked()
    wire = Wire(app).send(post(b""))
    app.requests[0].respond(Response(401, b"{}"))
    assert wire.fate == "open"


def test_what_comes_after_the_last_answer_is_dropped_up_to_a_bound_of_bytes() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"x" * 100_000_000)[:1000])
    app.requests[0].respond(Response(413, b"{}"))
    for _ in range(8):
        wire.send(bytes(MEBIBYTE))
    assert wire.fate == "ending"
    assert wire.server.budget.inflight_bytes == 0
    wire.send(b"x")
    assert wire.fate == "closed"


def test_a_client_that_does_not_hang_up_after_the_last_answer_is_cut_off() -> None:
    wire = Wire().send(b"\x00")
    assert wire.fate == "ending"
    assert wire.advance(5).fate == "aborted"


def test_over_tls_an_answer_before_the_body_still_waits_for_the_client() -> None:
    app = Parked()
    wire = Wire(app, extra={"ssl_object": object()}).send(post(b"x" * 100))
    app.requests[0].respond(Response(401, b"{}"))
    wire.send(b"x" * 100)
    assert wire.fate == "open"
    assert not wire.eof().transport.aborted
    assert wire.fate == "closed"


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


# -- peers that leave


def test_a_half_closed_client_still_gets_its_answer() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"")).eof()
    assert wire.fate == "open"
    app.requests[0].respond(Response(200, b"{}"))
    wire.settle()
    assert wire.statuses == [200]
    assert wire.fate == "closed"


def test_a_half_closed_client_gets_the_answers_to_all_it_pipelined() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"") * 3).eof()
    for i in range(3):
        assert wire.settle().fate == "open"
        app.requests[i].respond(Response(200, b"{}"))
    assert wire.settle().fate == "closed"
    assert wire.statuses == [200] * 3


def test_a_half_closed_client_with_half_a_body_is_left_without_an_answer() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"hello")[:-1]).eof()
    assert wire.fate == "open"
    app.requests[0].accept_body(Collector(app, app.requests[0]))
    assert wire.settle().fate == "closed"
    assert app.aborts == ["closed"]
    assert wire.output == b""


@each_of("sent", [b"", b"GET / HT", post(b"hello")[:-1], chunked(b"hello")[:-1]])
def test_an_end_in_the_middle_closes_without_an_answer(sent: bytes) -> None:
    app = Echo()
    wire = Wire(app)
    if sent:
        wire.send(sent)
    wire.eof()
    assert wire.fate == "closed"
    assert wire.output == b""
    assert app.aborts == (["closed"] if b"hell" in sent else [])
    assert app.refusals == []
    assert wire.server.budget.inflight_bytes == 0


def test_a_lost_connection_is_reported_once_and_later_answers_are_dropped() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"hello"))
    request = app.requests[0]
    notices: list[str] = []
    request.on_close = lambda: notices.append("closed")
    wire.lose()
    assert request.closed
    assert notices == ["closed"]
    request.accept_body(Collector(app, request))
    assert app.bodies == []
    request.respond(Response(200, b"{}"))
    assert wire.output == b""
    assert (wire.server.budget.inflight_bytes, wire.server.budget.inflight_requests) == (0, 0)
    assert (wire.server.budget.connections, wire.server.connections) == (0, 0)


def test_an_answer_between_the_loss_and_its_notice_goes_nowhere() -> None:
    app = Parked()
    wire = Wire(app).send(post(b""))
    notices: list[str] = []
    app.requests[0].on_close = lambda: notices.append("closed")
    wire.transport.closed = True
    app.requests[0].respond(Response(200, b"{}"))
    wire.settle()
    assert app.requests[0].closed
    assert notices == []
    assert wire.output == b""


# -- time


def test_a_connection_without_a_first_byte_is_closed_without_an_answer_after_ten_seconds() -> None:
    wire = Wire().advance(9)
    assert wire.fate == "open"
    wire.advance(2)
    assert (wire.fate, wire.output) == ("closed", b"")


def test_an_idle_connection_ends_without_a_word() -> None:
    wire = Wire().send(post()).advance(74)
    assert wire.fate == "open"
    answered = wire.output
    wire.advance(3)
    assert (wire.fate, wire.output) == ("closed", answered)


@pytest.mark.parametrize("before", [b"", post()])
def test_a_head_that_trickles_in_is_given_up_ten_seconds_after_its_first_byte(before: bytes) -> None:
    wire = Wire()
    if before:
        wire.send(before).advance(60)
    for byte in b"GET / HTTP":
        wire.send(bytes([byte])).advance(1)
    assert wire.statuses == [200] * bool(before) + [408]
    assert b'"header_timeout"' in wire.output
    assert wire.fate == "ending"


def test_a_head_after_a_slow_answer_has_its_whole_time() -> None:
    app = Parked()
    wire = Wire(app).send(post() + b"GET / HT").advance(60)
    app.requests[0].respond(Response(200, b"{}"))
    wire.advance(9)
    assert wire.statuses == [200]
    wire.advance(2)
    assert wire.statuses == [200, 408]


def test_a_body_slower_than_the_rate_is_given_up() -> None:
    app = Echo()
    wire = Wire(app).send(post(b"x" * 100_000)[:-100_000])
    for _ in range(25):
        if wire.fate == "open":
            wire.send(b"x" * 500).advance(1)
    assert wire.statuses == [408]
    assert b'"body_timeout"' in wire.output
    assert wire.fate == "ending"
    assert app.aborts == ["body_timeout"]
    app.requests[0].respond(Response(200, b"{}"))
    assert wire.statuses == [408]


def test_a_body_at_the_rate_may_take_its_time() -> None:
    app = Echo()
    wire = Wire(app).send(post(b"x" * 102_400)[:-102_400])
    for _ in range(100):
        wire.send(b"x" * 1024).advance(1)
    assert wire.statuses == [200]


def test_bytes_sent_at_once_do_not_pay_for_an_hour_of_silence() -> None:
    wire = Wire().send(post(bytes(MEBIBYTE * 4))[:-1]).advance(25)
    assert wire.statuses == [408]


def test_an_application_may_take_as_long_as_it_likes() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"hello")).advance(1000)
    app.requests[0].accept_body(Collector(app, app.requests[0]))
    assert wire.statuses == [200]


def test_a_client_that_does_not_read_its_answers_gets_no_more_of_them_and_is_cut_off() -> None:
    app = Echo()
    wire = Wire(app).send(post(b"1"))
    wire.connection.pause_writing()
    wire.send(post(b"2"))
    assert app.bodies == [b"1"]
    wire.connection.resume_writing()
    assert app.bodies == [b"1", b"2"]
    wire.connection.pause_writing()
    assert wire.advance(29).fate == "open"
    assert wire.advance(2).fate == "aborted"


def test_a_head_whose_end_came_while_writing_was_paused_is_seen() -> None:
    app = Echo()
    wire = Wire(app).send(post(b"1") + post(b"2")[:20])
    wire.connection.pause_writing()
    wire.send(post(b"2")[20:])
    assert app.bodies == [b"1"]
    wire.connection.resume_writing()
    assert app.bodies == [b"1", b"2"]


def test_a_last_answer_that_is_not_read_is_given_up() -> None:
    wire = Wire().send(b"\x00")
    wire.transport.unread_by_peer = 100
    wire.connection.pause_writing()
    assert wire.advance(29).fate == "ending"
    assert wire.advance(2).fate == "aborted"


def test_a_client_that_does_not_read_while_its_body_flows_gets_the_body_s_deadline_back() -> None:
    wire = Wire().send(post(b"x" * 100)[:-100])
    wire.connection.pause_writing()
    wire.advance(20)
    wire.connection.resume_writing()
    assert wire.advance(9).fate == "open"
    wire.advance(3)
    assert wire.statuses == [408]


def test_a_request_in_progress_has_no_deadline_once_its_client_reads_again() -> None:
    app = Parked()
    wire = Wire(app).send(post(b""))
    wire.connection.pause_writing()
    wire.connection.resume_writing()
    assert wire.advance(1000).fate == "open"
    app.requests[0].respond(Response(200, b"{}"))
    assert wire.statuses == [200]


def test_a_last_answer_that_is_read_late_still_ends_the_connection() -> None:
    wire = Wire().send(b"\x00")
    wire.connection.pause_writing()
    wire.advance(20)
    wire.connection.resume_writing()
    assert wire.fate == "ending"
    assert wire.advance(5).fate == "aborted"


def test_a_paused_writer_on_a_closed_connection_changes_nothing() -> None:
    wire = Wire().eof()
    wire.connection.pause_writing()
    wire.connection.resume_writing()
    assert wire.connection.state is State.CLOSED
    wire.connection.data_received(b"late")
    assert wire.output == b""


def test_a_connection_paused_for_a_slow_answer_is_read_again_when_the_answer_used_up_all_that_waited() -> None:
    app = Parked()
    wire = Wire(app).send(post(b"x" * 70_000))
    assert not wire.transport.reading
    request = app.requests[0]
    request.accept_body(Collector(app, request))
    assert wire.statuses == [200]
    assert wire.transport.reading
    assert wire.server.budget.inflight_bytes == 0


def test_an_answer_over_tls_to_a_request_without_a_body_closes_at_once() -> None:
    app = Parked()
    wire = Wire(app, extra={"ssl_object": object()}).send(post(b""))
    app.requests[0].respond(Response(200, b"{}", close=True))
    assert wire.fate == "closed"


def test_an_application_that_fails_on_an_abort_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = Parked()
    wire = Wire(app).send(post(b""))

    def failing() -> None:
        raise LookupError("on_close")

    app.requests[0].on_close = failing
    wire.lose()
    assert "LookupError" in caplog.text
    assert wire.server.budget.inflight_requests == 0


def test_an_application_that_fails_after_a_last_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class AnswersLast(Echo):
        def handle(self, request: Request) -> None:
            request.respond(Response(200, b"{}", close=True))
            raise LookupError("after a last answer")

    wire = Wire(AnswersLast()).send(post(b""))
    assert wire.statuses == [200]
    assert wire.fate == "ending"
    assert "LookupError" in caplog.text


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


# -- the budget


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


# -- an application that fails


@pytest.mark.parametrize("where", ["handle", "feed", "end"])
def test_a_failing_application_is_answered_for(where: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Failing(where)
    wire = Wire(app).send(post(b"hello") + post(b"next"))
    assert wire.statuses == [500]
    assert b'"internal_error"' in wire.output
    assert wire.fate == "ending"
    assert len(app.requests) == 1
    assert app.aborts == (["internal_error"] if where == "feed" else [])
    assert [refusal.reason for refusal in app.refusals] == ["internal_error"]
    assert "LookupError" in caplog.text
    assert wire.server.budget.inflight_bytes == 0


def test_an_application_that_fails_after_its_answer_loses_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(Failing("after answer")).send(post(b""))
    assert wire.statuses == [200]
    assert wire.fate == "ending"
    assert "LookupError" in caplog.text


# -- draining


def test_while_draining_idle_connections_close_and_the_answer_to_a_busy_one_is_its_last() -> None:
    app = Parked()
    server = make_server(app, clock=lambda: 0.0)
    idle, busy = Wire(server=server), Wire(server=server).send(post() + post())
    server.start_draining()
    assert idle.fate == "closed"
    assert busy.fate == "open"
    app.requests[0].respond(Response(200, b"{}"))
    assert busy.statuses == [200]
    assert busy.answers[0][1][b"connection"] == b"close"
    assert busy.fate == "ending"
    assert len(app.requests) == 1
