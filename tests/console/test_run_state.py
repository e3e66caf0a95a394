from __future__ import annotations

import pytest

from logops_fast.console.profile import curve
from logops_fast.console.run_state import MAX_POINTS, Phase, RunError, RunState
from logops_fast.emitters.runner import Progress
from logops_fast.emitters.scenario import parse
from logops_fast.emitters.totals import NOTHING, UNKNOWN, Count, Totals

SCENARIO = parse("{name: s, duration_sec: 10, emitters: [{name: json, eps: 5}]}")


def running() -> RunState:
    return RunState().begin(SCENARIO, curve(SCENARIO), "s.jsonl")


def progress(elapsed: float) -> Progress:
    return Progress(elapsed, 10.0, 5.0, 4.0, NOTHING, NOTHING, NOTHING, {}, 0, UNKNOWN, 0.0)


def test_a_run_from_start_to_end() -> None:
    state = running()
    assert (state.phase, state.active, state.share, state.verdict()) == (Phase.RUNNING, True, 0.0, "")
    state.tick(progress(2.5))
    assert state.points == [(2.5, 5.0, 4.0)]
    assert state.share == 0.25
    state.end(Totals(sent=Count(50, 5), accepted=Count(50, 5)), [])
    assert (state.phase, state.active, state.share) == (Phase.DONE, False, 1.0)
    assert state.verdict() == "As expected: 50 of 50 events accepted."


def test_a_stopped_run_says_so() -> None:
    state = running()
    state.ask_stop()
    assert (state.phase, state.active) == (Phase.STOPPING, True)
    state.ask_stop()  # asking twice is no mistake
    state.end(Totals(sent=Count(5, 1), accepted=Count(4, 1), seconds=3.0, interrupted=True), [])
    assert state.verdict() == "Stopped after 3 s: 4 of 5 accepted."


def test_what_was_not_as_expected_and_what_failed_is_said() -> None:
    state = running()
    state.end(Totals(), ["3 events of json were lost", "nothing was refused with 429"])
    assert state.verdict() == "Not as expected: 3 events of json were lost; nothing was refused with 429."
    state = running()
    state.fail("the disk is full")
    assert state.phase is Phase.FAILED
    assert state.verdict() == "The run failed: the disk is full"


def test_there_is_one_run_at_a_time() -> None:
    state = running()
    with pytest.raises(RunError, match="s is still running: stop it first"):
        state.begin(SCENARIO, curve(SCENARIO), "t.jsonl")
    state.ask_stop()
    with pytest.raises(RunError, match="s is still running"):
        state.begin(SCENARIO, curve(SCENARIO), "t.jsonl")
    state.end(Totals(), [])
    following = state.begin(SCENARIO, curve(SCENARIO), "t.jsonl")
    assert (following.phase, following.record, following.points) == (Phase.RUNNING, "t.jsonl", [])
    assert following.version > state.version


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.DONE, Phase.FAILED])
def test_what_does_not_run_cannot_stop_or_end(phase: Phase) -> None:
    state = RunState(phase)
    for change in (state.ask_stop, lambda: state.end(Totals(), []), lambda: state.fail("x")):
        with pytest.raises(RunError, match="Nothing is running"):
            change()
    state.tick(progress(1.0))  # of a thread that was late
    assert state.points == []


def test_each_change_has_a_version_and_a_long_run_few_points() -> None:
    state = running()
    seen = set()
    for number in range(3 * MAX_POINTS):
        state.tick(progress(float(number)))
        seen.add(state.version)
    assert len(seen) == 3 * MAX_POINTS
    assert MAX_POINTS / 2 <= len(state.points) <= MAX_POINTS
    times = [at for at, _, _ in state.points]
    assert times == sorted(set(times))
    assert times[0] == 0.0
    assert times[-1] > 2.9 * MAX_POINTS
