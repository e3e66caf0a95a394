"""Plans: what becomes of an event's members, by their names. The reference is asked with values of the usual form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest import names
from logops_fast.ingest.aliases import Aliases
from logops_fast.ingest.levels import LEVELS
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.plans import (
    COPY,
    FLAT,
    IMPLIED,
    LEADING,
    LEVEL,
    MESSAGE,
    RECEIPT,
    TEXT,
    TIME,
    plan_of,
)

NOW = 1_760_000_000.0
RECEIVED = "2025-10-09T08:53:20.000000Z"
SEEN = "2026-03-01T00:00:01Z"
OTHERS = ("user", "http", "trace.id", "app", "source", "short_message", "level_name", "@t", "Properties")
ALL_NAMES = sorted(
    {alias.name for table in (names.TS, names.LEVEL, names.MSG, names.APP, names.HOST, names.PID) for alias in table}
    | {"ts", "level", "msg", *names.TS_NAMES, *names.LEVEL_NAMES, *names.MSG_NAMES, *OTHERS}
)


def planned(keys: tuple[str, ...]) -> dict[str, str | int] | None:
    """Return the line that the plan of these names makes of `values`, without the request's constants."""
    plan = plan_of(keys, Aliases())
    if plan is None:
        return None
    line: dict[str, str | int] = {}
    for role, place, _, name in plan.items:
        match role:
            case 1:
                line[name] = SEEN
            case 2:
                line[name] = "ERROR"
            case 5:
                line[name] = LEVELS[place]
            case 6:
                line[name] = "FATAL"
            case 7:
                line[name] = RECEIVED
            case _:
                line[name] = f"FATAL {place}"
    return line


def stored(keys: tuple[str, ...]) -> dict[str, str] | None:
    """Return what the reference makes of an event whose members are a time, a level or a message by what is wanted."""
    plan = plan_of(keys, Aliases())
    assert plan is not None
    values = {place: f"FATAL {place}" for place in range(len(keys))}
    for role, place, _, _ in plan.items:
        if role == TIME:
            values[place] = SEEN
        elif role == LEVEL:
            values[place] = "ERROR"
    event = {key: values[place] for place, key in enumerate(keys)}
    line = Normaliser().run([dict(event)], emitter="e", scenario_id="s", received_at=NOW).lines
    found: dict[str, str] = json.loads(line)
    for name in ("emitter", "scenario_id"):
        del found[name]
    for name, own in (("app", "logops"), ("source", "ingest")):
        if name not in keys:
            assert found.pop(name) == own
    return found


@given(st.lists(st.sampled_from(ALL_NAMES), min_size=1, max_size=7, unique=True))
def test_a_plan_is_what_the_reference_does(keys: list[str]) -> None:
    line = planned(tuple(keys))
    if line is not None:
        found = stored(tuple(keys))
        assert found is not None
        assert list(line.items()) == list(found.items())


@pytest.mark.parametrize(
    ("keys", "roles"),
    [
        (("ts", "level", "msg"), [TIME, LEVEL, MESSAGE]),
        (("severity", "message", "timestamp"), [TIME, LEVEL, MESSAGE]),
        (("log", "stream", "time"), [COPY, TIME, MESSAGE, LEADING]),
        (("level", "msg"), [LEVEL, MESSAGE, RECEIPT]),
        (("@t", "@m"), [IMPLIED, TIME, MESSAGE]),
        (("ts", "level", "msg", "app", "user"), [TIME, LEVEL, MESSAGE, TEXT, COPY]),
        (("ts", "log", "message"), [TIME, FLAT, MESSAGE, LEADING]),
    ],
)
def test_roles(keys: tuple[str, ...], roles: list[int]) -> None:
    plan = plan_of(keys, Aliases())
    assert plan is not None
    assert [item[0] for item in plan.items] == roles


@pytest.mark.parametrize(
    "keys",
    [
        (),
        ("emitter", "ts", "level", "msg"),
        ("ts", "level", "msg", "scenario_id"),
        ("__REALTIME_TIMESTAMP", "PRIORITY", "MESSAGE", "_HOSTNAME"),  # takes host and app from other names
        ("t", "s", "msg"),  # MongoDB's letter is a level beside its time alone
        ("ts", "level", "user"),  # no message
        tuple(f"n{number}" for number in range(65)),
    ],
)
def test_what_names_do_not_settle_is_left_to_the_reference(keys: tuple[str, ...]) -> None:
    assert plan_of(keys, Aliases()) is None


@pytest.mark.parametrize(
    ("keys", "telltale"), [(("event", "time"), True), (("event", "level", "timestamp"), False), (("logs",), False)]
)
def test_what_may_be_an_envelope_is_said(keys: tuple[str, ...], telltale: bool) -> None:
    plan = plan_of(keys, Aliases())
    assert (plan is not None and plan.telltale) is telltale
