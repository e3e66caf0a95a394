from __future__ import annotations

import json
from typing import Any

import pytest

from logops_fast.formats.media_type import Format
from logops_fast.ingest.parsers.base import Limits, MalformedBody
from logops_fast.ingest.parsers.registry import parse, parse_pieces
from tests.support.tables import each_of

NOW = 1_772_600_000.0


def read(value: Any, format: Format = Format.JSON) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    events, faults = parse(format, body, NOW)
    return events, [(fault.index, fault.reason) for fault in faults]


def events(value: Any, format: Format = Format.JSON) -> list[dict[str, Any]]:
    found, faults = read(value, format)
    assert faults == []
    return found


def stream(*entries: Any, **labels: str) -> dict[str, Any]:
    return {"stream": labels, "values": list(entries)}


def test_loki_streams_are_one_event_an_entry() -> None:
    body = {
        "streams": [stream(["17", "a"], ["18", "b", {"trace": "t"}], app="x", msg="label"), stream(), stream(["1", ""])]
    }
    assert events(body) == [
        {"ts": 17, "msg": "a", "app": "x", "msg_raw": "label"},
        {"ts": 18, "msg": "b", "app": "x", "msg_raw": "label", "trace": "t"},
        {"ts": 1, "msg": ""},
    ]


def test_an_entry_that_is_none_is_a_fault_of_its_own() -> None:
    body = {"streams": [stream(["1"], ["2", 3], 4, ["5", "ok"], ["6", "x", 7], ["soon", "y"])]}
    assert read(body) == (
        [{"ts": 5, "msg": "ok"}, {"ts": "soon", "msg": "y"}],
        [(0, "bad_entry"), (1, "bad_entry"), (2, "bad_entry"), (4, "bad_entry")],
    )


def test_hec_text_becomes_the_message_and_the_wrapper_is_kept() -> None:
    hec = {"event": "x", "time": 1.5, "host": "h", "source": "s", "sourcetype": "t", "index": "i", "fields": {"a": "b"}}
    kept = {"ts": 1.5, "host": "h", "source_raw": "s", "sourcetype": "t", "index": "i", "a": "b"}
    assert events(hec) == [{"msg": "x", **kept}]
    assert events({**hec, "event": {"message": "m", "n": 1}}) == [{"message": "m", "n": 1, **kept}]


def test_hec_members_never_overwrite_the_event_s() -> None:
    assert events(
        {"event": {"host": "own", "ts": "T", "a": 1}, "host": "h", "time": 2, "fields": {"a": 2, "host": "f"}}
    ) == [{"host": "own", "ts": "T", "a": 1, "host_raw": "h", "time": 2, "a_raw": 2}]


@each_of("between", [b"", b"\n", b"\r\n  "])
@each_of("format", [Format.JSON, Format.NDJSON])
def test_hec_batches_are_objects_one_after_another(between: bytes, format: Format) -> None:
    if format is Format.NDJSON and b"\n" not in between:
        between = b"\n"
    body = between.join([b'{"event":"a"}', b'{"event":{"b":1},"time":"2"}', b'{"own":3}'])
    assert events(body, format) == [{"msg": "a"}, {"b": 1, "ts": "2"}, {"own": 3}]


@each_of("value", [7, None, ["a"], True])
def test_hec_values_that_are_no_text_are_messages(value: Any) -> None:
    assert events({"event": value, "host": "h"}) == [{"msg": value, "host": "h"}]


def test_cloudwatch_is_one_event_an_element() -> None:
    body = {
        "messageType": "DATA_MESSAGE", "owner": "o", "logGroup": "g", "logStream": "s", "subscriptionFilters": ["f"],
        "logEvents": [{"id": "1", "timestamp": 1440442987000, "message": "m"}, 7],
    }  # fmt: skip
    assert read(body) == (
        [{"id": "1", "timestamp": 1440442987000, "message": "m", "owner": "o", "logGroup": "g", "logStream": "s"}],
        [(1, "not_an_object")],
    )
    control = {**body, "messageType": "CONTROL_MESSAGE"}
    assert events(control) == [control]


@pytest.mark.parametrize("key", ["events", "logs", "records"])
def test_a_list_under_one_key_is_its_objects(key: str) -> None:
    assert events({key: [{"a": 1}, {"b": 2}]}) == [{"a": 1}, {"b": 2}]
    assert events([{key: [{"a": 1}]}, {key: [{"b": 2}]}]) == [{"a": 1}, {"b": 2}]
    assert events({key: []}) == []


BULK = b'{"index":{"_index":"logs"}}\n{"a":1}\n{"create":{}}\n\n{"b":2}\n'


@pytest.mark.parametrize("format", [Format.JSON, Format.NDJSON])
def test_bulk_pairs_are_their_documents(format: Format) -> None:
    assert events(BULK, format) == [{"a": 1}, {"b": 2}]


def test_other_bulk_actions_are_refused_one_by_one() -> None:
    body = (
        BULK
        + b'{"update":{"_id":"1"}}\n{"doc":{"c":3}}\n{"delete":{"_id":"2"}}\n'
        + b'{"index":{}}\n{bad\n{"d":4}\n{"create":{}}\n'
    )
    assert read(body, Format.NDJSON) == (
        [{"a": 1}, {"b": 2}, {"d": 4}],
        [(2, "unsupported_bulk_action"), (3, "unsupported_bulk_action"), (4, "bad_json"), (6, "missing_document")],
    )
    assert read(b'{"delete":{"_id":"2"}}\n', Format.NDJSON) == ([], [(0, "unsupported_bulk_action")])


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ([{"common": {"attributes": {}}, "logs": [{"message": "m"}]}], "New Relic"),
        ({"common": {}, "logs": []}, "New Relic"),
        ({"requestId": "r", "timestamp": 1, "records": [{"data": "aGk="}]}, "Firehose"),
    ],
)
def test_an_envelope_that_is_not_unwrapped_is_refused_by_its_name(body: Any, name: str) -> None:
    with pytest.raises(MalformedBody, match=name) as caught:
        events(body)
    assert caught.value.reason == "unsupported_envelope"


@each_of(
    "event",
    [
        {"ts": "2023-03-01T12:34:56Z", "msg": "done", "logs": [{"a": 1}]},
        {"event": "login", "level": "info"},
        {"event": {"a": 1}, "user": "x"},
        {"index": {"name": "x"}},
        {"index": {"_index": "logs"}, "msg": "m"},
        {"delete": {}},
        {"update": {}},
        {"streams": [{"stream": {}}]},
        {"streams": [], "more": 1},
        {"streams": 7},
        {"events": [1]},
        {"records": "text"},
        {"logs": {"a": 1}},
        {"messageType": "DATA_MESSAGE"},
        {"logEvents": [{"a": 1}]},
        {"common": 1},
        {"requestId": "r", "records": [{"data": ""}]},
    ],
    ids=json.dumps,
)
@each_of("wrap", ["alone", "array", "lines"])
def test_what_is_no_envelope_to_the_letter_is_an_event(event: dict[str, Any], wrap: str) -> None:
    written = json.dumps(event).encode()
    body, format = {
        "alone": (written, Format.JSON),
        "array": (b"[" + written + b',{"a":1}]', Format.JSON),
        "lines": (written + b'\n{"a":1}\n', Format.NDJSON),
    }[wrap]
    assert events(body, format)[0] == event


def test_only_the_first_event_decides() -> None:
    assert events([{"a": 1}, {"events": [{"b": 2}]}]) == [{"a": 1}, {"events": [{"b": 2}]}]


def large(value: Any) -> bytes:
    return json.dumps(value).encode()


MANY = [{"n": number, "text": "x" * 50} for number in range(10_000)]


@pytest.mark.parametrize(
    ("body", "first"),
    [
        ({"events": MANY}, {"n": 0, "text": "x" * 50}),
        ({"messageType": "DATA_MESSAGE", "owner": "o", "logEvents": MANY}, {"n": 0, "text": "x" * 50, "owner": "o"}),
        ({"streams": [stream([str(n), "x" * 50], a="b") for n in range(10_000)]}, {"ts": 0, "msg": "x" * 50, "a": "b"}),
    ],
)
def test_a_large_envelope_is_unwrapped_piece_by_piece(body: Any, first: dict[str, Any]) -> None:
    steps = list(parse_pieces(Format.JSON, large(body), NOW, Limits()))
    found = [event for step in steps for event in step.events]
    assert len(found) == 10_000
    assert found[0] == first
    assert len(steps) > 3


def test_a_large_envelope_keeps_what_is_no_object_and_sets_aside_what_is_too_large() -> None:
    parsed = parse(Format.JSON, large({"logs": [*MANY, 7, {"a": "y" * 300_000}, {"z": 1}]}), NOW)
    assert len(parsed.events) == 10_001
    assert [(fault.index, fault.reason) for fault in parsed.faults] == [
        (10_000, "not_an_object"),
        (10_001, "event_too_large"),
    ]


def test_a_large_event_that_only_begins_like_an_envelope_is_an_event_too_large() -> None:
    for body in ({"logs": MANY, "more": [1]}, {"logs": MANY, "more": 1}):
        parsed = parse(Format.JSON, large(body), NOW)
        assert [fault.reason for fault in parsed.faults] == ["event_too_large"]
        assert parsed.events == []


def test_a_large_envelope_of_too_many_events_is_refused() -> None:
    with pytest.raises(MalformedBody) as caught:
        parse(Format.JSON, large({"logs": MANY}), NOW, Limits(max_items=9_999))
    assert caught.value.reason == "too_many_items"


@pytest.mark.parametrize("format", [Format.JSON, Format.NDJSON])
def test_bulk_pairs_hold_across_pieces(format: Format) -> None:
    body = b"".join(b'{"index":{}}\n' + json.dumps(one).encode() + b"\n" for one in MANY)
    assert parse(format, body + b'{"create":{}}\n', NOW).events == MANY
    assert [fault.reason for fault in parse(format, body + b'{"create":{}}\n', NOW).faults] == ["missing_document"]
