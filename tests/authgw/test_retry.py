"""Back-off and retry budget on fake time and fixed chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.retry import Backoff, RetryBudget


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_ceiling_doubles_up_to_the_bound() -> None:
    backoff = Backoff(base_delay=0.1, max_delay=1.5, random=lambda: 1.0)
    assert [backoff.delay(n) for n in (1, 2, 3, 4, 5, 6, 10_000)] == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5, 1.5]


def test_jitter_is_full() -> None:
    assert Backoff(random=lambda: 0.0).delay(3) == 0.0
    assert Backoff(random=lambda: 0.5).delay(1) == 0.05


@given(st.floats(min_value=0.001, max_value=10), st.floats(min_value=1, max_value=100), st.integers(1, 10**6))
def test_a_delay_is_never_negative_nor_over_the_bound(base: float, factor: float, failures: int) -> None:
    assert 0 <= Backoff(base, base * factor).delay(failures) <= base * factor


@pytest.mark.parametrize(("base", "most"), [(0, 1), (-1, 1), (2, 1)])
def test_delays_that_cannot_work_are_refused(base: float, most: float) -> None:
    with pytest.raises(ValueError, match="base_delay"):
        Backoff(base, most)


def test_a_quiet_service_may_retry_at_all() -> None:
    budget = RetryBudget(mono=Clock())
    budget.request()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]


def test_a_busy_service_may_retry_a_fifth() -> None:
    budget = RetryBudget(mono=Clock())
    for _ in range(100):
        budget.request()
    assert sum(budget.take() for _ in range(100)) == 20


def test_the_budget_comes_back_with_time() -> None:
    clock = Clock()
    budget = RetryBudget(mono=clock)
    assert sum(budget.take() for _ in range(9)) == 3
    clock.now += 9
    assert not budget.take()
    clock.now += 2
    assert budget.take()


def test_without_floor_and_requests_there_are_no_retries() -> None:
    assert not RetryBudget(floor=0, mono=Clock()).take()


@pytest.mark.parametrize(("ratio", "floor"), [(-0.1, 3), (0.2, -1)])
def test_budgets_that_cannot_work_are_refused(ratio: float, floor: int) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        RetryBudget(ratio, floor=floor)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0, 6.0]), st.integers(0, 20), st.integers(0, 20)), max_size=40),
    st.sampled_from([(0, 1), (1, 5), (1, 1)]),
    st.integers(0, 5),
)
def test_retries_never_pass_the_ratio_nor_the_floor(
    steps: list[tuple[float, int, int]], ratio: tuple[int, int], floor: int
) -> None:
    clock = Clock()
    # 30 buckets of half a second: exact in binary, so that the reference can count in buckets.
    budget = RetryBudget(ratio[0] / ratio[1], window=15.0, floor=floor, mono=clock)
    requests: list[int] = []
    retries: list[int] = []
    for passed, asked, wanted in steps:
        clock.now += passed
        bucket = int(clock.now / 0.5)
        for _ in range(asked):
            budget.request()
            requests.append(bucket)
        for _ in range(wanted):
            recent = sum(b > bucket - 30 for b in requests)
            used = sum(b > bucket - 30 for b in retries)
            allowed = used < floor or (used + 1) * ratio[1] <= ratio[0] * recent
            assert budget.take() == allowed
            if allowed:
                retries.append(bucket)
