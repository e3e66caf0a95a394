"""A breaker for each sender, and one for all of them."""

from __future__ import annotations

from typing import Any

from logops_fast.authgw.circuit_breaker import (
    MAX_SENDERS,
    CircuitBreaker,
    SenderBreakers,
)
from tests.authgw.breakers import CLOSED, OPEN, Clock, calls, make


def board(**options: Any) -> tuple[SenderBreakers, Clock]:
    clock = Clock()
    return SenderBreakers(lambda: CircuitBreaker(clock=clock, **options), clock=clock), clock


def report(breakers: SenderBreakers, sender: str, ok: bool, *, by_batch: bool = True) -> bool:
    """One call; whether it was admitted."""
    admission = breakers.allow(sender)
    if admission is None:
        return False
    breakers.record(admission, ok, by_batch=by_batch)
    return True


def test_poison_of_one_sender_stops_that_sender_and_no_other() -> None:
    breakers, clock = board()
    admitted = 0
    for _ in range(500):
        admitted += report(breakers, "poison", False)
        assert report(breakers, "good", True)
        clock.now += 0.05
    assert breakers.common.state is CLOSED
    assert admitted < 60
    assert breakers.allow("poison") is None
    assert breakers.own_is_open("poison")
    assert not breakers.own_is_open("good")
    assert 1 <= breakers.retry_after("poison") <= 20
    assert breakers.retry_after("good") == 0


def test_a_sender_that_is_alone_opens_the_common_breaker() -> None:
    breakers, _ = board()
    for _ in range(20):
        report(breakers, "only", False)
    assert breakers.common.state is OPEN
    assert not breakers.own_is_open("only")
    assert breakers.allow("another") is None


def test_failures_of_all_senders_open_the_common_breaker() -> None:
    breakers, _ = board()
    for number in range(40):
        report(breakers, f"sender-{number % 4}", False)
    assert breakers.common.state is OPEN


def test_a_refused_connection_is_no_batch_s_fault() -> None:
    breakers, _ = board()
    for number in range(20):
        report(breakers, "busy" if number % 10 else "quiet", False, by_batch=False)
    assert breakers.common.state is OPEN
    assert not breakers.own_is_open("busy")


def test_a_sender_s_breaker_is_tried_again_and_closes() -> None:
    breakers, clock = board()
    for _ in range(40):
        report(breakers, "ill", False)
        report(breakers, "good", True)
    assert breakers.allow("ill") is None
    clock.now += 20
    assert [report(breakers, "ill", True) for _ in range(3)] == [True] * 3
    assert not breakers.own_is_open("ill")


def test_a_call_not_made_counts_for_neither_breaker() -> None:
    breakers, _ = board(min_calls=2, failure_threshold=1.0)
    report(breakers, "web", False)
    for _ in range(5):
        admission = breakers.allow("web")
        assert admission is not None
        breakers.withdraw(admission)
    assert breakers.common.state is CLOSED
    report(breakers, "web", False)
    assert breakers.common.state is OPEN


def test_a_probe_of_a_sender_is_kept_while_the_common_breaker_is_open() -> None:
    breakers, clock = board(half_open_probes=1)
    for _ in range(20):
        report(breakers, "web", False)
    clock.now += 10
    for _ in range(20):  # the common one opens again for longer
        breakers.common.record(False, breakers.common.allow())
    clock.now += 10
    first = breakers.allow("web")
    assert first is not None
    assert breakers.allow("web") is None
    breakers.record(first, True)
    assert report(breakers, "web", True)


def test_the_senders_that_are_kept_are_bounded() -> None:
    breakers, clock = board()
    for _ in range(40):
        report(breakers, "poison", False)
        report(breakers, "good", True)
    for number in range(MAX_SENDERS * 2):
        assert report(breakers, f"sender-{number}", False)
        for _ in range(6):
            report(breakers, "good", True)
    assert len(breakers._senders) <= MAX_SENDERS
    for number in range(MAX_SENDERS):
        clock.now += 0.1
        report(breakers, f"later-{number}", False)
        for _ in range(6):
            report(breakers, "good", True)
    assert 1 < len(breakers._senders) <= MAX_SENDERS


def test_one_good_call_of_another_sender_keeps_the_common_breaker_closed() -> None:
    breakers, _ = board(min_calls=4, failure_threshold=0.8)
    report(breakers, "good", True)
    for _ in range(4):
        assert report(breakers, "poison", False)
    assert breakers.own_is_open("poison")
    assert breakers.common.state is CLOSED


def test_a_token_of_before_the_opening_gives_no_probe_back() -> None:
    breaker, clock = make()
    stale = breaker.allow()
    calls(breaker, *[False] * 20)
    clock.now += 20
    assert all(breaker.allow() for _ in range(3))
    breaker.withdraw(stale)
    assert breaker.allow() == 0


def test_a_sender_keeps_its_probe_where_the_common_breaker_refuses() -> None:
    breakers, clock = board(half_open_probes=1, probe_timeout=1000.0)
    for _ in range(20):
        report(breakers, "ill", False)
        report(breakers, "good", True)
    assert breakers.own_is_open("ill")
    clock.now += 15
    for number in range(60):
        report(breakers, f"sender-{number % 6}", False, by_batch=False)
    assert breakers.common.state is OPEN
    clock.now += 10
    assert breakers.allow("ill") is None  # its own would probe, the common one is still open
    clock.now += 10
    assert breakers.allow("ill") is not None


def test_a_call_not_made_gives_the_common_probe_back() -> None:
    breakers, clock = board(half_open_probes=1)
    for _ in range(20):
        report(breakers, "any", False, by_batch=False)
    clock.now += 20
    admission = breakers.allow("web")
    assert admission is not None
    assert breakers.allow("web") is None
    breakers.withdraw(admission)
    assert breakers.allow("web") is not None


def test_failures_that_have_left_the_window_blame_no_sender() -> None:
    breakers, clock = board()
    for _ in range(15):
        report(breakers, "before", False)
        for _ in range(5):
            report(breakers, "good", True)
    clock.now += 31
    for number in range(20):
        report(breakers, "now", number >= 6)
    # All 20 calls of the window are of one sender: there is no other to ask.
    assert breakers.common.state is OPEN


def test_when_there_are_too_many_senders_the_quiet_ones_go_first() -> None:
    breakers, clock = board()
    for _ in range(20):
        report(breakers, "opened", False)
        report(breakers, "good", True)
    clock.now += 12
    report(breakers, "failed", False)
    for number in range(MAX_SENDERS - len(breakers._senders) - 1):
        report(breakers, f"quiet-{number}", False)
        for _ in range(9):
            report(breakers, "good", True)
    for sender in breakers._senders.values():
        sender.window.clear()
    report(breakers, "failed", False)  # the only one with a failure in its window
    report(breakers, "last", True, by_batch=False)
    assert len(breakers._senders) <= MAX_SENDERS
    for number in range(3):
        report(breakers, f"new-{number}", False)
    assert {"opened", "failed", "new-0"} <= set(breakers._senders)
    assert "quiet-1" not in breakers._senders


def test_where_all_senders_that_are_kept_are_busy_none_is() -> None:
    breakers, clock = board()
    for number in range(MAX_SENDERS):
        breakers._add(str(number)).window.add(clock.now, 1, 1)
    breakers._add("one more")
    assert set(breakers._senders) == {"one more"}
