"""How a connection ends: early answers, peers that leave, applications that fail, a server that stops."""

from __future__ import annotations

import pytest

from logops_fast.http.exchange import Request, Response
from tests.http.support import Collector, Echo, Failing, Parked, Wire, chunked, make_server, post
from tests.support.tables import each_of

MEBIBYTE = 1_048_576


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
