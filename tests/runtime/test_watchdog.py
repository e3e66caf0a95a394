from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.runtime.watchdog import MAX_STEP, SILENT_AFTER, TICK, Watchdog


def test_a_worker_is_silent_after_its_heartbeats_stopped() -> None:
    watchdog = Watchdog(2, 0.0)
    now = 0.0
    while watchdog.age(1) < SILENT_AFTER:
        now += TICK
        watchdog.tick(now, [int(now / TICK), 0], [True, True])
    assert now == SILENT_AFTER
    assert watchdog.silent(1)
    assert not watchdog.silent(0)
    watchdog.tick(now + TICK, [100, 1], [True, True])
    assert watchdog.age(1) == 0.0


def test_time_in_which_the_supervisor_did_not_run_does_not_count() -> None:
    watchdog = Watchdog(1, 0.0)
    watchdog.tick(TICK, [1], [True])
    watchdog.tick(3600.0, [1], [True])
    assert watchdog.age(0) == MAX_STEP
    watchdog.tick(3500.0, [1], [True])  # a clock that steps back counts for nothing
    assert watchdog.age(0) == MAX_STEP


def test_a_new_process_begins_with_age_0() -> None:
    watchdog = Watchdog(1, 0.0)
    watchdog.tick(1.0, [0], [False])
    watchdog.restarted(0)
    assert watchdog.age(0) == 0.0


def test_only_a_worker_that_serves_makes_the_gateway_served() -> None:
    watchdog = Watchdog(2, 0.0)
    watchdog.tick(1.0, [1, 0], [False, False])
    assert watchdog.unserved == 1.0
    watchdog.tick(2.0, [2, 0], [True, False])
    assert watchdog.unserved == 0.0
    watchdog.tick(3.0, [2, 1], [True, False])
    assert watchdog.unserved == 1.0


@given(
    st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=50),
)
def test_an_age_is_never_more_than_the_steps_since_the_last_heartbeat(steps: list[tuple[float, bool]]) -> None:
    watchdog = Watchdog(1, 0.0)
    count = silent_steps = 0
    for now, (_, beats) in zip(accumulate(step for step, _ in steps), steps, strict=True):
        count += beats
        silent_steps = 0 if beats else silent_steps + 1
        watchdog.tick(now, [count], [True])
        assert 0.0 <= watchdog.age(0) <= silent_steps * MAX_STEP + 1e-9
        assert watchdog.unserved == watchdog.age(0)
