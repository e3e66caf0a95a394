"""JSON events as loggers and collectors write them: time, level and message as a person would read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.field_cases import cases, differences, stored

CASES = cases("json.jsonl")


def faults(case: dict[str, Any]) -> Iterator[str]:
    """What is not read as its writer meant it, one text each."""
    events, counts, rejected = stored(case)
    if len(events) != len(case["expect"]):
        yield f"{len(events)} events instead of {len(case['expect'])}"
        return
    for event, expect in zip(events, case["expect"], strict=True):
        yield from differences(event, expect)
    found = {"rejected": rejected, "missing_ts": counts.missing_ts, "missing_level": counts.missing_level}
    expected = {"rejected": 0, **{name: case[name] for name in found if name in case}}
    yield from (f"{name}: {found[name]} instead of {count}" for name, count in expected.items() if found[name] != count)


@pytest.mark.parametrize("group", dict.fromkeys(case["group"] for case in CASES))
def test_an_event_is_read_as_its_writer_meant_it(group: str) -> None:
    found = {case["id"]: list(faults(case)) for case in CASES if case["group"] == group}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_what_was_stored_is_in_order_when_it_is_sent_again() -> None:
    for case in CASES:
        events, _, _ = stored(case)
        repeated, counts, _ = stored({"content_type": "application/json", "body": json.dumps(events)})
        assert repeated == events, case["id"]
        assert (counts.missing_ts, counts.missing_level) == (0, 0), case["id"]


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES)
