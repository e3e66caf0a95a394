from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from logops_fast.client.records import dumps, encode, level_of


def event(app: str | None = None, **fields: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"name": "shop", "levelno": 30, "msg": "hello", "created": 1e9 + 0.25, **fields})
    found: dict[str, Any] = orjson.loads(encode(record, app))
    return found


def test_a_record_becomes_an_event_with_its_settled_fields() -> None:
    found = event("checkout", msg="paid %d of %s", args=(3, "four"))
    assert found["ts"] == "2001-09-09T01:46:40.250000Z"
    assert (found["level"], found["msg"], found["logger"], found["app"]) == (
        "WARN",
        "paid 3 of four",
        "shop",
        "checkout",
    )


@pytest.mark.parametrize(
    ("number", "level"),
    [(0, "TRACE"), (5, "TRACE"), (10, "DEBUG"), (25, "INFO"), (40, "ERROR"), (50, "FATAL"), (99, "FATAL")],
)
def test_levels_also_of_an_applications_own(number: int, level: str) -> None:
    assert level_of(number) == level


def test_extra_fields_are_kept_and_cannot_take_the_place_of_settled_ones() -> None:
    found = event(order=17, ts="mine", level="mine", when=datetime(2026, 1, 1, tzinfo=UTC))
    assert (found["order"], found["extra_ts"], found["extra_level"], found["level"]) == (17, "mine", "mine", "WARN")
    assert found["when"] == "2026-01-01T00:00:00+00:00"


def test_an_exception_is_told_with_its_traceback() -> None:
    try:
        dict[str, str]()["gone"]
    except KeyError:
        found = event(exc_info=sys.exc_info())
    assert "KeyError: 'gone'" in found["exc"]
    assert "test_records.py" in found["exc"]


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize(
    ("value", "written"),
    [(Odd(), "<odd>"), ({1: Odd()}, {"1": "<odd>"}), ("\ud800", "\\ud800"), (2**70, str(2**70)), (float("nan"), None)],
)
def test_what_json_has_no_form_for_is_kept_as_text(value: Any, written: Any) -> None:
    assert orjson.loads(dumps({"a": value, "b": 1})) == {"a": written, "b": 1}


def test_a_value_that_holds_itself_is_kept_as_text() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert orjson.loads(dumps({"ring": ring, "b": [1]})) == {"ring": "[[...]]", "b": [1]}
