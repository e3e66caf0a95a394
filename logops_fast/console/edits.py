"""What a person may change of a scenario before it runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from logops_fast.emitters.scenario import MAX_DURATION, MAX_EPS, Expect, Scenario
from logops_fast.errors import LogOpsError


class EditError(LogOpsError):
    """A value that cannot be used; the text says which, and what is expected."""


@dataclass
class EmitterEdit:
    """Whether an emitter takes part, and its rate in events a second."""

    on: bool
    eps: float


@dataclass
class Edits:
    """The form: seconds, a seed or none, and each emitter by name."""

    duration_sec: float
    seed: int | None = None
    emitters: dict[str, EmitterEdit] = field(default_factory=dict)

    @classmethod
    def of(cls, scenario: Scenario) -> Edits:
        """Return the form that changes nothing."""
        return cls(scenario.duration_sec, None, {plan.name: EmitterEdit(True, plan.eps) for plan in scenario.emitters})


def edited(scenario: Scenario, edits: Edits) -> Scenario:
    """Return the scenario with the changes. Raises EditError with the first value that cannot be used."""
    duration = _number("Duration", edits.duration_sec, 0.1, MAX_DURATION, "seconds")
    plans = []
    for plan in scenario.emitters:
        edit = edits.emitters.get(plan.name, EmitterEdit(True, plan.eps))
        if edit.on:
            plans.append(replace(plan, eps=_number(f"EPS of {plan.name}", edit.eps, 0, MAX_EPS, "events a second")))
    if not plans:
        raise EditError("No emitter is switched on: switch one on.")
    changed = replace(scenario, emitters=tuple(plans), duration_sec=duration, tick_sec=min(scenario.tick_sec, duration))
    return replace(changed, expect=_expect(scenario, changed))


def silent(scenario: Scenario) -> list[str]:
    """Return the names of emitters that send nothing: they start after the end, or have no rate."""
    return [
        plan.name for plan in scenario.emitters if scenario.profile(plan).events_between(0.0, scenario.duration_sec) < 1
    ]


def seed_of(text: str) -> int | None:
    """Return the seed that was typed; None if nothing was. Raises EditError."""
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
        raise EditError(f"Seed: expected a whole number, or nothing for a random one; got {text[:40]!r}.")
    return int(text)


def _expect(scenario: Scenario, changed: Scenario) -> Expect | None:
    """Keep what can still be expected: that emitters which send lose nothing, and refusals only if nothing changed."""
    expect = scenario.expect
    if expect is None:
        return None
    sending = {plan.name for plan in changed.emitters} - set(silent(changed))
    same = changed.emitters == scenario.emitters and changed.duration_sec >= scenario.duration_sec
    return replace(
        expect,
        refused_with=expect.refused_with if same else (),
        all_accepted=tuple(name for name in expect.all_accepted if name in sending),
    )


def _number(name: str, value: float | None, least: float, most: float, unit: str) -> float:
    # not a number is neither below nor above a bound, so the comparison has to hold
    if not isinstance(value, (int, float)) or not least <= value <= most:
        said = "nothing" if value is None else f"{value:g}" if isinstance(value, (int, float)) else repr(value)
        raise EditError(f"{name}: expected {least:g} to {most:,.0f} {unit}, got {said}.")
    return float(value)
