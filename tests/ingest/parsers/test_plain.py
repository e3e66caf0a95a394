from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given

from logops_fast.formats.item_count import exact
from logops_fast.formats.media_type import Format
from logops_fast.ingest.parsers import logops_line, plain
from logops_fast.ingest.parsers.base import MalformedBody
from tests.formats.bodies import any_body
from tests.ingest.parsers.support import outcome

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


@pytest.mark.parametrize(
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


def test_bad_utf8_and_control_characters_are_kept_as_they_can_be() -> None:
    body = b"\xff caf\xe9 \x00\x1b \xc2\x85\xe2\x80\xa8 x\n\x1c\n"
    assert events_of(body) == [{"msg": "\ufffd caf\ufffd \x00\x1b \x85\u2028 x"}, {"msg": "\x1c"}]


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


@pytest.mark.timeout(20)  # what is quadratic takes minutes at this size; what is linear, hundredths of a second
@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_mebibyte_is_linear(shape: str) -> None:
    (event,) = events_of(HOSTILE[shape](1 << 20).encode())
    assert len(orjson.dumps(event)) > 1000
