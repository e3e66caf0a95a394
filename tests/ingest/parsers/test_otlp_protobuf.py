"""OTLP in protobuf, beside protobuf's own library and opentelemetry-proto's classes."""

from __future__ import annotations

import struct
from typing import Any

import orjson
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.formats.protobuf_wire import bytes_field, int_field
from logops_fast.ingest.parsers import otlp_json, otlp_protobuf
from logops_fast.ingest.parsers.base import Limits, MalformedBody, Parsed
from logops_fast.ingest.parsers.registry import parse_pieces
from tests.data.regen import DATA, golden_path
from tests.ingest.parsers.support import outcome
from tests.support.tables import each_of

CORPUS = (DATA / "events_otlp.pb").read_bytes()
LIMITS = Limits()


def export(*records: bytes, resource: bytes = b"", scope: bytes = b"") -> bytes:
    """A request with records of one resource and scope, each already encoded."""
    scope_logs = (bytes_field(1, scope) if scope else b"") + b"".join(bytes_field(2, one) for one in records)
    return bytes_field(1, (bytes_field(1, resource) if resource else b"") + bytes_field(2, scope_logs))


def attribute(name: str, value: bytes) -> bytes:
    return bytes_field(1, name.encode()) + bytes_field(2, value)


def refusal(body: bytes, limits: Limits = LIMITS) -> MalformedBody:
    refused = outcome(lambda: otlp_protobuf.parse(body, limits))
    assert isinstance(refused, MalformedBody)
    return refused


def test_both_forms_of_the_reviewed_records_are_read_the_same() -> None:
    assert golden_path("events_otlp.pb").read_bytes() == golden_path("events_otlp.json").read_bytes()


def test_an_empty_body_is_an_empty_export() -> None:
    assert otlp_protobuf.parse(b"", LIMITS) == ([], [])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8) | st.binary(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def filled(target: Any, value: Any) -> None:
    """Set an AnyValue of opentelemetry-proto."""
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for one in value:
            filled(target.array_value.values.add(), one)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, one in value.items():
            pair = target.kvlist_value.values.add(key=key)
            pair.value.SetInParent()
            filled(pair.value, one)


def as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [as_json(one) for one in value]
    return {key: as_json(one) for key, one in value.items()} if isinstance(value, dict) else value


@given(st.dictionaries(st.text(max_size=6), values, max_size=4), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_what_opentelemetrys_classes_write_is_read(attributes: dict[str, Any], time: int, trace_id: bytes) -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time, trace_id=trace_id)
    for key, value in attributes.items():
        pair = record.attributes.add(key=key)
        pair.value.SetInParent()
        filled(pair.value, value)
    (event,), faults = otlp_protobuf.parse(request.SerializeToString(), LIMITS)
    assert not faults
    assert event.get("attributes", {}) == as_json(attributes)
    assert event.get("trace_id", "") == (trace_id.hex() if any(trace_id) else "")
    assert orjson.dumps(event)
    if time:
        assert event["ts"][-10:] == f"{time % 10**9:09d}Z"


@given(st.binary(max_size=80) | st.tuples(st.integers(0, len(CORPUS)), st.binary(max_size=6)).map(
    lambda cut: CORPUS[: cut[0]] + cut[1] + CORPUS[cut[0] + len(cut[1]) :]
))  # fmt: skip
def test_what_is_read_of_any_bytes_opentelemetrys_classes_read_too(body: bytes) -> None:
    parsed = outcome(lambda: otlp_protobuf.parse(body, LIMITS))
    if isinstance(parsed, MalformedBody):
        assert parsed.reason == "malformed"
        return
    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        return  # text that is not UTF-8, which is read with its bad bytes replaced
    records = [one for resource in request.resource_logs for scope in resource.scope_logs for one in scope.log_records]
    assert len(records) == len(parsed.events) + len(parsed.faults)
    for record, event in zip(records, parsed.events, strict=True):
        assert event.get("event_name", "") == record.event_name
        assert len(event.get("attributes", {})) == len({pair.key for pair in record.attributes})


def deep(levels: int, field: int) -> bytes:
    value = bytes_field(1, b"x")
    for _ in range(levels):
        inner = value if field == 5 else attribute("k", value)
        value = bytes_field(field, bytes_field(1, inner))
    return value


HOSTILE = {
    "cut": CORPUS[:-1],
    "a length beyond the end": b"\x0a\xff\xff\xff\xff\x0f",
    "a length of 2^64": b"\x0a" + b"\xff" * 9 + b"\x01",
    "a varint of eleven bytes": b"\x0a" + b"\x80" * 10 + b"\x01",
    "a group": b"\x0b\x0c",
    "a group in a record": export(b"\x6b\x6c"),
    "field number 0": b"\x02\x00",
    "a time that is a varint": export(b"\x08\x01"),
    "a time that is cut off": export(b"\x09\x01\x02"),
    "a body that is a number": export(b"\x28\x01"),
    "attributes that are fixed": export(b"\x31" + b"\0" * 8),
    "flags that are cut off": export(b"\x45\0\0"),
    "a double that is cut off": export(bytes_field(5, b"\x21\0")),
    "a record that is a number": bytes_field(1, bytes_field(2, b"\x10\x01")),
    "arrays, deeply nested": export(bytes_field(5, deep(1000, 5))),
    "lists, deeply nested": export(bytes_field(5, deep(1000, 6))),
    "a resource that is cut off": export(b"", resource=b"\x0a\x05"),
    "a scope that is cut off": export(b"", scope=b"\x0a\x05"),
    "text": b"hello, this is no protobuf",
    "JSON": b'{"resourceLogs":[]}',
}


@each_of("name", HOSTILE)
def test_a_hostile_body_is_malformed(name: str) -> None:
    refused = refusal(HOSTILE[name])
    assert refused.reason == "malformed"
    assert refused.detail.endswith(".")


def test_unknown_fields_are_skipped_wherever_they_stand() -> None:
    unknown = int_field(100, 7) + bytes_field(101, b"new") + b"\xb1\x06" + b"\0" * 8 + b"\xb5\x06" + b"\0" * 4
    record = (
        unknown + bytes_field(5, bytes_field(1, b"hello") + unknown) + bytes_field(6, attribute("a", b"") + unknown)
    )
    body = unknown + export(record, resource=unknown, scope=unknown) + unknown
    assert otlp_protobuf.parse(body, LIMITS) == ([{"msg": "hello", "attributes": {"a": None}}], [])


def test_a_resource_that_comes_last_counts_for_all_records() -> None:
    resource = bytes_field(1, attribute("service.name", bytes_field(1, b"late")))
    logs = bytes_field(2, bytes_field(2, b"") + bytes_field(1, bytes_field(1, b"scope")))
    (event,), _ = otlp_protobuf.parse(bytes_field(1, logs + bytes_field(1, resource)), LIMITS)
    assert (event["app"], event["scope"]) == ("late", {"name": "scope"})


def test_text_that_is_not_utf_8_is_kept_with_its_bad_bytes_replaced() -> None:
    (event,), _ = otlp_protobuf.parse(export(bytes_field(5, bytes_field(1, b"a\xffb"))), LIMITS)
    assert event["msg"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("bits", "written"), [(b"\0\0\0\0\0\0\xf8\x7f", "NaN"), (struct.pack("<d", -1e400), "-Infinity")]
)
def test_a_double_that_is_not_finite_is_text(bits: bytes, written: str) -> None:
    (event,), _ = otlp_protobuf.parse(export(bytes_field(6, attribute("d", b"\x21" + bits))), LIMITS)
    assert event["attributes"] == {"d": written}


def test_a_record_over_the_limit_is_set_aside_and_its_neighbours_are_read() -> None:
    large = bytes_field(5, bytes_field(1, b"x" * 5000))
    small = bytes_field(5, bytes_field(1, b"y"))
    events, faults = otlp_protobuf.parse(export(small, large, small), Limits(max_event_bytes=1000))
    assert [event["msg"] for event in events] == ["y", "y"]
    assert [(fault.index, fault.reason) for fault in faults] == [(1, "event_too_large")]
    assert "xxx" in faults[0].text


def test_what_records_share_counts_for_each_of_them() -> None:
    resource = bytes_field(1, attribute("a", bytes_field(1, b"r" * 900)))
    body = export(*[bytes_field(5, bytes_field(1, b"m"))] * 100, resource=resource)
    assert refusal(body, Limits(max_stored_bytes=50_000)).reason == "too_large"
    events, faults = otlp_protobuf.parse(body, Limits(max_event_bytes=800))
    assert not events
    assert {fault.reason for fault in faults} == {"event_too_large"}


@pytest.mark.parametrize("shared", [0, PIECE_BYTES // 8])
def test_no_piece_holds_more_than_a_step_can_take(shared: int) -> None:
    resource = bytes_field(1, attribute("a", bytes_field(1, b"r" * shared)))
    body = export(*[bytes_field(5, bytes_field(1, b"m" * 100))] * 500, resource=resource if shared else b"")
    for form, pieces in (
        ("protobuf", parse_pieces(Format.OTLP, body * 10 if not shared else body, 0.0)),
        ("json", parse_pieces(Format.OTLP_JSON, as_text(body), 0.0)),
    ):
        sizes = [(len(piece.events), sum(len(orjson.dumps(one)) for one in piece.events)) for piece in pieces]
        assert max(number for number, _ in sizes) <= PIECE_ITEMS, form
        assert max(size for _, size in sizes) <= 2 * PIECE_BYTES, form
        assert sum(number for number, _ in sizes) % 500 == 0


def as_text(body: bytes) -> bytes:
    from google.protobuf import json_format

    request = ExportLogsServiceRequest()
    request.ParseFromString(body)
    return str(json_format.MessageToJson(request)).encode()


@pytest.mark.parametrize("unit", [b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x04\x12\x02\x12\x00", b"\x10\x01"])
def test_tiny_fields_are_read_in_steps_and_bounded(unit: bytes) -> None:
    limits = Limits(max_items=5000)
    pieces: list[Parsed] = []

    def read() -> Parsed:
        for piece in parse_pieces(Format.OTLP, unit * 100_000, 0.0, limits):
            pieces.append(piece)
        return pieces[-1]

    refused = outcome(read)
    assert isinstance(refused, MalformedBody) == (unit != b"\x10\x01")
    if isinstance(refused, MalformedBody):
        assert refused.reason == "too_many_items"
    assert len(pieces) <= 10


def test_an_any_value_of_an_unknown_kind_is_null() -> None:
    assert AnyValue.DESCRIPTOR.fields_by_number.get(99) is None
    (event,), _ = otlp_protobuf.parse(export(bytes_field(6, attribute("a", int_field(99, 1)))), LIMITS)
    assert event["attributes"] == {"a": None}


def test_json_and_protobuf_agree_on_the_corpus_whatever_the_size_of_the_steps() -> None:
    text = (DATA / "events_otlp.json").read_bytes()
    whole = otlp_json.parse(text, LIMITS)
    assert otlp_json.parse(text, Limits(max_event_bytes=len(text) - 1)) == whole
    assert otlp_protobuf.parse(CORPUS, LIMITS) == whole
