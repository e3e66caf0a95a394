"""The forwarder's decisions over a scripted pool on fake time, then over real sockets."""

from __future__ import annotations

import heapq
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.circuit_breaker import BreakerState
from logops_fast.authgw.forwarder import header_lines
from logops_fast.authgw.retry import RetryBudget
from logops_fast.backoff import Backoff
from logops_fast.formats.batch import Reply
from logops_fast.formats.media_type import Format
from tests.authgw.forwarding import BATCH, STORED, Sent, Step, World, detail, fail, reason, refuse, respond
from tests.support.tables import each_of
from tests.support.values import copied, values

TOUCHY: dict[str, Any] = {"min_calls": 1, "failure_threshold": 0.01}


def test_a_stored_batch_is_answered_as_the_downstream_answered_it() -> None:
    world = World(respond(200, STORED, x_other="1"))
    assert values(world.forward()) == values(Reply(200, STORED, (), 100))
    assert world.outcomes == ["ok"]
    assert world.tries == [
        Sent(
            1000.0,
            b"/v1/logs",
            b"content-type: application/json\r\naccept: application/vnd.logops+json\r\n"
            b"x-emitter: web\r\nx-scenario-id: checkout\r\nx-batch-id: b-1\r\n",
            BATCH.body,
            10.0,
        )
    ]


@each_of("body", [b"", b"{}", b"[]", b"1", b"\xff", b'{"accepted":"a","rejected":"b"}'])
def test_an_answer_that_is_no_summary_counts_no_items(body: bytes) -> None:
    assert values(World(respond(200, body)).forward()) == values(Reply(200, body, (), None))


@each_of("body_format", list(Format))
def test_the_content_type_is_one_the_ingest_gateway_reads_the_same(body_format: Format) -> None:
    from logops_fast.formats.media_type import format_of

    first, _, _ = header_lines(copied(BATCH, format=body_format)).partition(b"\r\n")
    assert format_of(first.removeprefix(b"content-type: ")) is body_format


@given(*[st.text(max_size=20)] * 3)
def test_no_value_breaks_out_of_its_header_line(emitter: str, scenario_id: str, batch_id: str) -> None:
    lines = header_lines(copied(BATCH, emitter=emitter, scenario_id=scenario_id, batch_id=batch_id))
    names = [line.partition(b":")[0] for line in lines.split(b"\r\n")]
    assert names == [b"content-type", b"accept", b"x-emitter", b"x-scenario-id", b"x-batch-id", b""]
    assert all(0x20 <= byte < 0x7F for byte in lines.replace(b"\r\n", b""))


@each_of("status", [400, 401, 404, 408, 413, 422, 425, 429, 500, 501, 505, 507])
def test_other_refusals_are_passed_on_and_not_tried_again(status: int) -> None:
    world = World(refuse(status, "some_reason", retry_after="7", x_backpressure_reason="some_reason", server="x"))
    reply = world.forward()
    assert (reply.status, reason(reply)) == (status, "some_reason")
    assert reply.headers == ((b"retry-after", b"7"), (b"x-backpressure-reason", b"some_reason"))
    assert len(world.tries) == 1
    assert world.outcomes == ["refused" if status < 500 else "http_5xx"]


def test_a_refusal_in_a_foreign_shape_is_put_into_ours() -> None:
    world = World(respond(413, b"<html>nginx</html>", content_type="text/html"))
    reply = world.forward()
    assert (reply.status, reason(reply)) == (413, "downstream_error")
    assert reply.headers == ((b"x-backpressure-reason", b"downstream_error"),)
    assert b"nginx" not in reply.body


def test_a_redirect_is_an_error_of_the_downstream() -> None:
    world = World(respond(301, b"", location="http://evil/"))
    reply = world.forward()
    assert (reply.status, reason(reply), reply.headers) == (502, "downstream_error", ())
    assert len(world.tries) == 1


@each_of(
    ("step", "outcome"),
    [
        (fail("connect", sent=False), "connect_error"),
        (fail("connect_timeout", sent=False), "timeout"),
        (fail("read_timeout"), "timeout"),
        (fail("closed"), "closed"),
        (fail("protocol"), "closed"),
        (refuse(502, "x"), "http_5xx"),
        (refuse(503, "sink_failed"), "http_5xx"),
        (refuse(504, "x"), "http_5xx"),
    ],
)
def test_what_may_pass_is_tried_again_with_the_same_batch_id(step: Step, outcome: str) -> None:
    world = World(step, step)
    assert world.forward().status == 200
    assert world.outcomes == [outcome, outcome, "ok"]
    assert len({(t.headers, t.body) for t in world.tries}) == 1
    # 0.01 s for each answer, and full back-off between: 0.1, then 0.2
    assert [round(t.at - 1000, 6) for t in world.tries] == [0, 0.11, 0.32]


def test_each_try_gets_only_the_time_that_is_left() -> None:
    world = World(None, respond(200, STORED))
    world.forward()
    assert [round(t.timeout or 0, 6) for t in world.tries] == [10, 4.9]


def test_out_of_tries_is_a_502_that_says_what_the_downstream_said() -> None:
    last = refuse(503, "sink_failed", retry_after="1", x_backpressure_reason="sink_failed")
    world = World(fail("connect"), fail("closed"), last)
    reply = world.forward()
    assert (reply.status, reason(reply)) == (502, "downstream_error")
    assert "3 tries: it answered 503 (sink_failed)" in detail(reply)
    assert reply.headers == ((b"retry-after", b"1"), (b"x-backpressure-reason", b"sink_failed"))


@each_of("word", ["Sink", "a" * 41, "", "a b", "\u00e9", "a\nb", 7, None])
def test_foreign_words_of_the_downstream_are_not_repeated(word: Any) -> None:
    step = respond(503, orjson.dumps({"error": word}))
    assert detail(World(step, max_attempts=1).forward()).count("it answered 503.") == 1


@each_of(
    "value",
    ["a\x01b", "x" * 129, "", " ", "caf\u00e9", "a\x7f"],
    ids=["control", "long", "empty", "blank", "8 bit", "DEL"],
)
def test_foreign_header_values_are_not_passed_on(value: str) -> None:
    assert World(refuse(400, "malformed", x_backpressure_reason=value)).forward().headers == ()


def test_out_of_time_is_a_504_at_the_deadline_and_not_later() -> None:
    world = World(None, None, None, deadline=8.0)
    reply = world.forward()
    assert (reply.status, reason(reply)) == (504, "downstream_timeout")
    assert "it did not answer in time" in detail(reply)
    assert world.now == pytest.approx(1008.0)
    assert world.outcomes == ["timeout", "timeout"]


def test_a_wait_that_does_not_fit_the_deadline_is_not_begun() -> None:
    world = World(fail("connect"), deadline=0.1)
    assert world.forward().status == 504
    assert len(world.tries) == 1
    assert world.now == pytest.approx(1000.01)


def test_a_held_up_loop_does_not_carry_a_try_past_the_deadline() -> None:
    world = World(fail("connect"))
    world.forwarder.send(BATCH, world.replies.append)
    world.now, _, answered = heapq.heappop(world.timers)
    answered()
    world.now += 20
    _, _, attempt = heapq.heappop(world.timers)
    attempt()
    assert [r.status for r in world.replies] == [504]
    assert len(world.tries) == 1


def test_a_retry_after_that_fits_is_honoured() -> None:
    world = World(refuse(503, "overloaded", retry_after="4"))
    assert world.forward().status == 200
    assert world.tries[1].at - world.tries[0].at == pytest.approx(0.01 + 4 + 0.1)


def test_a_retry_after_that_does_not_fit_is_the_clients_to_wait_out() -> None:
    step = refuse(503, "sink_failed", retry_after="60", x_backpressure_reason="sink_failed")
    world = World(step)
    reply = world.forward()
    headers = ((b"retry-after", b"60"), (b"x-backpressure-reason", b"sink_failed"))
    assert values(reply) == values(Reply(503, step.body, headers, None))
    assert len(world.tries) == 1


@each_of("value", ["Wed, 21 Oct 2015 07:28:00 GMT", "-1", "1.5", "", "999999999"])
def test_a_retry_after_that_is_no_number_of_seconds_is_passed_over(value: str) -> None:
    world = World(refuse(503, "overloaded", retry_after=value))
    assert world.forward().status == 200
    assert world.tries[1].at - world.tries[0].at == pytest.approx(0.11)


@pytest.mark.parametrize("status", [409, 503])
def test_a_batch_in_progress_is_tried_again_and_no_failure(status: int) -> None:
    world = World(refuse(status, "batch_in_progress", retry_after="1"), breaker=TOUCHY)
    assert world.forward().status == 200
    assert len(world.tries) == 2
    assert world.breaker.state is BreakerState.CLOSED


def test_another_409_is_final() -> None:
    world = World(refuse(409, "other"))
    assert world.forward().status == 409
    assert len(world.tries) == 1


@each_of(
    ("step", "bad"),
    [
        (respond(200, STORED), False),
        (refuse(400, "malformed"), False),
        (refuse(429, "rate_limited"), False),
        (refuse(500, "internal_error"), True),
        (refuse(503, "sink_failed"), True),
        (fail("connect"), True),
        (fail("read_timeout"), True),
        (fail("closed"), True),
        (fail("protocol"), True),
        (fail("too_large"), True),
        (fail("pool_full", sent=False), False),
    ],
)
def test_the_breaker_counts_what_is_the_downstreams_failure(step: Step, bad: bool) -> None:
    world = World(step, breaker=TOUCHY, max_attempts=1)
    world.forward()
    assert (world.breaker.state is BreakerState.OPEN) == bad


def test_an_open_breaker_answers_at_once_and_sends_nothing() -> None:
    world = World(fail("connect"), breaker=TOUCHY, max_attempts=1)
    world.forward()
    assert not world.forwarder.ready
    world.now += 4.5
    world.forwarder.send(BATCH, world.replies.append)
    reply = world.replies[1]
    assert (reply.status, reason(reply)) == (503, "circuit_open")
    assert reply.headers == ((b"retry-after", b"16"), (b"x-backpressure-reason", b"circuit_open"))
    assert world.outcomes == ["connect_error", "circuit_open"]
    assert len(world.tries) == 1
    assert world.forwarder.inflight == 0


def test_a_retry_that_finds_the_breaker_open_ends_there() -> None:
    world = World(fail("connect"), breaker=TOUCHY)
    assert reason(world.forward()) == "circuit_open"
    assert world.outcomes == ["connect_error", "circuit_open"]


def test_good_probes_close_the_breaker_again() -> None:
    world = World(fail("connect"), breaker=TOUCHY, max_attempts=1)
    world.forward()
    world.now += 20
    assert world.forwarder.ready
    for _ in range(3):
        world.replies.clear()
        assert world.forward().status == 200
    assert world.breaker.state is BreakerState.CLOSED


def test_a_full_pool_is_our_own_overload_and_is_not_tried_again() -> None:
    world = World(fail("pool_full", sent=False))
    reply = world.forward()
    assert (reply.status, reason(reply)) == (503, "overloaded")
    assert (b"retry-after", b"1") in reply.headers
    assert len(world.tries) == 1


def test_an_answer_too_large_is_not_asked_for_again() -> None:
    world = World(fail("too_large"))
    assert reason(world.forward()) == "downstream_error"
    assert len(world.tries) == 1


def test_a_spent_budget_ends_the_tries() -> None:
    world = World(refuse(503, "overloaded", retry_after="1"), budget=RetryBudget(floor=0))
    reply = world.forward()
    assert (reply.status, reason(reply)) == (502, "downstream_error")
    assert reply.headers[0] == (b"retry-after", b"1")
    assert world.outcomes == ["http_5xx", "budget_exhausted"]


def test_a_dead_downstream_gets_at_most_a_fifth_more_tries() -> None:
    world = World(*[fail("connect")] * 5000, breaker={"min_calls": 10**6})
    for _ in range(1000):
        world.forwarder.send(BATCH, world.replies.append)
        world.now += 0.001
    world.run()
    assert len(world.replies) == 1000
    assert {reason(reply) for reply in world.replies} == {"downstream_error"}
    assert 1150 < len(world.tries) <= 1200


@given(
    st.lists(
        st.sampled_from(
            [
                None,
                respond(200, STORED),
                refuse(400, "malformed"),
                refuse(503, "sink_failed"),
                refuse(503, "batch_in_progress", retry_after="1"),
                refuse(502, "x", retry_after="30"),
                fail("connect"),
                fail("closed"),
                fail("pool_full", sent=False),
            ]
        ),
        max_size=30,
    ),
    st.floats(min_value=0.001, max_value=6),
    st.integers(1, 5),
    st.integers(1, 8),
    st.floats(min_value=0, max_value=1),
)
def test_every_batch_gets_one_reply_in_time_whatever_happens(
    script: list[Step], latency: float, attempts: int, batches: int, chance: float
) -> None:
    world = World(
        *script,
        latency=latency,
        max_attempts=attempts,
        breaker={"min_calls": 3, "open_for": 1.0},
        backoff=Backoff(random=lambda: chance),
    )
    replies: list[list[tuple[float, Reply]]] = [[] for _ in range(batches)]
    for got in replies:
        world.forwarder.send(BATCH, lambda reply, got=got: got.append((world.now, reply)))  # type: ignore[misc]
    world.run()
    assert world.forwarder.inflight == 0
    assert len(world.tries) <= attempts * batches
    for got in replies:
        ((at, reply),) = got
        assert at <= 1010.001
        assert reply.status in (200, 400, 502, 503, 504)
        assert (reply.reason == "") == (reply.status == 200)
        if reply.status == 503:
            assert b"retry-after" in dict(reply.headers)


@each_of("step", [fail("read_timeout"), fail("closed"), refuse(500, "internal_error"), respond(504)])
def test_what_a_batch_may_have_caused_counts_for_its_emitter_first(step: Step) -> None:
    world = World(breaker={"min_calls": 4}, max_attempts=1)
    for number in range(60):
        ill = number % 3 == 0
        world.script.append(step if ill else respond(200, STORED))
        world.forwarder.send(copied(BATCH, emitter="ill" if ill else "well"), world.replies.append)
        world.run()
        if world.replies[-1].reason == "circuit_open":
            world.script.pop()
    stored = [reply.status for reply in world.replies].count(200)
    assert stored == 40
    assert world.breaker.state is BreakerState.CLOSED
    assert "of this emitter" in detail(next(reply for reply in world.replies if reply.reason == "circuit_open"))


@pytest.mark.parametrize("step", [fail("connect", sent=False), refuse(503, "sink_failed"), refuse(503, "draining")])
def test_what_no_batch_causes_counts_for_all(step: Step) -> None:
    world = World(*[step] * 20, max_attempts=1)
    for number in range(20):
        world.forwarder.send(copied(BATCH, emitter=f"emitter-{number % 2}"), world.replies.append)
        world.run()
    assert world.breaker.state is BreakerState.OPEN


@each_of(
    ("steps", "doubtful"),
    [
        ([fail("connect", sent=False)] * 3, False),
        ([fail("connect", sent=False), fail("connect", sent=False), fail("closed")], True),
        ([fail("closed"), fail("pool_full", sent=False)], True),
        ([fail("pool_full", sent=False)], False),
        ([refuse(503, "overloaded", retry_after="60")], False),
        ([refuse(503, "sink_failed")] * 3, False),
        ([respond(502)] * 3, True),
        ([fail("read_timeout"), refuse(503, "overloaded", retry_after="60")], True),
        ([refuse(503, "batch_in_progress")] * 3, True),
        ([refuse(422, "no_valid_events")], False),
    ],
)
def test_a_reply_says_whether_an_earlier_try_may_have_been_stored(steps: list[Step], doubtful: bool) -> None:
    assert World(*steps).forward().doubtful is doubtful


def test_a_breaker_that_opens_between_two_tries_leaves_the_outcome_in_doubt() -> None:
    world = World(fail("closed"), breaker=TOUCHY)
    reply = world.forward()
    assert (reply.reason, reply.doubtful) == ("circuit_open", True)
    assert world.forward_again().doubtful is False


def test_a_forwarder_says_what_it_does() -> None:
    assert repr(World().forwarder) == "<Forwarder to b'/v1/logs': 0 in flight, breaker closed>"
