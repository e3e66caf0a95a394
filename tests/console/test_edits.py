from __future__ import annotations

import pytest

from logops_fast.console.edits import EditError, Edits, EmitterEdit, edited, seed_of, silent
from logops_fast.emitters.scenario import find, load, parse
from tests.support.tables import each_of

OVERLOAD = load(find("overload"))


def edits(**changes: float) -> Edits:
    found = Edits.of(OVERLOAD)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_a_form_that_changes_nothing_changes_nothing() -> None:
    assert edited(OVERLOAD, Edits.of(OVERLOAD)) == OVERLOAD


def test_rates_duration_and_taking_part_are_changed() -> None:
    form = edits(duration_sec=30)
    form.emitters["flood"] = EmitterEdit(False, 3000)
    form.emitters["json"] = EmitterEdit(True, 50)
    found = edited(OVERLOAD, form)
    assert found.duration_sec == 30
    assert [(plan.name, plan.eps) for plan in found.emitters] == [("batch", 12000), ("json", 50), ("recovered", 40)]


def test_only_what_can_still_come_true_is_expected() -> None:
    form = edits()
    form.emitters["flood"] = EmitterEdit(False, 0)
    found = edited(OVERLOAD, form).expect
    assert found is not None
    assert found.refused_with == ()  # nothing floods any more
    assert found.all_accepted == ("json", "recovered")
    short = edited(OVERLOAD, edits(duration_sec=20)).expect
    assert short is not None
    assert short.all_accepted == ("json",)  # recovered would begin at 22 s


def test_a_duration_below_a_tick_makes_the_tick_shorter() -> None:
    assert edited(OVERLOAD, edits(duration_sec=0.5)).tick_sec == 0.5


@each_of("value", [0, -1, 1e9, float("nan"), float("inf")])
def test_an_impossible_duration_is_refused_in_words(value: float) -> None:
    with pytest.raises(EditError, match=r"^Duration: expected 0\.1 to 2,678,400 seconds, got"):
        edited(OVERLOAD, edits(duration_sec=value))


def test_an_impossible_rate_is_refused_with_its_emitter() -> None:
    form = edits()
    form.emitters["json"].eps = -5
    with pytest.raises(EditError, match=r"^EPS of json: expected 0 to 10,000,000 events a second, got -5"):
        edited(OVERLOAD, form)


def test_one_emitter_has_to_send() -> None:
    form = edits()
    for edit in form.emitters.values():
        edit.on = False
    with pytest.raises(EditError, match="switch one on"):
        edited(OVERLOAD, form)


def test_emitters_that_send_nothing_are_named() -> None:
    scenario = parse("{name: s, duration_sec: 5, emitters: [{name: json, eps: 0}, {name: csv, eps: 1}]}")
    assert silent(scenario) == ["json"]


@each_of(("typed", "seed"), [("", None), ("  ", None), ("7", 7), ("-3", -3), (" 12 ", 12)])
def test_seeds(typed: str, seed: int | None) -> None:
    assert seed_of(typed) == seed


@each_of("typed", ["x", "1.5", "--3", "1e3", "\u0663", "9" * 30])
def test_what_is_no_seed_is_refused(typed: str) -> None:
    with pytest.raises(EditError, match=r"^Seed: expected a whole number"):
        seed_of(typed)
