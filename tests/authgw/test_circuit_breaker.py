"""The breaker on fake time, and against a slow reference that keeps every call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.circuit_breaker import (
    MAX_SENDERS,
    BreakerState,
    CircuitBreaker,
    SenderBreakers,
    SlidingWindow,
)
from tests.support.tables import each_of

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make(**options: Any) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    return CircuitBreaker(clock=clock, **options), clock


def calls(breaker: CircuitBreaker, *results: bool) -> None:
    for ok in results:
        token = breaker.allow()
        assert token
        breaker.record(ok, token)


def opened(**options: Any) -> tuple[CircuitBreaker, Clock]:
    breaker, clock = make(**options)
    calls(breaker, *[False] * 20)
    assert breaker.state is OPEN
    return breaker, clock


def test_the_states_are_the_gauge_values() -> None:
    assert (int(CLOSED), int(HALF_OPEN), int(OPEN)) == (0, 1, 2)


def test_it_opens_at_the_threshold_and_not_a_call_earlier() -> None:
    breaker, _ = make()
    calls(breaker, *[False] * 3, *[True] * 16)
    assert breaker.state is CLOSED
    calls(breaker, False)  # 4 of 20
    assert breaker.state is OPEN


def test_under_the_threshold_it_stays_closed() -> None:
    breaker, _ = make()
    for _ in range(50):
        calls(breaker, *[True] * 5, False)
    assert breaker.state is CLOSED


def test_too_few_calls_say_nothing() -> None:
    breaker, _ = make()
    calls(breaker, *[False] * 19)
    assert breaker.state is CLOSED
    calls(breaker, True)  # 19 of 20
    assert breaker.state is OPEN


def test_old_failures_are_forgotten() -> None:
    breaker, clock = make()
    calls(breaker, *[False] * 19)
    clock.now += 30
    calls(breaker, *[True] * 20, False)
    assert breaker.state is CLOSED


def test_success_alone_never_opens_it() -> None:
    breaker, _ = make(failure_threshold=1e-12)
    calls(breaker, *[True] * 100)
    assert breaker.state is CLOSED


def test_open_admits_nothing_and_says_for_how_long() -> None:
    breaker, clock = opened()
    assert (breaker.allow(), breaker.retry_after()) == (0, 20)
    clock.now += 19.5
    assert (breaker.allow(), breaker.retry_after()) == (0, 1)
    clock.now += 0.5
    assert breaker.state is HALF_OPEN
    assert breaker.retry_after() == 1


def test_closed_has_nothing_to_wait_for() -> None:
    breaker, _ = make()
    assert breaker.retry_after() == 0


def test_three_good_probes_close_it_with_an_empty_window() -> None:
    breaker, clock = opened()
    clock.now += 20
    probes = [breaker.allow() for _ in range(3)]
    assert all(probes)
    assert breaker.allow() == 0
    for token in probes[:2]:
        breaker.record(True, token)
    assert breaker.state is HALF_OPEN
    breaker.record(True, probes[2])
    assert breaker.state is CLOSED
    calls(breaker, *[False] * 19)
    assert breaker.state is CLOSED


def test_one_bad_probe_opens_it_again_for_the_whole_time() -> None:
    breaker, clock = opened()
    clock.now += 25
    probes = [breaker.allow() for _ in range(3)]
    breaker.record(True, probes[0])
    breaker.record(False, probes[1])
    assert (breaker.state, breaker.retry_after()) == (OPEN, 20)
    breaker.record(True, probes[2])
    assert breaker.state is OPEN


def test_lost_probes_do_not_wedge_it() -> None:
    breaker, clock = opened(probe_timeout=5)
    clock.now += 20
    lost = [breaker.allow() for _ in range(3)]
    clock.now += 4.75
    assert breaker.allow() == 0
    clock.now += 0.25
    fresh = [breaker.allow() for _ in range(3)]
    assert all(fresh)
    for token in lost:  # back from the dead: they decide nothing
        breaker.record(False, token)
    assert breaker.state is HALF_OPEN
    for token in fresh:
        breaker.record(True, token)
    assert breaker.state is CLOSED


def test_probes_on_their_way_are_not_lost_because_half_open_was_long_ago() -> None:
    breaker, clock = opened(probe_timeout=5)
    clock.now += 20
    assert breaker.state is HALF_OPEN
    clock.now += 1000
    probes = [breaker.allow() for _ in range(3)]
    assert breaker.allow() == 0
    for token in probes:
        breaker.record(True, token)
    assert breaker.state is CLOSED


def test_results_from_before_the_opening_are_no_probes() -> None:
    breaker, clock = make()
    late = [breaker.allow() for _ in range(6)]
    calls(breaker, *[False] * 20)
    clock.now += 20
    assert breaker.state is HALF_OPEN
    for token in late[:3]:
        breaker.record(True, token)
    assert breaker.state is HALF_OPEN
    for token in late[3:]:
        breaker.record(False, token)
    assert breaker.state is HALF_OPEN


def test_a_probe_not_made_may_be_made_by_another() -> None:
    breaker, clock = opened(half_open_probes=1)
    clock.now += 20
    token = breaker.allow()
    assert breaker.allow() == 0
    breaker.withdraw(token)
    token = breaker.allow()
    breaker.record(True, token)
    assert breaker.state is CLOSED


def test_a_call_not_made_counts_for_nothing() -> None:
    breaker, _ = make(min_calls=2)
    breaker.withdraw(breaker.allow())
    calls(breaker, False)
    assert breaker.state is CLOSED
    calls(breaker, False)
    assert breaker.state is OPEN


@each_of(
    "options",
    [
        {"failure_threshold": 0},
        {"failure_threshold": 1.1},
        {"window": 0},
        {"min_calls": 0},
        {"open_for": 0},
        {"half_open_probes": 0},
        {"probe_timeout": 0},
    ],
)
def test_parameters_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        CircuitBreaker(**options)


class Reference:
    """The same rules written down the slow way: every call kept, every sum computed afresh."""

    def __init__(self, threshold: tuple[int, int], min_calls: int, open_for: float, probes: int, lost: float) -> None:
        self.threshold, self.min_calls, self.open_for, self.probes, self.lost = (
            threshold, min_calls, open_for, probes, lost,
        )  # fmt: skip
        self.state = CLOSED
        self.era = object()
        self.log: list[tuple[int, bool]] = []
        self.results: list[bool] = []
        self.given: list[float] = []
        self.opened_at = 0.0

    def enter(self, state: BreakerState, now: float) -> None:
        self.state, self.era = state, object()
        self.log, self.results, self.given, self.opened_at = [], [], [], now

    def look(self, now: float) -> None:
        rested = self.state is OPEN and now >= self.opened_at + self.open_for
        used_up = self.state is HALF_OPEN and len(self.given) == self.probes
        if rested or (used_up and now >= self.given[-1] + self.lost):
            self.enter(HALF_OPEN, now)

    def allow(self, now: float) -> object | None:
        self.look(now)
        if self.state is OPEN or (self.state is HALF_OPEN and len(self.given) == self.probes):
            return None
        self.given.append(now)
        return self.era

    def record(self, now: float, ok: bool, era: object) -> None:
        if era is not self.era:
            return
        if self.state is HALF_OPEN:
            self.results.append(ok)
            if not ok:
                self.enter(OPEN, now)
            elif len(self.results) == self.probes:
                self.enter(CLOSED, now)
            return
        self.log.append((int(now), ok))
        recent = [ok for second, ok in self.log if second > int(now) - 30]
        bad = recent.count(False)
        part, whole = self.threshold
        if bad and len(recent) >= self.min_calls and bad * whole >= part * len(recent):
            self.enter(OPEN, now)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 4.0, 7.5, 10.0, 29.75, 30.0, 1000.0])),
        st.tuples(st.just("call"), st.integers(min_value=1, max_value=6)),
        st.tuples(st.just("good"), st.integers(min_value=0, max_value=9)),
        st.tuples(st.just("bad"), st.integers(min_value=0, max_value=9)),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([(1, 5), (1, 2), (1, 1), (7, 100)]), st.integers(1, 6), st.integers(1, 4))
def test_it_does_what_the_slow_reference_does(
    steps: list[tuple[str, Any]], threshold: tuple[int, int], min_calls: int, probes: int
) -> None:
    breaker, clock = make(
        failure_threshold=threshold[0] / threshold[1],
        min_calls=min_calls,
        open_for=10.0,
        half_open_probes=probes,
        probe_timeout=15.0,
    )
    reference = Reference(threshold, min_calls, 10.0, probes, 15.0)
    pending: list[tuple[int, object]] = []
    for step, amount in steps:
        if step == "wait":
            clock.now += amount
        elif step == "call":
            for _ in range(amount):
                token, era = breaker.allow(), reference.allow(clock.now)
                assert bool(token) == (era is not None)
                if era is not None:
                    pending.append((token, era))
        elif pending:
            token, era = pending.pop(amount % len(pending))
            breaker.record(step == "good", token)
            reference.record(clock.now, step == "good", era)
        reference.look(clock.now)
        assert breaker.state is reference.state


@given(
    st.floats(min_value=0.5, max_value=100),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 3)), max_size=60),
)
def test_a_window_sums_what_is_no_older_than_itself(width: float, steps: list[tuple[int, int, int]]) -> None:
    window = SlidingWindow(30 * width)
    log: list[tuple[int, int, int]] = []
    bucket = 0
    for passed, first, second in steps:
        bucket += passed
        now = (bucket + 0.5) * width
        window.add(now, first, second)
        log.append((bucket, first, second))
        recent = [entry for entry in log if entry[0] > bucket - 30]
        assert (window.first, window.second) == (sum(e[1] for e in recent), sum(e[2] for e in recent))


@each_of(("threshold", "failures"), [(0.07, 7), (0.29, 29), (0.57, 57), (0.1, 10), (1.0, 100)])
def test_a_share_of_exactly_the_threshold_opens_it_and_one_less_does_not(threshold: float, failures: int) -> None:
    """Shares whose product with the calls is a little over a whole number in floating point."""
    breaker, _ = make(failure_threshold=threshold, min_calls=100)
    calls(breaker, *[False] * (failures - 1), *[True] * (101 - failures))
    assert breaker.state is CLOSED
    breaker, _ = make(failure_threshold=threshold, min_calls=100)
    calls(breaker, *[True] * (100 - failures), *[False] * failures)
    assert breaker.state is OPEN


# Senders.


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


# Edges that a small change of the code would move.


def test_a_window_counts_what_it_is_given_and_nothing_by_itself() -> None:
    window = SlidingWindow(0.5)
    window.add(1000.0, second=3)
    assert (window.first, window.second) == (0, 3)
    window.add(1000.0, 2)
    assert (window.first, window.second) == (2, 3)


def test_the_smallest_parameters_work() -> None:
    breaker, clock = make(failure_threshold=1.0, window=0.5, min_calls=1, open_for=0.5, half_open_probes=1)
    calls(breaker, False)
    assert breaker.state is OPEN
    clock.now += 0.5
    calls(breaker, True)
    assert breaker.state is CLOSED
    make(probe_timeout=0.5)


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
