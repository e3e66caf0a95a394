"""Layouts that are settled without a search: the same as with it, and bounded in what they cost and remember."""

from __future__ import annotations

import copy
from datetime import UTC
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logops_fast.ingest import names
from logops_fast.ingest.aliases import Aliases
from logops_fast.ingest.fast_layouts import UNSETTLED, FastLayout, FastLayouts
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import NOT_FOUND, Inherited
from logops_fast.ingest.plans import NO_APP, NO_SOURCE, plan_of
from logops_fast.ingest.settling import settle
from logops_fast.ingest.tally import Tally
from tests.support.examples import examples

NOW = 1_760_000_000.123456
TS = "2026-03-01T00:00:01.5Z"
ALIASES = Aliases()
OTHERS = ("user", "http", "trace.id", "app", "source", "short_message", "level_name", "@t", "Properties")
ALL_NAMES = sorted(
    {alias.name for table in (names.TS, names.LEVEL, names.MSG, names.APP, names.HOST, names.PID) for alias in table}
    | {"ts", "level", "msg", "Timestamp", "Level", "RenderedMessage", "MESSAGE", "emitter"}
    | {*names.TS_NAMES, *names.LEVEL_NAMES, *names.MSG_NAMES, *OTHERS}
)
TIMES = (
    TS, "2026-03-01T00:00:01Z", "2026-03-01T00:00:01.123456789Z", "2026-03-01 00:00:01,5", "2026-03-01T00:00:01+02:00",
    "2026-02-30T00:00:01Z", "2026-03-01T00:00:01.Z", 1_760_000_000, 1_760_000_000_123, 1_760_000_000.25,
    "1760000000123456789", "01/Mar/2026:00:00:01 +0000", 300, {"$date": TS}, {"seconds": 1_760_000_000},
)  # fmt: skip
LEVELS = (
    "INFO", "warn", "Error", "WARNING", "silly", "INFO2", "30", " fatal ", "loud", "x" * 80, 0, 3, 9, 30, 200, 999,
    30.0, NOT_FOUND, Inherited("err"), {"name": "ERROR"},
)  # fmt: skip
MESSAGES = (
    "cache miss", "ERROR [shop] it broke\n", "WARN: disk full\r\n", "\n", "[warn] x", "level=debug y", "hi",
    {"message": "WARN: nested"}, {"stringValue": "of OTLP"}, ["a"], {"level": "ERROR", "message": "both"},
)  # fmt: skip
VALUES = st.sampled_from((*TIMES, *LEVELS, *MESSAGES, None, "", True, False, 5, 1.5, "-"))
EVENTS = st.dictionaries(st.sampled_from(ALL_NAMES), VALUES, min_size=1, max_size=6)


def layout_of(event: dict[str, Any]) -> FastLayout:
    keys = tuple(event)
    return FastLayout(keys, plan_of(keys, ALIASES), {})


def counted(tally: Tally) -> tuple[Any, ...]:
    return tally.levels, tally.missing_ts, tally.missing_level


def check(event: dict[str, Any]) -> bool:
    """Compare an event settled by its layout with the search; return whether the layout settled it."""
    before, tally, searched, other = copy.deepcopy(event), Tally(NOW), copy.deepcopy(event), Tally(NOW)
    variant = layout_of(event).settle(event, UTC, tally)
    if variant == UNSETTLED:
        assert list(event.items()) == list(before.items())
        assert counted(tally) == counted(Tally(NOW))
        return False
    settle(searched, ALIASES, UTC, other)
    assert list(event.items()) == list(searched.items())
    assert counted(tally) == counted(other)
    absent = {name for name in ("app", "source") if name not in before}
    assert variant == NO_APP * ("app" in absent) + NO_SOURCE * ("source" in absent)
    assert "emitter" not in before
    return True


@settings(max_examples=examples(20, 4))
@given(EVENTS)
def test_a_layout_settles_what_the_search_does(event: dict[str, Any]) -> None:
    check(event)


@settings(max_examples=examples(10, 2))
@given(
    st.sampled_from(("ts", "time", "@timestamp", "Timestamp", "asctime", "date", "timeUnixNano")),
    st.sampled_from(("level", "severity", "Level", "levelname", "log.level", "severityNumber", "PRIORITY")),
    st.sampled_from(("msg", "message", "event", "log", "body", "RenderedMessage", "text")),
    st.sampled_from(TIMES), st.sampled_from(LEVELS), st.sampled_from(MESSAGES), st.booleans(),
)  # fmt: skip
def test_so_do_the_usual_ones(
    ts_name: str, level_name: str, msg_name: str, ts: Any, level: Any, msg: Any, has_level: bool
) -> None:
    check({"n": 1, msg_name: msg, **({level_name: level} if has_level else {}), ts_name: ts, "app": "shop"})


@pytest.mark.parametrize(
    "event",
    [
        {"level": 30, "time": 1_760_000_000_123, "pid": 1, "msg": "x"},
        {"log": "INFO [shop] x\n", "stream": "stdout", "time": TS},
        {"@t": TS, "@m": "x"},
        {"severityText": "INFO2", "body": "x", "timeUnixNano": "1760000000123456789"},
        {"level": "INFO", "msg": "no time"},
        {"ts": TS, "level": NOT_FOUND, "msg": "a line"},
        {"ts": TS, "msg": "no level", "app": "shop", "source": "eu"},
    ],
)
def test_these_are_settled_by_their_layout(event: dict[str, Any]) -> None:
    assert check(event)


@pytest.mark.parametrize(
    "event",
    [
        {"ts": "yesterday", "level": "INFO", "msg": "x"},
        {"ts": TS, "level": True, "msg": "x"},
        {"ts": TS, "level": "loud", "msg": "x"},
        {"ts": TS, "level": "INFO", "msg": ""},
        {"ts": TS, "level": "INFO", "message": ["x"]},
        {"ts": TS, "log": {"level": "warn"}, "message": "x"},
        {"ts": TS, "msg": "x", "app": 5},
        {"ts": TS, "msg": "x", "emitter": "other"},
    ],
)
def test_these_are_left_to_the_search(event: dict[str, Any]) -> None:
    assert not check(event)


def test_spellings_are_remembered_within_bounds() -> None:
    spellings: dict[str, dict[Any, str]] = {}
    keys = ("ts", "level", "msg")
    layout = FastLayout(keys, plan_of(keys, ALIASES), spellings)
    for number in range(3000):
        for level in (f"INFO+{number % 100}", " " * (number % 60) + "warn", number % 70):
            layout.settle({"ts": TS, "level": level, "msg": "x"}, UTC, Tally(NOW))
    (known,) = spellings.values()
    assert known["INFO+7"] == "INFO"
    assert len(known) <= 512
    assert max(len(str(spelling)) for spelling in known) <= 16


def test_ever_new_names_are_learnt_no_further_than_what_was_earned() -> None:
    layouts = FastLayouts(ALIASES)
    for number in range(1000):
        layouts.learn(("msg", f"n{number}"))
    assert len(layouts.known) == 64
    layouts.earn(32)
    layouts.learn(("msg", "one more"))
    layouts.learn(("msg", "and another"))
    assert len(layouts.known) == 65


def test_layouts_are_remembered_within_bounds() -> None:
    layouts = FastLayouts(ALIASES)
    for number in range(1000):
        layouts.earn(100)
        layouts.learn(("msg", f"n{number}"))
    assert 0 < len(layouts.known) <= 512
    layouts.learn(("msg", "n" * 3000))
    layouts.learn(tuple(f"n{number}" for number in range(65)))
    assert all(len(keys) == 2 and len(keys[1]) < 10 for keys in layouts.known)


def test_a_batch_is_the_same_whether_its_layouts_are_known_or_not() -> None:
    events: list[dict[str, Any]] = [
        {"log": "INFO [shop] x\n", "time": TS}, {"severity": "err", "message": "x"}, {"Level": "Debug", "event": "x"},
    ]  # fmt: skip
    first, second = Normaliser(), Normaliser()
    second.run([dict(event) for _ in range(9) for event in events], emitter="e", scenario_id="s", received_at=NOW)
    runs = [
        normaliser.run([dict(event) for event in events], emitter="e", scenario_id="s", received_at=NOW)
        for normaliser in (first, second)
    ]
    assert runs[0] == runs[1]
    assert runs[0].levels == {"INFO": 1, "ERROR": 1, "DEBUG": 1}


PLAIN_VALUES = st.sampled_from([*TIMES, *LEVELS[:17], *MESSAGES, None, "", True, 5, "-"])
USUAL = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.sampled_from(TIMES[:5]) for name in ("ts", "timestamp", "time")},
        **{name: st.sampled_from(LEVELS[:6]) for name in ("level", "severity", "lvl")},
        **{name: st.sampled_from(MESSAGES[:6]) for name in ("msg", "message")},
        "app": st.sampled_from(["shop", "", 7]),
        "emitter": st.just("other"),
    },
).filter(bool)


@settings(max_examples=examples(20, 4))
@given(st.lists(USUAL | st.dictionaries(st.sampled_from(ALL_NAMES), PLAIN_VALUES, min_size=1, max_size=5), max_size=4))
@example([{"time": TS, "event": "x"}, {"ts": TS, "level": "loud", "msg": "x"}, {"ts": TS, "level": "INFO", "msg": "x"}])
def test_an_event_is_settled_alike_whatever_was_before_it(events: list[dict[str, Any]]) -> None:
    batch = [copy.deepcopy(event) for _ in range(3) for event in events]
    together = Normaliser(mask=False).run(batch, emitter="e", scenario_id="s", received_at=NOW)
    lines, receipts = b"", 0
    for event in [*events, *events, *events]:
        one = Normaliser(mask=False).run(
            [copy.deepcopy(event)], emitter="e", scenario_id="s", received_at=NOW, receipts_before=receipts
        )
        lines += one.lines
        receipts += one.missing_ts
    assert together.lines == lines
    assert together.missing_ts == receipts
