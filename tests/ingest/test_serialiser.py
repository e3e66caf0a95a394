from __future__ import annotations

import json
from typing import Any

from logops_fast.ingest.serialiser import to_json, to_lines, to_text
from tests.support.tables import each_of


def test_one_event_is_one_line() -> None:
    assert to_lines([{"a": "1\n2"}, {"b": None}]) == b'{"a":"1\\n2"}\n{"b":null}\n'
    assert to_lines([]) == b""


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@each_of(
    ("value", "stored"),
    [
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (2**64 - 1, 2**64 - 1),
        ("\ud800x", "\ufffdx"),
        ({"\udfff": [2**70]}, {"\ufffd": [str(2**70)]}),
        ({1: (1, 2)}, {"1": [1, 2]}),
        (b"bytes", "b'bytes'"),
        (True, True),
        (1.5, 1.5),
    ],
)
def test_what_orjson_refuses_is_stored_all_the_same(value: Any, stored: Any) -> None:
    line = to_lines([{"x": 1}, {"k": value}]).splitlines()[1]
    assert json.loads(line) == {"k": stored}


def test_a_value_nested_without_end_neither_fails_nor_spoils_its_neighbours() -> None:
    lines = to_lines([{"a": 1}, {"k": nested(100_000)}]).splitlines()
    assert lines[0] == b'{"a":1}'
    assert b"nested too deep" in lines[1]


def test_text_of_a_value() -> None:
    assert to_text({"a": [1, "é"]}) == '{"a":[1,"é"]}'
    assert to_json(True) == b"true"
