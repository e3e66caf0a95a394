"""The retry budget on fake time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.authgw.retry import RetryBudget


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_quiet_service_may_retry_at_all() -> None:
    budget = RetryBudget(clock=Clock())
    budget.request()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]


def test_a_busy_service_may_retry_a_fifth() -> None:
    budget = RetryBudget(clock=Clock())
    for _ in range(100):
        budget.request()
    assert sum(budget.take() for _ in range(100)) == 20


def test_the_budget_comes_back_with_time() -> None:
    clock = Clock()
    budget = RetryBudget(clock=clock)
    assert sum(budget.take() for _ in range(9)) == 3
    clock.now += 9
    assert not budget.take()
    clock.now += 2
    assert budget.take()


def test_without_floor_and_requests_there_are_no_retries() -> None:
    assert not RetryBudget(floor=0, clock=Clock()).take()


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
    budget = RetryBudget(ratio[0] / ratio[1], window=15.0, floor=floor, clock=clock)
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
