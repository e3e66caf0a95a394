from __future__ import annotations

import math
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logops_fast.emitters.schedule import Bursts, Profile, Schedule, batches, tick_count, ticks
from tests.support.examples import examples

seconds = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 3))


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    duration = draw(st.floats(0.5, 120).map(lambda value: round(value, 2)))
    start = draw(st.floats(0, 0.9)) * duration
    stop = draw(st.none() | st.floats(start + 0.01, duration * 1.5 + 1))
    schedule = Schedule(start, stop, draw(seconds), draw(seconds), draw(st.floats(0, 100)))
    every = draw(st.floats(0.1, 50))
    bursts = draw(st.none() | st.builds(Bursts, st.just(every), st.floats(0.01, every), st.floats(0, 20)))
    return Profile(draw(st.floats(0, 5000)), duration, schedule, bursts)


def by_small_steps(profile: Profile, begin: float, end: float, steps: int = 4000) -> float:
    width = (end - begin) / steps
    return sum(profile.base_eps(begin + (i + 0.5) * width) for i in range(steps)) * width


@settings(max_examples=examples(0.6))
@given(profiles())
def test_the_integral_is_that_of_the_rate(profile: Profile) -> None:
    expected = by_small_steps(profile, 0.0, profile.duration_sec)
    # each jump may fall anywhere into a small step
    jumps = 3 + (2 * profile.duration_sec / profile.bursts.every_sec if profile.bursts else 0)
    peak = profile.eps * (max(1.0, profile.bursts.factor) if profile.bursts else 1.0)
    slack = jumps * peak * profile.duration_sec / 4000 + 1e-6 * (1 + expected)
    assert profile.events_between(0.0, profile.duration_sec) == pytest.approx(expected, abs=slack)


@given(profiles(), st.floats(0.05, 10), st.integers())
def test_the_ticks_sum_up_to_the_integral_within_one_event(profile: Profile, tick_sec: float, seed: int) -> None:
    due, given_out = 0.0, 0
    for tick in ticks(profile, tick_sec, seed):
        due += profile.events_between(tick.begin, tick.end) * tick.jitter_scale
        given_out += tick.n
        assert tick.n >= 0
        assert -1e-6 <= due - given_out < 1.0 + 1e-6
        jitter = profile.schedule.jitter_pct / 100
        assert 1 - jitter <= tick.jitter_scale <= 1 + jitter


@settings(max_examples=examples(0.6))
@given(profiles(), st.lists(st.floats(0, 130), min_size=1, max_size=6))
def test_the_integral_of_the_parts_is_the_integral_of_the_whole(profile: Profile, cuts: list[float]) -> None:
    points = sorted([0.0, *cuts, 130.0])
    parts = sum(profile.events_between(a, b) for a, b in pairwise(points))
    assert parts == pytest.approx(profile.events_between(0.0, 130.0), abs=1e-6, rel=1e-9)


def test_ticks_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    profile = Profile(100, 20, Schedule(jitter_pct=50))
    assert list(ticks(profile, 1.0, 7)) == list(ticks(profile, 1.0, 7))
    assert list(ticks(profile, 1.0, 7)) != list(ticks(profile, 1.0, 8))


def test_nothing_is_sent_outside_the_window() -> None:
    profile = Profile(10, 10, Schedule(start_after_sec=2, stop_after_sec=5))
    assert [tick.n for tick in ticks(profile, 1.0, 0)] == [0, 0, 10, 10, 10, 0, 0, 0, 0, 0]


def test_ramps_are_straight_lines_from_and_to_nothing() -> None:
    profile = Profile(100, 10, Schedule(ramp_up_sec=4, ramp_down_sec=2))
    assert [profile.base_eps(t) for t in (0, 1, 2, 4, 8, 9, 9.5)] == [0, 25, 50, 100, 100, 50, 25]
    assert profile.events_between(0, 10) == pytest.approx(100 * (10 - 2 - 1))


def test_ramps_that_overlap_meet_below_the_rate() -> None:
    profile = Profile(100, 10, Schedule(ramp_up_sec=20, ramp_down_sec=20))
    assert max(profile.base_eps(t / 10) for t in range(100)) == pytest.approx(25)
    assert profile.events_between(0, 10) == pytest.approx(125)


def test_bursts_come_every_so_often_after_the_start() -> None:
    profile = Profile(10, 12, Schedule(start_after_sec=1), Bursts(every_sec=4, length_sec=1, factor=5))
    assert [tick.n for tick in ticks(profile, 1.0, 0)] == [0, 10, 10, 10, 10, 50, 10, 10, 10, 50, 10, 10]


def test_a_last_tick_may_be_a_short_one() -> None:
    found = list(ticks(Profile(10, 2.5), 1.0, 0))
    assert [(tick.begin, tick.end, tick.n) for tick in found] == [(0.0, 1.0, 10), (1.0, 2.0, 10), (2.0, 2.5, 5)]


@given(st.integers(0, 5000), st.integers(1, 700))
def test_batches_hold_all_events_of_a_tick_evenly_over_it(count: int, size: int) -> None:
    profile = Profile(count, 1.0)
    (tick,) = ticks(profile, 1.0, 0)
    found = batches(tick, size)
    assert sum(events for _, events in found) == tick.n == count
    assert all(1 <= events <= size for _, events in found)
    assert len(found) == math.ceil(count / size)
    dues = [due for due, _ in found]
    assert dues == sorted(dues)
    assert all(0.0 <= due < 1.0 for due in dues)


def test_the_rate_at_the_edges_is_the_rate_after_them() -> None:
    profile = Profile(100.0, 60.0, Schedule(10, 50, 0, 10))
    assert [profile.base_eps(t) for t in (9.999, 10.0, 40.0, 45.0, 50.0)] == [0.0, 100.0, 100.0, 50.0, 0.0]
    assert Profile(100.0, 60.0, Schedule(10, 50)).base_eps(50.0) == 0.0


def test_a_tick_says_its_mean_rates_and_jitter_is_a_percentage() -> None:
    (tick,) = ticks(Profile(100.0, 0.5), 0.5, seed=1)
    assert (tick.base_eps, tick.eff_eps, tick.n) == (100.0, 100.0, 50)
    scales = [tick.jitter_scale for tick in ticks(Profile(10.0, 2000.0, Schedule(jitter_pct=10)), 1.0, seed=1)]
    assert 0.0999 < max(abs(scale - 1.0) for scale in scales) <= 0.1


def test_a_scenario_has_one_tick_at_least_and_one_without_end_has_none_to_count() -> None:
    assert tick_count(0.1, 1.0) == 1
    assert tick_count(2.0, 1.0) == 2
    assert tick_count(inf, 1.0) == 0
