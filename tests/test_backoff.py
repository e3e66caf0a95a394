"""Back-off with its chance fixed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.backoff import Backoff
from tests.support.tables import each_of


def test_the_delay_doubles_up_to_its_bound() -> None:
    backoff = Backoff(base_delay=0.1, max_delay=1.5, random=lambda: 1.0)
    assert [backoff.delay(n) for n in (1, 2, 3, 4, 5, 6, 10_000)] == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5, 1.5]


@each_of(
    ("jitter", "chance", "delay"),
    [(1.0, 0.0, 0.0), (1.0, 0.5, 0.2), (0.5, 0.0, 0.2), (0.5, 0.5, 0.3), (0.0, 0.0, 0.4), (0.0, 0.9, 0.4)],
)
def test_jitter_is_the_share_of_the_delay_left_to_chance(jitter: float, chance: float, delay: float) -> None:
    assert Backoff(0.1, 1.5, jitter, random=lambda: chance).delay(3) == pytest.approx(delay)


@given(
    st.floats(min_value=0.001, max_value=10),
    st.floats(min_value=1, max_value=100),
    st.floats(min_value=0, max_value=1),
    st.integers(1, 10**6),
)
def test_a_delay_is_between_its_floor_and_its_bound(base: float, factor: float, jitter: float, failures: int) -> None:
    most = base * factor
    floor = min(base, most) * (1 - jitter)
    assert floor * (1 - 1e-9) <= Backoff(base, most, jitter).delay(failures) <= most


@pytest.mark.parametrize(("base", "most"), [(0, 1), (-1, 1), (2, 1)])
def test_delays_that_cannot_work_are_refused(base: float, most: float) -> None:
    with pytest.raises(ValueError, match="base_delay"):
        Backoff(base, most)


@pytest.mark.parametrize("jitter", [-0.1, 1.1, float("nan")])
def test_a_jitter_that_is_no_share_is_refused(jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter"):
        Backoff(1, 1, jitter)
