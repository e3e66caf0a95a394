from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from logops_fast.authgw.nonce_store import NonceGuard
from logops_fast.http.refusal import Refusal
from logops_fast.state.interface import NonceVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import open_memory

NOW = 1_800_000_000.0
TOLERANCE = 300.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Answering:
    """A store in one state."""

    def __init__(self, verdict: NonceVerdict) -> None:
        self.verdict = verdict

    def insert(self, key: bytes, expires_at: float, done: Callable[[NonceVerdict], None]) -> None:
        done(self.verdict)

    def remove(self, key: bytes, expires_at: float) -> None:
        raise AssertionError("nothing was inserted")


def ask(guard: NonceGuard, client: str, nonce: bytes, timestamp: float) -> Refusal | None:
    answers: list[Refusal | None] = []
    guard.insert(client, nonce, timestamp, answers.append)
    (answer,) = answers
    return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> NonceGuard:
    return NonceGuard(open_memory(TOLERANCE, Caps(max_nonces=1000), wall=clock).nonces, TOLERANCE)


def test_a_nonce_lets_one_request_in_and_no_other(guard: NonceGuard) -> None:
    assert ask(guard, "web-1", b"nonce-01", NOW) is None
    refusal = ask(guard, "web-1", b"nonce-01", NOW)
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (401, "replay")
    assert "used before" in refusal.detail


def test_a_nonce_given_back_is_good_once_more(guard: NonceGuard) -> None:
    assert ask(guard, "web-1", b"nonce-01", NOW) is None
    guard.give_back("web-2", b"nonce-01", NOW)
    assert ask(guard, "web-1", b"nonce-01", NOW) is not None
    guard.give_back("web-1", b"nonce-01", NOW)
    assert ask(guard, "web-1", b"nonce-01", NOW) is None
    assert ask(guard, "web-1", b"nonce-01", NOW) is not None


def test_only_the_largest_holder_of_a_full_store_is_asked_to_send_less(guard: NonceGuard) -> None:
    answers = [ask(guard, "greedy", b"%08d" % number, NOW) for number in range(2000)]
    refusals = {(answer.status, answer.reason) for answer in answers if answer is not None}
    assert refusals == {(429, "too_many_nonces")}
    assert answers[:1000] == [None] * 1000
    assert [ask(guard, "small", b"%08d" % number, NOW) for number in range(50)] == [None] * 50


def test_clients_do_not_share_nonces(guard: NonceGuard) -> None:
    assert ask(guard, "web-1", b"nonce-01", NOW) is None
    assert ask(guard, "web-2", b"nonce-01", NOW) is None
    assert ask(guard, "web", b"-1\0nonce", NOW) is None


@pytest.mark.parametrize("ahead", [0.0, 299.5, 300.0])
def test_a_nonce_is_held_for_as_long_as_its_timestamp_passes_the_clock_check(
    guard: NonceGuard, clock: Clock, ahead: float
) -> None:
    stamp = NOW + ahead
    assert ask(guard, "web-1", b"nonce-01", stamp) is None
    for number in range(3000):
        clock.now = NOW + (ahead + TOLERANCE) * number / 2999
        if number % 10 == 0:
            refusal = ask(guard, "web-1", b"nonce-01", stamp)
            assert refusal is not None
            assert refusal.reason == "replay"
        ask(guard, "other", b"%08d" % number, clock.now - TOLERANCE)


def test_a_request_signed_before_the_start_is_asked_to_sign_again(guard: NonceGuard) -> None:
    refusal = ask(guard, "web-1", b"nonce-01", NOW - 2)
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (401, "replay")
    assert "sign it again" in refusal.detail


@pytest.mark.parametrize("verdict", [NonceVerdict.FULL, NonceVerdict.UNAVAILABLE])
def test_a_store_that_cannot_remember_lets_nothing_in_counts_each_and_logs_once_a_minute(
    verdict: NonceVerdict, caplog: pytest.LogCaptureFixture
) -> None:
    counted: list[NonceVerdict] = []
    clock = Clock()
    guard = NonceGuard(Answering(verdict), TOLERANCE, on_unavailable=counted.append, clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            refusal = ask(guard, "web-1", b"nonce-01", NOW)
            assert refusal is not None
            assert (refusal.status, refusal.reason) == (503, "state_unavailable")
            assert refusal.retry_after >= 1
        assert len(caplog.records) == 1
        clock.now += 61
        ask(guard, "web-1", b"nonce-01", NOW)
        assert len(caplog.records) == 2
    assert counted == [verdict] * 6
