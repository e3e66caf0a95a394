from __future__ import annotations

import orjson
import pytest
from hypothesis import example, given

from logops_fast.ingest.parsers import ndjson
from logops_fast.ingest.parsers.base import Fault, MalformedBody, Parsed
from logops_fast.ingest.parsers.json_values import read_event
from tests.formats.bodies import any_body, json_lines
from tests.ingest.parsers.support import outcome
from tests.support.tables import each_of


def line_by_line(body: bytes) -> Parsed:
    """The obvious way: each line by itself."""
    parsed = Parsed([], [])
    for index, line in enumerate(line for line in body.split(b"\n") if line.strip()):
        event = read_event(line)
        if isinstance(event, str):
            parsed.faults.append(Fault(index, event, line.decode("utf-8", "replace").removesuffix("\r")))
        else:
            parsed.events.append(event)
    return parsed


def test_a_bad_line_spoils_itself_only() -> None:
    body = b'{"a":1}\n{"b":\r\n\n{"c":"\xff"}\n[{"d":1}]\n{"e":2}\r\n'
    assert ndjson.parse(body) == (
        [{"a": 1}, {"e": 2}],
        [(1, "bad_json", '{"b":'), (2, "bad_utf8", '{"c":"\ufffd"}'), (3, "not_an_object", '[{"d":1}]')],
    )


@each_of(
    "body",
    [
        b'{"a":1}\n{"b":2}',
        b'{"a":1}\n{"b":2}\n',
        b'\xef\xbb\xbf{"a":1}\r\n{"b":2}\r\n',
        b'\n\n {"a":1} \n\t\n{"b":2}\n \n',
    ],
)
def test_line_endings_blank_lines_and_spaces_make_no_difference(body: bytes) -> None:
    assert ndjson.parse(body) == ([{"a": 1}, {"b": 2}], [])


@each_of(
    "body",
    [
        b'{"a":1},{"b":2}\n',
        b'{"a":1}{"b":2}\n',
        b'{"a":[1\n2]}\n{"x":1},{"y":2}',
        b'{"a":[1\n,2]}\n{"x":1}{"y":2}',
        b'{"a":1\n"b":2}\n{"x":1},{"y":2}',
        b"[\n{}\n]",
        b'{"a":"x\ny"}\n{},{}',
    ],
)
def test_lines_do_not_conspire(body: bytes) -> None:
    parsed = ndjson.parse(body)
    assert parsed == line_by_line(body)
    assert parsed.faults


@given(json_lines)
@example([b'{"a":1}'] * 3)
def test_a_batch_gives_the_verdict_of_its_lines_one_by_one(lines: list[bytes]) -> None:
    body = b"\n".join([b'{"first":1}', *lines])
    assert ndjson.parse(body) == line_by_line(body)


@given(any_body)
def test_any_bytes_give_events_that_can_be_written(body: bytes) -> None:
    parsed = outcome(lambda: ndjson.parse(body))
    if isinstance(parsed, MalformedBody):
        assert parsed.reason in {"empty", "otlp_not_supported"}
    else:
        assert orjson.dumps(parsed.events)
        assert orjson.dumps([fault.text for fault in parsed.faults])


def test_one_line_too_deep_does_not_spoil_the_batch() -> None:
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    bottomless = b"[" * 100_000
    events, faults = ndjson.parse(b"\n".join([b'{"a":1}', deep, bottomless, b'{"b":2}']))
    assert events == [{"a": 1}, {"b": 2}]
    assert [fault[:2] for fault in faults] == [(1, "too_deep"), (2, "too_deep")]


@each_of("body", [b"", b"\n\n", b" \r\n", b"\xef\xbb\xbf\n"])
def test_a_body_of_nothing_is_empty(body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        ndjson.parse(body)
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("more", [b"", b"oops\n"])
def test_a_file_of_otlp_exports_is_unwrapped(more: bytes) -> None:
    export = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}},7]}]}]}\n'
    events, faults = ndjson.parse(export * 2 + more)
    assert events == [{"msg": "a"}, {"msg": "a"}]
    assert [fault.reason for fault in faults] == ["not_an_object"] * 2 + ["bad_json"] * bool(more)
