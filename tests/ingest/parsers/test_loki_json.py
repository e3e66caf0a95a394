from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.ingest.parsers import loki_json
from logops_fast.ingest.parsers.base import Limits, MalformedBody, Parsed, joined
from logops_fast.ingest.parsers.loki_entries import MAX_REPEATED_IN_ENVELOPE
from logops_fast.ingest.parsers.registry import DEFAULT_LIMITS, parse, parse_pieces
from tests.formats.bodies import json_pushes
from tests.ingest.parsers.support import outcome
from tests.support.loki import json_push
from tests.support.tables import each_of

TIME = "1741003200000000005"
TS = "2025-03-03T12:00:00.000000005Z"


def whole(body: bytes) -> Parsed:
    return parse(Format.LOKI_JSON, body, 0.0)


def test_entries_become_events() -> None:
    body = json_push(({"app": "shop"}, [[TIME, "first"], [TIME, '{"a":1}', {"trace_id": "t1"}]]), ({}, [[TIME, "ä\n"]]))
    assert whole(body) == Parsed(
        [
            {"ts": TS, "msg": "first", "app": "shop"},
            {"ts": TS, "a": 1, "app": "shop", "trace_id": "t1"},
            {"ts": TS, "msg": "ä\n"},
        ],
        [],
    )


@each_of(
    ("time", "ts"),
    [
        (TIME, TS), ("946684800000000001", "2000-01-01T00:00:00.000000001Z"), ("1741003200", 1741003200),
        (1741003200, 1741003200), ("2025-03-03T12:00:00Z", "2025-03-03T12:00:00Z"), ("", ""), (None, None),
        ("99999999999999999999", "99999999999999999999"), ("000000000000000000", None),
    ],
)  # fmt: skip
def test_times_of_fewer_digits_are_left_to_the_normaliser(time: object, ts: object) -> None:
    (event,) = whole(json_push(({}, [[time, "x"]]))).events
    assert event.get("ts") == ts


def test_what_is_spoilt_is_a_fault_and_its_neighbours_are_read() -> None:
    body = (
        b'{"streams":[7,{"stream":{"a":"\\ud800"},"values":[["1741003200000000005","\\udfff"],"x",["1"],["1",2],["1","y",3],'
        b'["1741003200000000005","z",{"n":18446744073709551616}],["1741003200000000005","\xff"]]},{"values":[["1","q"]]}]}'
    )
    parsed = whole(body)
    assert parsed.events == [
        {"ts": TS, "msg": "\ufffd", "a": "\ufffd"},
        {"ts": TS, "msg": "z", "a": "\ufffd", "n": "18446744073709551616"},
    ]
    assert [(fault.index, fault.reason) for fault in parsed.faults] == [
        (0, "bad_entry"), (2, "bad_entry"), (3, "bad_entry"), (4, "bad_entry"), (5, "bad_entry"), (7, "bad_utf8"),
        (8, "bad_labels"),
    ]  # fmt: skip


@each_of("body", [b"{", b"[]", b"7", b'{"streams":{}}', b'{"values":[]}', b'{"streams":[}', b"x"])
def test_a_body_that_is_no_push_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        whole(body)
    assert caught.value.reason == "malformed"
    assert caught.value.detail.startswith("The body is not a Loki push request in JSON: ")


@given(json_pushes)
def test_nothing_is_raised_but_a_refusal(body: bytes) -> None:
    read = outcome(lambda: whole(body))
    assert read.reason == "malformed" if isinstance(read, MalformedBody) else read.events


def test_a_large_stream_is_cut_and_read_as_a_small_one() -> None:
    values: list[Any] = [[TIME, f"line {number}, with [brackets]"] for number in range(30_000)]
    values[7] = [TIME, "y" * 3000]
    body = json_push(({"a": "b"}, values), ({"c": "d"}, [[TIME, "last"]]))
    pieces = list(parse_pieces(Format.LOKI_JSON, body, 0.0, Limits(max_event_bytes=2048)))
    assert len(pieces) >= len(body) // PIECE_BYTES
    assert max(len(piece.events) for piece in pieces) <= PIECE_ITEMS
    parsed = Parsed([], [])
    for piece in pieces:
        parsed = joined(parsed, piece)
    assert [(fault.index, fault.reason) for fault in parsed.faults] == [(7, "event_too_large")]
    del values[7]
    assert [event["msg"] for event in parsed.events] == [line for _, line in values] + ["last"]


def test_many_empty_streams_are_read_in_steps() -> None:
    body = json_push(*[({}, [])] * 20_000)
    assert len(list(parse_pieces(Format.LOKI_JSON, body, 0.0))) >= 20_000 // PIECE_ITEMS


def test_a_large_stream_in_an_envelope_is_cut_too() -> None:
    body = json_push(({"a": "b"}, [[TIME, "x" * 100]] * 5000))
    assert len(body) > PIECE_BYTES * 2
    parsed = parse(Format.JSON, body, 0.0)
    assert (len(parsed.events), parsed.faults) == (5000, [])


def test_what_the_labels_of_an_envelope_come_to_is_bounded() -> None:
    push = json_push(({"a": "x" * 16_000}, [[TIME, ""]] * (MAX_REPEATED_IN_ENVELOPE // 16_000 // 2)))
    assert parse(Format.NDJSON, push, 0.0).events
    with pytest.raises(MalformedBody) as caught:
        parse(Format.NDJSON, b"\n".join([push] * 3), 0.0)
    assert caught.value.reason == "too_large"


def test_metadata_counts_in_a_step() -> None:
    metadata = {f"{number}": "x" * 40 for number in range(200)}
    values = [["1764064811000000000", "x", metadata]] * 400
    body = orjson.dumps({"streams": [{"stream": {"app": "shop"}, "values": values}]})
    pieces = [len(piece.events) for piece in loki_json.read_pieces(body, DEFAULT_LIMITS)]
    assert sum(pieces) == 400
    assert max(pieces) * len(orjson.dumps(values[0])) < 2 * PIECE_BYTES
