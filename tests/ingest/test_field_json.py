"""JSON events as loggers and collectors write them: time, level and message as a person would read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.field_cases import cases, differences, stored

CASES = cases("json.jsonl")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_an_event_is_read_as_its_writer_meant_it(case: dict[str, Any]) -> None:
    events, counts, rejected = stored(case)
    assert len(events) == len(case["expect"])
    found = [text for event, expect in zip(events, case["expect"], strict=True) for text in differences(event, expect)]
    assert found == []
    assert rejected == case.get("rejected", 0)
    assert counts.missing_ts == case.get("missing_ts", counts.missing_ts)
    assert counts.missing_level == case.get("missing_level", counts.missing_level)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_was_stored_is_in_order_when_it_is_sent_again(case: dict[str, Any]) -> None:
    events, _, _ = stored(case)
    again = {"content_type": "application/json", "body": json.dumps(events)}
    repeated, counts, _ = stored(again)
    assert repeated == events
    assert (counts.missing_ts, counts.missing_level) == (0, 0)
