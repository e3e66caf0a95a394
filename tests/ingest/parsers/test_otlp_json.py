from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats import otlp_json as text_form
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES
from logops_fast.ingest.parsers import json_array, otlp_json
from logops_fast.ingest.parsers.base import Limits, MalformedBody, Parsed
from logops_fast.ingest.parsers.registry import parse_pieces
from tests.data.regen import DATA, NOW
from tests.ingest.parsers.support import outcome
from tests.support.tables import each_of

CORPUS = (DATA / "events_otlp.json").read_bytes()
LIMITS = Limits()


def read_as_large(body: bytes) -> Parsed:
    """Read a body as if it were a large one, which is cut before it is read."""
    return otlp_json.parse(body, Limits(max_event_bytes=len(body) - 1))


def export(*records: Any, **resource_logs: Any) -> bytes:
    scope_logs = [{"logRecords": list(records)}]
    return orjson.dumps({"resourceLogs": [{"scopeLogs": scope_logs, **resource_logs}]})


def event(record: dict[str, Any]) -> dict[str, Any]:
    (one,), faults = otlp_json.parse(export(record), LIMITS)
    assert not faults
    return one


@pytest.mark.parametrize("body", [b'{"a":1,"resourceLogs":%b}', b'[{"resource_logs":%b}]', b'{"resourceLogs":%b}'])
def test_an_export_within_other_json_is_unwrapped(body: bytes) -> None:
    inner = b'[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello"}}]}]}]'
    assert json_array.parse(body % inner).events == [{"msg": "hello"}]


def test_protobufs_own_names_are_read_as_well() -> None:
    record = {
        "time_unix_nano": 1741003200000000001,
        "observed_time_unix_nano": "1741003200000000002",
        "severity_text": "WARN",
        "trace_id": "5B8EFFF798038103D269B633813FC60C",
        "event_name": "e",
        "dropped_attributes_count": 1,
        "attributes": [{"key": "k", "value": {"array_value": {"values": [{"int_value": 1}, {"bool_value": False}]}}}],
        "body": {"kvlist_value": {"values": [{"key": "b", "value": {"bytes_value": "-_8="}}]}},
    }
    body = orjson.dumps({"resource_logs": [{"scope_logs": [{"log_records": [record]}]}]})
    expected = {
        "ts": "2025-03-03T12:00:00.000000001Z",
        "level": "WARN",
        "msg": '{"b":"+/8="}',
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "event_name": "e",
        "observed_ts": "2025-03-03T12:00:00.000000002Z",
        "attributes": {"k": [1, False]},
        "dropped_attributes_count": 1,
    }
    assert otlp_json.parse(body, LIMITS) == read_as_large(body) == ([expected], [])


@each_of(
    ("value", "read"),
    [
        ({"intValue": "9007199254740993"}, 9007199254740993),
        ({"intValue": -5}, -5),
        ({"intValue": 1e3}, 1000),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "NaN"}, "NaN"),
        ({"doubleValue": "1.5"}, 1.5),
        ({"bytesValue": "AP8"}, "AP8="),
        ({"stringValue": None, "boolValue": True}, True),
        ({"unknownValue": 1}, None),
        ({}, None),
        (None, None),
    ],
)
def test_each_form_of_a_value_is_read(value: Any, read: Any) -> None:
    assert event({"attributes": [{"key": "k", "value": value}]})["attributes"] == {"k": read}


def test_an_id_in_base64_as_protobufs_own_json_has_it_is_read() -> None:
    assert event({"traceId": "W47/95gDgQPSabYzgT/GDA=="})["trace_id"] == "5b8efff798038103d269b633813fc60c"


@each_of(
    "record",
    [
        {"timeUnixNano": "soon"},
        {"timeUnixNano": -1},
        {"timeUnixNano": "18446744073709551616"},
        {"severityText": 9},
        {"severityNumber": "LOUD"},
        {"body": "text"},
        {"body": {"stringValue": 1}},
        {"body": {"boolValue": "true"}},
        {"body": {"intValue": "1.5"}},
        {"body": {"intValue": "9223372036854775808"}},
        {"body": {"doubleValue": "much"}},
        {"body": {"bytesValue": "***"}},
        {"body": {"arrayValue": []}},
        {"body": {"arrayValue": {"values": 1}}},
        {"attributes": {"a": 1}},
        {"attributes": [1]},
        {"attributes": [{"key": 1}]},
        {"traceId": "not hex"},
    ],
    ids=str,
)
def test_a_record_with_a_member_of_another_type_is_a_fault_of_its_own(record: dict[str, Any]) -> None:
    body = export({"body": {"stringValue": "before"}}, record, {"body": {"stringValue": "after"}})
    for events, faults in (otlp_json.parse(body, LIMITS), read_as_large(body)):
        assert [one["msg"] for one in events] == ["before", "after"]
        assert [(fault.index, fault.reason) for fault in faults] == [(1, "bad_record")]
        assert json.loads(faults[0].text) == record


def test_a_record_that_is_no_object_and_one_too_deep_are_faults() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(70):
        value = {"arrayValue": {"values": [value]}}
    _, faults = otlp_json.parse(export(7, {"body": value}), LIMITS)
    assert [fault.reason for fault in faults] == ["not_an_object", "bad_record"]


@each_of(
    "body",
    [
        b'{"resourceLogs":[',
        b'{"resourceLogs":[]}x',
        b'{"resourceLogs":[1]}',
        b'{"resourceLogs":[{"scopeLogs":{}}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":{}}]}]}',
        b'{"resourceLogs":[{"resource":[],"scopeLogs":[{"logRecords":[{}]}]}]}',
        b'{"resourceLogs":[{"resource":{"attributes":[7]},"scopeLogs":[{"logRecords":[{}]}]}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"scope":7,"logRecords":[{}]}]}]}',
        b'{"resourceLogs":[],"a":nope}',
        b'{"resourceLogs":[],"a":' + b"[" * 5000,
    ],
)
def test_a_broken_export_is_malformed_as_a_whole(body: bytes) -> None:
    for refused in (outcome(lambda: otlp_json.parse(body, LIMITS)), outcome(lambda: read_as_large(body))):
        assert isinstance(refused, MalformedBody)
        assert refused.reason == "malformed"
        assert refused.detail.endswith(".")


def test_lone_surrogates_are_replaced_as_in_other_json() -> None:
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a\\ud800b"}}]}]}]}'
    assert otlp_json.parse(body, LIMITS) == read_as_large(body)
    assert otlp_json.parse(body, LIMITS).events[0]["msg"] == "a\ufffdb"
    assert text_form.count(body) == 1


def test_a_record_over_the_limit_is_set_aside_unread() -> None:
    records = [{"body": {"stringValue": text}} for text in ("a", "b" * 5000, "c")]
    events, faults = otlp_json.parse(export(*records), Limits(max_event_bytes=1000))
    assert [one["msg"] for one in events] == ["a", "c"]
    assert [(fault.index, fault.reason) for fault in faults] == [(1, "event_too_large")]


def test_what_records_share_is_bounded_in_all() -> None:
    resource = {"attributes": [{"key": "a", "value": {"stringValue": "r" * 20_000}}]}
    body = export(*[{}] * 10_000, resource=resource)
    refused = outcome(lambda: otlp_json.parse(body, LIMITS))
    assert isinstance(refused, MalformedBody)
    assert refused.reason == "too_large"
    nested = outcome(lambda: json_array.parse(b"[" + body + b"]"))
    assert isinstance(nested, MalformedBody)
    assert nested.reason == "too_large"


@pytest.mark.parametrize("sections", [b"{}", b'{"scopeLogs":[]}', b'{"scopeLogs":[{}]}'])
def test_more_sections_than_records_are_allowed_are_refused(sections: bytes) -> None:
    body = b'{"resourceLogs":[' + b",".join([sections] * 30_000) + b"]}"
    refused = outcome(lambda: otlp_json.parse(body, Limits(max_event_bytes=1000, max_items=1000)))
    assert isinstance(refused, MalformedBody)
    assert refused.reason == "too_many_items"


def test_a_large_export_is_read_in_steps_and_as_a_small_one_is() -> None:
    inner = CORPUS[CORPUS.index(b"[") + 1 : CORPUS.rindex(b"]")]
    large = b'{"resourceLogs":[' + b",".join([inner] * 40) + b"]}"
    pieces = list(parse_pieces(Format.OTLP_JSON, large, NOW))
    assert len(pieces) > 20
    assert len(large) > PIECE_BYTES
    assert [one for piece in pieces for one in piece.events] == otlp_json.parse(CORPUS, LIMITS).events * 40


@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(CORPUS)), st.binary(max_size=4)).map(
    lambda cut: CORPUS[: cut[0]] + cut[1] + CORPUS[cut[0] + len(cut[1]) :]
), st.sampled_from([LIMITS, Limits(max_event_bytes=2000)]))  # fmt: skip
def test_nothing_but_a_refusal_is_raised_and_every_record_counts(body: bytes, limits: Limits) -> None:
    parsed = outcome(lambda: otlp_json.parse(body, limits))
    if not isinstance(parsed, MalformedBody):
        assert text_form.count(body) == len(parsed.events) + len(parsed.faults)
        assert orjson.dumps(parsed.events)


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_whole_number_that_no_double_holds_spoils_nothing(sign: str) -> None:
    number = (sign + "1" + "0" * 400).encode()
    body = export({"attributes": [{"key": "a", "value": {"doubleValue": 17}}]}, {"body": {"stringValue": "next"}})
    events, faults = otlp_json.parse(body.replace(b"17", number), LIMITS)
    assert not faults
    assert [event.get("attributes") for event in events] == [{"a": f"{sign}Infinity"}, None]
