from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats import json_text
from logops_fast.ingest.parsers import base, json_array, ndjson
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.parsers.envelopes import may_be_envelope
from logops_fast.ingest.parsers.json_values import read_event
from tests.formats.bodies import any_body
from tests.support.tables import each_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def events_of(body: bytes) -> list[dict[str, Any]]:
    events, faults = json_array.parse(body)
    assert faults == []
    return events


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"{}" + b"}" * levels


@each_of(
    ("body", "events"),
    [
        (b'{"a":1}', [{"a": 1}]),
        (b' [{"a":1},\n{"b":[2]}] ', [{"a": 1}, {"b": [2]}]),
        (b"\xef\xbb\xbf[{}]", [{}]),
        (b"[]", []),
        (b'{"a":1}{"b":2}', [{"a": 1}, {"b": 2}]),
        (b'{"a":"}{"}\n{"b":2}\r\n\n{\n "c":\n {}\n}', [{"a": "}{"}, {"b": 2}, {"c": {}}]),
    ],
)
def test_an_object_or_an_array_of_objects_is_read(body: bytes, events: list[dict[str, Any]]) -> None:
    assert events_of(body) == events


def test_what_is_no_object_is_a_fault_with_its_place_and_text() -> None:
    events, faults = json_array.parse(b'[{"a":1}, 1.50, {"b":2}, "x@y.zz", [ {"c":3} ], null]')
    assert events == [{"a": 1}, {"b": 2}]
    assert faults == [
        (1, "not_an_object", "1.50"),
        (3, "not_an_object", '"x@y.zz"'),
        (4, "not_an_object", '[ {"c":3} ]'),
        (5, "not_an_object", "null"),
    ]


def test_what_is_not_json_spoils_one_item_of_a_sequence() -> None:
    events, faults = json_array.parse(b'{"a":1}\n{bad}\n{"b":2} [3] {"c":"\xff"}{"cut":')
    assert events == [{"a": 1}, {"b": 2}]
    assert faults == [
        (1, "bad_json", "{bad}"),
        (3, "not_an_object", "[3]"),
        (4, "bad_utf8", '{"c":"\ufffd"}'),
        (5, "bad_json", '{"cut":'),
    ]


def test_a_scalar_alone_is_a_fault() -> None:
    assert json_array.parse(b" true\n") == ([], [(0, "not_an_object", "true")])


@each_of("body", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_body_of_nothing_is_empty(body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        json_array.parse(body)
    assert caught.value.reason == "empty"


@each_of(
    ("body", "where"),
    [
        (b'[{"a":1},{"b":]', "line 1 column 15"),
        (b'[{"a":NaN}]', "line 1 column 7"),
        (b"{'a':1}", "line 1 column 2"),
        (b'[{"a":1}', "line 1"),
        (b"[" * 5_000_000, "too deeply"),
        (b'[{"a":1},' + nested(100_000) + b"]", "too deeply"),
    ],
)
def test_a_broken_body_is_malformed_and_says_where(body: bytes, where: str) -> None:
    with pytest.raises(MalformedBody) as caught:
        json_array.parse(body)
    assert caught.value.reason == "malformed"
    assert where in caught.value.detail
    assert caught.value.detail.endswith(".")


@each_of("wrap", [b"%b", b"[%b]", b'[%b,{"msg":"x"}]', b"[%b,7]"])
@each_of("key", [b"resourceSpans", b"resource_spans", b"resourceMetrics"])
def test_an_otlp_export_of_traces_or_metrics_is_refused_by_name(key: bytes, wrap: bytes) -> None:
    body = wrap % (b'{"%b":[{"scopeLogs":[]}]}' % key)
    with pytest.raises(MalformedBody) as caught:
        json_array.parse(body)
    assert caught.value.reason == "otlp_not_supported"


@pytest.mark.parametrize("body", [b'{"resourceLogs":"text"}', b'{"msg":"resourceLogs","resource":{"resourceLogs":[]}}'])
def test_an_event_that_speaks_of_otlp_is_an_event(body: bytes) -> None:
    assert events_of(body) == [json.loads(body)]


def test_integers_outside_64_bits_keep_their_digits_as_strings() -> None:
    numbers = [2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 10**300]
    (event,) = events_of(json.dumps({"n": numbers, "in": {"n": 2**64}}).encode())
    assert event == {"n": [*numbers[:2], *map(str, numbers[2:])], "in": {"n": str(2**64)}}


def test_numbers_of_any_length_keep_their_digits_as_strings() -> None:
    digits = "9" * 100_000
    (event,) = events_of(f'{{"i":{digits},"f":1e400,"g":-1.5E+999,"ok":1.5,"n":-7}}'.encode())
    assert event == {"i": digits, "f": "1e400", "g": "-1.5E+999", "ok": 1.5, "n": -7}


def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    events = events_of(rb'[{"a":"x\ud800y \udc00\ud83d\ude00","\udfff":"\\ud800"},{"n":1e999,"s":"\uDBFF"}]')
    assert events == [{"a": "x\ufffdy \ufffd😀", "\ufffd": "\\ud800"}, {"n": "1e999", "s": "\ufffd"}]


def test_bad_utf8_spoils_its_own_element_only() -> None:
    events, faults = json_array.parse(b'[{"a":"\xff"},{"b":2},{"n":1e999,"c":"\xc3"}]')
    assert events == [{"b": 2}]
    assert faults == [(0, "bad_utf8", '{"a":"\ufffd"}'), (2, "bad_utf8", '{"n":1e999,"c":"\ufffd"}')]


@pytest.mark.parametrize("wide", [b"1", b"18446744073709551616", b"1e999"])
def test_nesting_deeper_than_can_be_stored_spoils_its_own_element_only(wide: bytes) -> None:
    events, faults = json_array.parse(b'[%b,%b,{"n":%b}]' % (nested(252), nested(253), wide))
    assert len(events) == 2
    assert [fault[:2] for fault in faults] == [(1, "too_deep")]
    assert json_array.parse(nested(900)).faults[0].reason == "too_deep"


def test_a_wide_number_within_too_deep_nesting_is_still_too_deep() -> None:
    body = b'{"a":' * 400 + b"18446744073709551616" + b"}" * 400
    assert json_array.parse(body).faults[0].reason == "too_deep"
    assert json_array.parse(body.replace(b"18446744073709551616", b"1e999")).faults[0].reason == "too_deep"


@each_of("filler", [b"x", b"\xff", "é".encode(), "😀".encode()])
def test_the_text_of_a_fault_is_bounded(filler: bytes) -> None:
    (fault,) = json_array.parse(b'["%b"]' % (filler * 200_000)).faults
    assert base.TEXT_LIMIT - 4 < len(fault.text.encode()) <= base.TEXT_LIMIT


@given(st.lists(st.dictionaries(st.text(max_size=4), json_values, max_size=4), max_size=4))
def test_what_json_holds_is_what_is_read(sent: list[dict[str, Any]]) -> None:
    def settled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: settled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [settled(inner) for inner in value]
        if type(value) is int and not -(2**63) <= value < 2**64:
            return str(value)
        return value

    events = events_of(json.dumps(sent).encode())
    assert events == settled(sent)
    assert orjson.loads(orjson.dumps(events)) == events


@given(any_body)
def test_any_body_gives_the_verdict_of_its_items_one_by_one(body: bytes) -> None:
    try:
        events, faults = json_array.parse(body)
    except MalformedBody as refused:
        if refused.reason == "malformed":
            with pytest.raises(json_text.BrokenJsonError):
                json_text.items(body)
        return
    verdicts = list(map(read_event, json_text.items(body)))
    first = next((verdict for verdict in verdicts if isinstance(verdict, dict)), {})
    if may_be_envelope(first):
        return  # unwrapped: test_envelopes.py
    assert events == [verdict for verdict in verdicts if isinstance(verdict, dict)]
    assert [(f.index, f.reason) for f in faults] == [(i, v) for i, v in enumerate(verdicts) if isinstance(v, str)]
    orjson.dumps(events)
    orjson.dumps(faults and [fault.text for fault in faults])


@given(any_body)
def test_one_object_a_line_reads_as_the_same_objects_in_an_array(body: bytes) -> None:
    try:
        events, faults = ndjson.parse(body)
    except MalformedBody:
        return
    if not faults:
        lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
        assert json_array.parse(b"[" + b",".join(lines) + b"]").events == events
