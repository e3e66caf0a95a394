from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.console.profile import MAX_BURSTS, chart, curve, describe, duration_text, sparkline
from logops_fast.emitters.scenario import EmitterPlan, Scenario, library, load, parse
from logops_fast.emitters.schedule import Bursts, Schedule
from tests.support.tables import each_of

SPIKE = """
name: spike
duration_sec: 20
emitters:
  - name: json
    eps: 100
    schedule: {start_after_sec: 2, ramp_up_sec: 4, ramp_down_sec: 5}
    bursts: {every_sec: 8, length_sec: 2, factor: 3}
  - {name: csv, eps: 10}
"""


def test_ramps_jumps_and_bursts_are_points() -> None:
    drawn = curve(parse(SPIKE))
    assert drawn.points[0] == (0.0, 10.0)
    assert (2.0, 10.0) in drawn.points  # before json begins
    assert (6.0, 110.0) in drawn.points  # its ramp is over
    assert [rate for at, rate in drawn.points if at == 10.0] == [110.0, 310.0]  # the burst: before and after the jump
    assert drawn.points[-1] == pytest.approx((20.0, 10.0))
    assert drawn.peak == 310.0


profiles = st.builds(
    EmitterPlan,
    name=st.uuids().map(lambda value: f"e{value.hex[:8]}"),
    eps=st.floats(0, 1e5),
    schedule=st.builds(
        Schedule,
        start_after_sec=st.floats(0, 50),
        stop_after_sec=st.none() | st.floats(51, 200),
        ramp_up_sec=st.just(0.0) | st.floats(0.1, 100),
        ramp_down_sec=st.just(0.0) | st.floats(0.1, 100),
    ),
    bursts=st.none() | st.builds(Bursts, st.floats(5, 50), st.floats(0.1, 5), st.floats(0, 20)),
)


@given(st.lists(profiles, min_size=1, max_size=4), st.floats(60, 300))
def test_the_area_below_the_curve_is_the_number_of_events(plans: list[EmitterPlan], duration: float) -> None:
    scenario = Scenario("s", duration, tuple(plans))
    drawn = curve(scenario)
    due = sum(scenario.profile(plan).events_between(0.0, duration) for plan in plans)
    assert drawn.events == pytest.approx(due, rel=1e-6, abs=1e-6)
    assert all(0 <= at <= duration and rate >= 0 for at, rate in drawn.points)
    assert [at for at, _ in drawn.points] == sorted(at for at, _ in drawn.points)


def test_bursts_narrower_than_a_pixel_are_drawn_by_their_mean() -> None:
    plan = EmitterPlan("json", 100.0, bursts=Bursts(0.1, 0.05, 3.0))
    drawn = curve(Scenario("s", 31 * 86_400.0, (plan,)))
    assert len(drawn.points) < 2 * MAX_BURSTS
    assert drawn.peak == pytest.approx(200.0)


@pytest.mark.parametrize("name", sorted(library()))
def test_every_bundled_scenario_is_drawn(name: str) -> None:
    drawn = curve(load(library()[name]))
    svg = ElementTree.fromstring(sparkline(drawn, "k"))
    assert svg.get("role") == "img"
    assert svg.findtext("title") == describe(drawn)
    ElementTree.fromstring(chart(drawn).svg("k"))


@each_of(
    ("seconds", "text"),
    [(0, "0 s"), (45, "45 s"), (0.5, "0.5 s"), (60, "1 min"), (90, "1 min 30 s"), (3600, "1 h"), (5400, "1 h 30 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
