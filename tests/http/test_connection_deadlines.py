"""What a connection waits for, and for how long."""

from __future__ import annotations

import pytest

from logops_fast.http.connection_state import State
from logops_fast.http.exchange import Response
from tests.http.support import Collector, Echo, Parked, Wire, post

MEBIBYTE = 1_048_576


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
