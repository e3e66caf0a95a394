"""Events' own names are asked once; the lines come out as if each line had been asked whole."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.pii.escapes import PLACES
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.pii.top_level import TopLevelNames, values_text
from logops_fast.ingest.serialiser import to_lines
from tests.ingest.pii.strategies import PII, events
from tests.support.tables import each_of

MASKER = Masker(["nick", "a?ct"], ["kept"])
OTHER = Masker(["nick"], ["kept"])


def with_places(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**event, "emitter": orjson.Fragment(PLACES[at % len(PLACES)])} for at, event in enumerate(batch)]


@given(st.lists(events, max_size=6))
def test_lines_are_the_same_whether_names_are_asked_with_the_values_or_not(batch: list[dict[str, Any]]) -> None:
    batch = with_places(batch)
    lines = to_lines(batch)
    whole: dict[str, int] = {}
    apart: dict[str, int] = {}
    assert MASKER.mask_lines(lines, batch, apart) == MASKER.mask_lines(lines, [], whole)
    assert apart == whole


@each_of("name", [*PII, "password", "nick", "kept", "x=password=y", "%41", "a\nb", "\ud800"])
def test_a_name_that_matters_is_noticed_when_it_comes_first_and_later(name: str) -> None:
    batch = with_places([{"m": "x"}, {"m": "y", name: "bob@example.com"}, {"m": "z"}])
    masker = Masker(["nick"], ["kept"])
    lines = to_lines(batch)
    expected = OTHER.mask_lines(lines, [], {})  # without the events it learns no names
    assert masker.mask_lines(lines, batch, {}) == expected
    assert masker.mask_lines(lines, batch, {}) == expected


def test_values_are_a_row_an_event() -> None:
    batch = with_places([{"a": "x", "b": [1, {"c": "d"}]}, {"e": 7}])
    assert values_text(batch, 100) == b'["x",[1,{"c":"d"}],\n,7,\n]'


@pytest.mark.parametrize("batch", [[], [{"a": "x"}], [{"a": 2**70, "emitter": orjson.Fragment(PLACES[0])}]])
def test_without_a_placeholder_an_event_or_a_plain_value_the_lines_are_asked(batch: list[dict[str, Any]]) -> None:
    assert values_text(batch, 10) is None


def test_large_events_are_asked_whole() -> None:
    assert values_text(with_places([{"a": "x"}]), 5_000) is None


def test_a_flood_of_names_is_learnt_a_few_at_a_time_and_forgotten() -> None:
    asked: list[int] = []

    def are_clean(names: list[str]) -> list[bool]:
        asked.append(len(names))
        return [True] * len(names)

    names = TopLevelNames(lambda name: name == "n7", are_clean)
    assert names.named_rows([{f"n{number}": 1 for number in range(200)}]) is None
    for batch in range(300):
        names.named_rows([{f"b{batch}-{number}": 1 for number in range(30)}])
    assert max(asked) <= 32
    assert names.named_rows([{"n7": 1}, {"n8": 1}, {"n7": 1}]) == [0, 2]


SECRETS = ("Bearer abcdef0123456789", "password=hunter2", "%41lice@example.com", "4111 1111 1111 1111", "2001:db8::7")
NORMALISER = Normaliser()


@st.composite
def mixed_batches(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Batches in which few events have a secret, and their own members are called as the stored ones, in any order."""
    names = ("emitter", "scenario_id", "app", "source", "emitter_raw", "message", "severity", "z", "msg", "level")
    values = st.sampled_from([*SECRETS, "", "x", None, 7, {"emitter": "y"}, [SECRETS[0], {"source": ""}]])
    batch: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 4))):
        event = draw(st.dictionaries(st.sampled_from(names), values, max_size=6))
        event["ts"] = "2026-03-01T00:00:00.000Z"
        batch.append({name: event[name] for name in draw(st.permutations(list(event)))})
    quiet = {"ts": "2026-03-01T00:00:00.000Z", "level": "INFO", "msg": "nothing"}
    for at in draw(st.lists(st.integers(0, len(batch)), max_size=9)):
        batch.insert(at, dict(quiet))
    return batch


@given(mixed_batches())
def test_what_an_event_becomes_does_not_depend_on_the_others_of_its_batch(batch: list[dict[str, Any]]) -> None:
    def lines(events: list[dict[str, Any]]) -> bytes:
        copies = [dict(event) for event in events]
        return NORMALISER.run(copies, emitter="e", scenario_id="s", received_at=1.7e9).lines

    together = lines(batch)
    assert together == b"".join(lines([event]) for event in batch)


@each_of("secret", SECRETS)
def test_an_event_without_a_placeholder_does_not_move_the_rows_of_the_others(secret: str) -> None:
    for without in range(7):
        batch = with_places([{"m": secret if at == 4 else "x"} for at in range(8)])
        del batch[without]["emitter"]
        lines = to_lines(batch)
        assert MASKER.mask_lines(lines, batch, {}) == MASKER.mask_lines(lines, [], {})
