"""The breaker on fake time, and against a slow reference that keeps every call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.circuit_breaker import BreakerState, CircuitBreaker, SlidingWindow
from tests.authgw.breakers import CLOSED, HALF_OPEN, OPEN, Clock, calls, make
from tests.support.tables import each_of


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
