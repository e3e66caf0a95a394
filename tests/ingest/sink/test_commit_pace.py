from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.sink.commit_pace import LONGEST, WINDOW, CommitPace


def after(busy: float, pace: CommitPace | None = None, at: float = 100.0) -> float:
    """Return the seconds that a commit waits after one that began after a window of so much work."""
    pace = pace or CommitPace()
    pace.begin(at, 10.0)
    pace.begin(at + WINDOW, 10.0 + busy * WINDOW)
    return pace.wait(at + WINDOW)


def test_the_first_commit_and_one_after_a_pause_do_not_wait() -> None:
    pace = CommitPace()
    assert pace.wait(0.0) <= 0.0
    pace.begin(50.0, 5.0)
    assert pace.wait(60.0) <= 0.0


@pytest.mark.parametrize("busy", [0.0, 0.1, 0.2])
def test_with_cpu_to_spare_nothing_waits(busy: float) -> None:
    assert after(busy) <= 0.0


@pytest.mark.parametrize("busy", [0.95, 1.0, 1.8])
def test_a_busy_process_waits_the_longest_time_and_no_longer(busy: float) -> None:
    assert after(busy) == pytest.approx(LONGEST)


def test_at_half_load_a_wait_is_short() -> None:
    assert 0.0 < after(0.5) < LONGEST / 5


def test_a_process_that_calms_down_waits_no_more() -> None:
    pace = CommitPace()
    assert after(1.0, pace) > 0.0
    pace.begin(101.0, 10.2)
    assert pace.wait(101.0) <= 0.0


def test_between_two_looks_at_the_cpu_the_pace_stays() -> None:
    pace = CommitPace()
    after(1.0, pace)
    pace.begin(100.0 + WINDOW * 1.5, 10.0 + WINDOW)
    assert pace.wait(100.0 + WINDOW * 1.5) == pytest.approx(LONGEST)


def test_a_pace_of_nothing_never_waits() -> None:
    assert after(1.0, CommitPace(longest=0.0)) <= 0.0


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 20.0)), max_size=50))
def test_a_wait_is_never_longer_than_the_longest(steps: list[tuple[float, float]]) -> None:
    pace = CommitPace()
    now = cpu = 1000.0
    for elapsed, used in steps:
        now, cpu = now + elapsed, cpu + used
        pace.begin(now, cpu)
        assert pace.wait(now) <= LONGEST + 1e-9
