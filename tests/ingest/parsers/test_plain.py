from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given

from logops_fast.formats.item_count import exact
from logops_fast.formats.media_type import Format
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import logops_line, plain
from logops_fast.ingest.parsers.base import NOT_FOUND, Inherited, MalformedBody, TextOptions
from tests.formats.bodies import any_body
from tests.ingest.parsers.support import outcome
from tests.support.tables import each_of

NOW = 1741003200.0  # 2025-03-03T12:00:00Z


def events_of(body: bytes) -> list[dict[str, Any]]:
    events, faults = plain.parse(body, NOW)
    assert faults == []
    return events


def test_forms_may_be_mixed() -> None:
    body = (
        b"<13>1 2025-03-03T12:00:00Z h a 1 - - five\r\n\n"
        b"<13>Mar  3 12:00:00 h a[1]: three\n"
        b"2025-03-03 12:00:00 WARN h a[1]: ours\n   \n"
        b"<13>bare\n"
        b"\tat free text"
    )
    assert [event["msg"] for event in events_of(body)] == ["five", "three", "ours", "bare", "\tat free text"]


@each_of(
    ("line", "event"),
    [
        (
            "2025-03-03 12:00:00 INFO h a[1]: m",
            {"ts": "2025-03-03 12:00:00", "level": "INFO", "host": "h", "app": "a", "pid": "1", "msg": "m"},
        ),
        (
            "2025-03-03T12:00:00,25+01:00  odd  h a/b[x-1]:m: n",
            {
                "ts": "2025-03-03T12:00:00.25+01:00",
                "level": "odd",
                "host": "h",
                "app": "a/b",
                "pid": "x-1",
                "msg": "m: n",
            },
        ),
        (
            "2025-03-03 12:00:00 INFO h a[]:",
            {"ts": "2025-03-03 12:00:00", "level": "INFO", "host": "h", "app": "a", "msg": ""},
        ),
        ("2025-03-03 12:00:00 INFO worker done: m", None),
        ("2025-03-03 INFO h a[1]: m", None),
        ("12:00:00 INFO h a[1]: m", None),
    ],
)
def test_the_logops_form_is_read(line: str, event: dict[str, str] | None) -> None:
    assert logops_line.parse_line(line) == event


def test_a_level_word_becomes_the_level_of_free_text_only() -> None:
    first, second, third = events_of(b"ERROR x\n<14>ERROR x\nMar  3 12:00:00 h a: ERROR x")
    assert (first["level"], second["level"], third["level"]) == ("ERROR", "INFO", "ERROR")


TRACE = b"""2025-03-03 12:00:00,5 ERROR boom
\tat a.B.c(B.java:1)
Caused by: java.io.IOException: y
\t... 12 more
2025-03-03 12:00:01,5 INFO next
"""


def test_a_continuation_line_inherits_time_and_level() -> None:
    events = events_of(TRACE)
    assert len(events) == 5
    assert [event["ts"] for event in events[1:4]] == [Inherited("2025-03-03T12:00:00.5Z")] * 3
    assert [event["level"] for event in events[1:4]] == [Inherited("ERROR")] * 3


def test_what_is_inherited_counts_as_missing() -> None:
    result = Normaliser().run(events_of(TRACE), emitter="e", scenario_id="na", received_at=NOW)
    assert (result.missing_ts, result.missing_level, result.levels) == (3, 3, {"INFO": 1, "ERROR": 4})
    assert result.lines.count(b'"2025-03-03T12:00:00.5Z"') == 4


def test_continuation_lines_can_be_joined() -> None:
    first, second = plain.parse(TRACE, NOW, options=TextOptions(multiline=True)).events
    assert first["msg"] == TRACE.decode().partition("\n2025-03-03 12:00:01")[0]
    assert (first["ts"], first["level"]) == ("2025-03-03T12:00:00.5Z", "ERROR")
    assert second["msg"] == "2025-03-03 12:00:01,5 INFO next"


def test_an_indented_line_with_a_time_of_its_own_is_an_event() -> None:
    body = b"2025-03-03 12:00:00 INFO a\n  2025-03-03 12:00:01 WARN b\n    at c\n"
    assert [event["ts"] for event in plain.parse(body, NOW, options=TextOptions(multiline=True)).events] == [
        "2025-03-03T12:00:00Z",
        "2025-03-03T12:00:01Z",
    ]


def test_lines_that_follow_json_are_joined_to_its_message() -> None:
    body = b'{"time":"2025-03-03T12:00:00Z","message":"a"}\n  b\n{"n":1}\n  c\n'
    first, second, third = plain.parse(body, NOW, options=TextOptions(multiline=True)).events
    assert first["message"] == "a\n  b"
    assert second == {"n": 1}
    assert third["msg"] == "  c"


def test_the_parts_of_a_cri_line_can_be_joined_by_stream() -> None:
    body = (
        b"2025-03-03T12:00:00Z stdout P one \n2025-03-03T12:00:00Z stderr F other\n"
        b"2025-03-03T12:00:01Z stdout P two \n2025-03-03T12:00:02Z stdout F three\n"
        b"2025-03-03T12:00:03Z stdout P open\n"
    )
    joined = plain.parse(body, NOW, options=TextOptions(multiline=True)).events
    assert [(event["stream"], event["logtag"], event["msg"]) for event in joined] == [
        ("stdout", "F", "one two three"),
        ("stderr", "F", "other"),
        ("stdout", "P", "open"),
    ]
    assert joined[0]["ts"] == "2025-03-03T12:00:00Z"
    assert [event["msg"] for event in events_of(body)] == ["one ", "other", "two ", "three", "open"]


def test_lines_may_be_read_in_parts() -> None:
    reader = plain.Reader(NOW, options=TextOptions(multiline=True))
    lines = TRACE.decode().split("\n")
    events = [event for line in lines for event in reader.read([line])]
    reader.finish()
    assert events == plain.parse(TRACE, NOW, options=TextOptions(multiline=True)).events


def test_times_without_a_zone_are_of_the_given_one() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    lines = b"2025-03-03 12:00:00 INFO a\n<13>Mar  3 12:00:00 h a: b\n2025-03-03T12:00:00Z c\n"
    assert [event["ts"] for event in plain.parse(lines, NOW, TextOptions(berlin)).events] == [
        "2025-03-03T11:00:00Z",
        "2025-03-03T11:00:00Z",
        "2025-03-03T12:00:00Z",
    ]


@each_of("line", ["\x1b[31m", "\x1b[31m \t", "[", "<", "=", "-", "{", "1", "I", "%", "\x1b"])
def test_a_line_of_next_to_nothing_is_its_message(line: str) -> None:
    (event,) = events_of(line.encode())
    assert event == {"msg": line, "level": NOT_FOUND}


def test_bad_utf8_and_control_characters_are_kept_as_they_can_be() -> None:
    body = b"\xff caf\xe9 \x00\x1b \xc2\x85\xe2\x80\xa8 x\n\x1c\n"
    assert [event["msg"] for event in events_of(body)] == ["\ufffd caf\ufffd \x00\x1b \x85\u2028 x", "\x1c"]


@pytest.mark.parametrize("body", [b"", b"\r\n \n", b"\xef\xbb\xbf"])
def test_a_body_of_nothing_is_empty(body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        plain.parse(body, NOW)
    assert caught.value.reason == "empty"


@given(any_body)
def test_any_bytes_give_one_event_a_line_that_can_be_written(body: bytes) -> None:
    parsed = outcome(lambda: plain.parse(body, NOW))
    if isinstance(parsed, MalformedBody):
        assert parsed.reason == "empty"
    else:
        assert len(parsed.events) == exact(Format.PLAIN, body)
        assert orjson.dumps(parsed.events, default=list)  # an inherited value becomes a list of one


HOSTILE: dict[str, Callable[[int], str]] = {
    "open structured data": lambda n: "<13>1 - - - - - [a" + ' k="v"' * (n // 6),
    "open value": lambda n: '<13>1 - - - - - [a k="' + "\\" * n,
    "open elements": lambda n: "<13>1 - - - - - " + "[a]" * (n // 3) + "[",
    "escaped quotes": lambda n: '<13>1 - - - - - [a k="' + '\\"' * (n // 2),
    "spaces": lambda n: "<13>1 - - - - - [a" + " " * n + "x",
    "many parameters": lambda n: "<13>1 - - - - - [a" + ' k="v"' * (n // 6) + "] m",
    "one word": lambda n: "<13>1 " + "a" * n,
    "bsd tag": lambda n: "<13>Mar  3 12:00:00 h " + "a" * n,
    "bsd brackets": lambda n: "<13>Mar  3 12:00:00 h a[" + "1" * n,
    "bsd many tags": lambda n: "<13>Mar  3 12:00:00 h " + "a[1]" * (n // 4),
    "bsd fraction": lambda n: "<13>Mar  3 12:00:00." + "1" * n,
    "logops fraction": lambda n: "2025-03-03 12:00:00." + "1" * n,
    "logops level": lambda n: "2025-03-03 12:00:00 " + "A" * n,
    "logops spaces": lambda n: "2025-03-03 12:00:00 A" + " " * n,
    "logops host": lambda n: "2025-03-03 12:00:00 A " + "h" * n,
    "logops pid": lambda n: "2025-03-03 12:00:00 A h a[" + "1" * n,
    "logops app": lambda n: "2025-03-03 12:00:00 A h " + "a[" * (n // 2),
    "bsd blanks": lambda n: "<13>Mar  3 12:00:00" + " " * n,
    "bsd commas": lambda n: "<13>Mar  3 12:00:00 " + "," * n + ":x:",
    "bsd colons": lambda n: "<13>Mar  3 12:00:00 " + ":" * n,
    "rsyslog host": lambda n: "2025-03-03T12:00:00Z " + "h" * n,
    "rsyslog tags": lambda n: "2025-03-03T12:00:00Z h-1 " + "a[1]" * (n // 4),
    "cri tags": lambda n: "2025-03-03T12:00:00Z stdout F" + ":x" * (n // 2),
    "cisco numbers": lambda n: "<13>" + "1: " * (n // 3) + "%A-1-B: x",
    "cisco facility": lambda n: "<13>%" + "A-" * (n // 2),
    "cisco percents": lambda n: "%" * n,
    "octet count": lambda n: "9" * n + " <13>x",
    "iso fraction": lambda n: "2025-03-03 12:00:00." + "1" * n,
    "iso blanks": lambda n: "2025-03-03" + " " * n,
    "brackets": lambda n: "[" * n,
    "access log words": lambda n: "1.1.1.1 " + "- " * (n // 2) + "[03/Mar/2025:12:00:00 +0000]",
    "access log brackets": lambda n: "1.1.1.1 " + "[03/" * (n // 4),
    "logfmt keys": lambda n: "a=1" + ' ts="x' * (n // 7),
    "logfmt quotes": lambda n: 'a="' + '\\"' * (n // 3) + " ts=2025-03-03T12:00:00Z",
    "logfmt key": lambda n: "a" * n + "=",
    "weekday": lambda n: "Mon Mar  3 12:00:00." + "1" * n,
    "digits": lambda n: "1" * n,
    "signs": lambda n: "- " * (n // 2),
    "numbers": lambda n: "1 " * (n // 2),
    "a coloured line": lambda n: "\x1b[31m" * (n // 5),
    "bracketed words": lambda n: "[error" * (n // 6),
    "bars": lambda n: "| error " * (n // 8),
    "colons": lambda n: "error: " * (n // 7),
    "colon words": lambda n: "xerror:" * (n // 7),
    "logcat tag": lambda n: "E/" + "a" * n,
    "json": lambda n: '{"a":' * (n // 5),
    "level words": lambda n: "xERROR" * (n // 6),
    "level names": lambda n: "level=" * (n // 6),
    "colours": lambda n: "\x1b[" + "0;" * (n // 2),
}


@pytest.mark.timeout(120)  # what is quadratic takes minutes at this size; what is linear, hundredths of a second
@each_of("shape", HOSTILE)
def test_a_hostile_mebibyte_is_linear(shape: str) -> None:
    (event,) = events_of(HOSTILE[shape](1 << 20).encode())
    assert len(orjson.dumps(event, default=list)) > 1000
