"""What is read in one step, and that a step's work depends on neither the number nor the kind of the items."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from logops_fast.formats.csv_text import MAX_CELLS
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, STEP_BYTES, groups
from logops_fast.ingest.parsers import base, registry
from logops_fast.ingest.parsers.json_reader import JsonReader

NOW = 1_800_000_000.0
DEEP = b'{"msg":' + b"[" * 900 + b'"x"' + b"]" * 900 + b"}"
SYSLOG = b'<13>1 2026-01-01T00:00:00Z h a - - [x a="1" b="2"] m\n'
CELLS = b'a,b,c,"d",,,,\n'

COSTLY = {
    "spoilt JSON": (Format.JSON, b"[" + b",".join([DEEP, b'{"a":1}'] * 24) + b"]"),
    "spoilt NDJSON": (Format.NDJSON, b"\n".join([DEEP, b'{"a":1}'] * 24)),
    "JSON in an envelope": (Format.JSON, b'[{"events":[' + b",".join([b'{"msg":"x"}'] * 4000) + b"]}]"),
    "structured data": (Format.PLAIN, SYSLOG * 1000),
    "cells of a byte": (Format.CSV, CELLS * 4000),
}
QUICK = {
    "JSON": (Format.JSON, b"[" + b",".join([b'{"msg":"a line"}'] * 4000) + b"]"),
    "NDJSON": (Format.NDJSON, b'{"msg":"a line"}\n' * 4000),
    "lines": (Format.PLAIN, b"2026-01-01 00:00:00 INFO web app[1]: a line\n" * 2000),
    "rows": (Format.CSV, b"2026-01-01T00:00:00Z,INFO,a line that says something\n" * 2000),
}


def pieces_of(format: Format, body: bytes) -> list[base.Parsed]:
    return list(registry.parse_pieces(format, body, NOW))


def whole(pieces: list[base.Parsed]) -> base.Parsed:
    parsed = base.Parsed([], [])
    for piece in pieces:
        parsed = base.joined(parsed, piece)
    return parsed


@pytest.mark.parametrize(("format", "body"), COSTLY.values(), ids=COSTLY)
def test_what_may_take_long_is_read_in_steps_and_comes_out_the_same(format: Format, body: bytes) -> None:
    assert STEP_BYTES < len(body) < PIECE_BYTES
    assert registry.parse_at_once(format, body, NOW) is None
    assert whole(pieces_of(format, body)) == registry.parse(format, body, NOW)
    few = body[: body.rindex(b"\n", 0, STEP_BYTES) + 1] if b"\n" in body else b'[{"events":[{"msg":"x"}]}]'
    assert registry.parse_at_once(format, few, NOW) == registry.parse(format, few, NOW)


@pytest.mark.parametrize(("format", "body"), QUICK.values(), ids=QUICK)
def test_an_ordinary_batch_is_read_in_one_step(format: Format, body: bytes) -> None:
    assert STEP_BYTES < len(body) < PIECE_BYTES
    assert registry.parse_at_once(format, body, NOW) == registry.parse(format, body, NOW)


@pytest.mark.parametrize("format", [Format.JSON, Format.NDJSON])
def test_a_step_reads_few_bytes_of_spoilt_items(format: Format) -> None:
    items = [DEEP] * 200  # more than a piece
    body = b"[" + b",".join(items) + b"]" if format is Format.JSON else b"\n".join(items)
    pieces = pieces_of(format, body)
    assert sum(len(piece.faults) for piece in pieces) == len(items)
    assert max(len(piece.faults) for piece in pieces) <= STEP_BYTES // len(DEEP)
    steps = list(JsonReader().in_steps([b"1"] * 1000))
    assert max(len(step.faults) for step in steps) == 64


def test_a_step_reads_few_bytes_of_events_that_are_all_brackets() -> None:
    """None is spoilt, but a piece of them takes ten times as long as others."""
    dense = b'{"msg":[' + b",".join([b"[]"] * 600) + b"]}"
    body = b"[" + b",".join([dense] * 400) + b"]"
    pieces = pieces_of(Format.JSON, body)
    assert whole(pieces).events == [{"msg": [[]] * 600}] * 400
    assert max(len(piece.events) for piece in pieces) <= STEP_BYTES // len(dense)


def test_a_step_reads_few_bytes_of_structured_data() -> None:
    pieces = pieces_of(Format.PLAIN, SYSLOG * 20_000)
    assert sum(len(piece.events) for piece in pieces) == 20_000
    assert max(len(piece.events) for piece in pieces) <= STEP_BYTES // (len(SYSLOG) - 1)


def test_groups_keep_order_and_bounds() -> None:
    items = [b"x" * size for size in (1, STEP_BYTES, 2, 3, STEP_BYTES + 1, 0, 0)]
    found = [list(group) for group in groups(items, 2)]
    assert [item for group in found for item in group] == items
    assert [[len(item) for item in group] for group in found] == [
        [1], [STEP_BYTES], [2, 3], [STEP_BYTES + 1], [0, 0]
    ]  # fmt: skip
    assert list(groups([], 2)) == []


def test_a_row_of_too_many_cells_is_set_aside_and_its_neighbours_are_kept() -> None:
    wide = b"," * MAX_CELLS
    body = b"ts,level,msg\n1,INFO,a\n" + wide + b"\n2,INFO,b\n"
    events, faults = registry.parse(Format.CSV, body, NOW)
    assert [event["msg"] for event in events] == ["a", "b"]
    assert [(fault.index, fault.reason) for fault in faults] == [(1, base.EVENT_TOO_LARGE)]
    assert faults[0].text == "," * (MAX_CELLS - 1)
    (event,), faults = registry.parse(Format.CSV, wide[1:], NOW)
    assert (len(event["extra"]), faults) == (MAX_CELLS - 3, [])


def test_a_line_of_too_many_cells_is_no_header() -> None:
    header = b"ts,level,msg," + b",".join(b"c%d" % n for n in range(MAX_CELLS)) + b"\n"
    events, faults = registry.parse(Format.CSV, header + b"1,INFO,a\n", NOW)
    assert (events, len(faults)) == ([{"ts": "1", "level": "INFO", "msg": "a"}], 1)


def calls_of_c(work: Callable[[], object]) -> int:
    """How often compiled functions are called: the steps that an interpreter takes, whatever the machine."""
    count = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "c_call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("format", "body"),
    [
        (Format.PLAIN, b'<13>1 - - - - - [x y="' + rb"\"" * 120_000 + b'"] m\n'),
        (Format.PLAIN, b'<13>1 - - - - - [x y="' + rb"\\" * 120_000 + b'"] m\n'),
        (Format.PLAIN, b"<13>1 - - - - - [x" + b' a="b"' * 42_000 + b"] m\n"),
        (Format.PLAIN, b"<13>1 - - - - - " + b"[x]" * 80_000 + b" m\n"),
        (Format.CSV, b"," * 250_000 + b"\n"),
        (Format.CSV, b'"a"' + b"," * 250_000 + b"\n"),
        (Format.JSON, b"[" + b",".join([DEEP] * 17) + b"]"),
    ],
    ids=["escaped quotes", "backslashes", "parameters", "elements", "commas", "quoted and commas", "nested"],
)
def test_an_event_of_any_kind_takes_few_steps(format: Format, body: bytes) -> None:
    registry.parse(format, body, NOW)
    assert calls_of_c(lambda: registry.parse(format, body, NOW)) < 40_000
