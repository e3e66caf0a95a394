from __future__ import annotations

import pytest
from hypothesis import given

from logops_fast.formats.item_count import at_most, counting, exact
from logops_fast.formats.loki_push import STEP_FIELDS, JsonStream, count, json_count, json_streams
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES
from logops_fast.formats.protobuf_wire import bytes_field, int_field
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.parsers.base import Limits, MalformedBody
from logops_fast.ingest.parsers.registry import parse
from tests.formats.bodies import json_pushes, loki_pushes
from tests.support.loki import json_push
from tests.support.tables import each_of

NOW = 1.7e9


def parsed(format: Format, body: bytes) -> int:
    try:
        events, faults = parse(format, body, NOW, Limits(max_items=10**9))
    except MalformedBody:
        return 0
    return len(events) + len(faults)


@given(loki_pushes)
def test_the_count_of_a_protobuf_push_is_what_is_read_of_it(body: bytes) -> None:
    assert count(body) == parsed(Format.LOKI, body)


@pytest.mark.parametrize("field", [b"\x0a\x00", b"\x18\x01", b"\x0a\x02\x18\x01"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_push_of_tiny_fields_is_counted_in_steps(field: bytes, nested: bool) -> None:
    body = field * 200_000
    if nested:
        body = bytes_field(1, body)
    assert len(list(counting(Format.LOKI, body, 100_000))) >= 200_000 // STEP_FIELDS - 1


@given(json_pushes)
def test_the_count_of_any_json_push_is_what_is_read_of_it(body: bytes) -> None:
    assert json_count(body) == parsed(Format.LOKI_JSON, body)


@each_of(
    "body",
    [
        b'{"streams":[{"stream":{"a":"b"},"values":[["1","x"],["2","y"]]}]}',
        b'\xef\xbb\xbf {"other":[1,2],"streams" : [ {"values":[["1","x\\ud800"],7,[]],"stream":{}} , 7, {}]}',
        b'{"streams":[{"stream":7,"values":[["1","x"]]},{"stream":{},"values":[]}]}',
        b'{"streams":[{"stream":{},"values":[["1","\xff"]]}]}',
        b'{"streams":[]}',
        b'{"streams":{}}', b'{"streams":7}', b'{"values":[]}', b"[]", b"7", b'{"streams":[{"stream":', b"",
        b'{"streams":[[]]}', b'{"streams":[{"stream":{},"values":[["1","x"]]}]} {}',
        b'{"streams":[{"stream":{},"values":' + b"[" * 2000 + b"]" * 2000 + b"}]}",
    ],
)  # fmt: skip
def test_the_count_of_a_json_push_is_what_is_read_of_it(body: bytes) -> None:
    assert json_count(body) == parsed(Format.LOKI_JSON, body)
    assert exact(Format.LOKI_JSON, body) == json_count(body)


def test_streams_are_found_whatever_stands_beside_them() -> None:
    body = b'\xef\xbb\xbf {"x":"]}", "streams" : [ {"stream":{"a":"\\ud800"},"values":[["1","[{"]]}, 7, {"values":3} ]}'
    assert list(json_streams(body)) == [
        JsonStream(rb'{"a":"\ufffd"}', b'[["1","[{"]]'),
        JsonStream(b"7", b""),
        JsonStream(b'{"values":3}', b""),
    ]


@pytest.mark.parametrize("streams", [1, 3, 5000])
def test_a_large_json_push_is_counted_in_steps_once_its_bound_is_over_the_cap(streams: int) -> None:
    each = 20_000 // streams
    values = [["1741003200000000000", "a, line, with, commas"]] * each
    body = json_push(*[({"a": "b"}, values)] * streams)
    assert len(body) > PIECE_BYTES
    assert at_most(Format.LOKI_JSON, body, 10**6) == body.count(b",") + 1
    assert at_most(Format.LOKI_JSON, body, each * streams) == each * streams
    refused = at_most(Format.LOKI_JSON, body, each * streams - 1)
    assert isinstance(refused, Refusal)
    assert refused.reason == "too_many_items"
    assert len(list(counting(Format.LOKI_JSON, body, each * streams))) >= len(body) // (PIECE_BYTES * 2)


@pytest.mark.parametrize(
    "field", [b"\x12\x00", int_field(3, 1), b"\x0a\x00"], ids=["entries", "unknown fields", "labels"]
)
def test_a_body_of_tiny_fields_is_given_up_soon_after_the_cap(field: bytes) -> None:
    body = bytes_field(1, field * 5_000_000)
    refused = at_most(Format.LOKI, body, 1000)
    assert isinstance(refused, Refusal)
    assert refused.reason == "too_many_items"


def test_empty_streams_count_too() -> None:
    assert isinstance(at_most(Format.LOKI, b"\x0a\x00" * 5_000_000, 1000), Refusal)
