from __future__ import annotations

from typing import Any

import pytest

from logops_fast.ingest.parsers import rfc3164, rfc5424, syslog
from logops_fast.ingest.parsers.dates import Calendar
from tests.support.tables import each_of

NOW = 1741003200.0  # 2025-03-03T12:00:00Z


def bsd(line: str, now: float = NOW) -> dict[str, Any] | None:
    return rfc3164.parse_line(line, Calendar(now))


@each_of(
    ("pri", "level", "facility"),
    [
        (0, "FATAL", "kern"),
        (33, "FATAL", "auth"),
        (34, "FATAL", "auth"),
        (131, "ERROR", "local0"),
        (132, "WARN", "local0"),
        (133, "INFO", "local0"),
        (134, "INFO", "local0"),
        (191, "DEBUG", "local7"),
    ],
)
def test_a_priority_holds_level_and_facility(pri: int, level: str, facility: str) -> None:
    for event in (
        rfc5424.parse_line(f"<{pri}>1 - - - - - - m"),
        bsd(f"<{pri}>Mar  3 12:00:00 h a: m"),
        syslog.parse_bare(f"<{pri}>m"),
    ):
        assert event is not None
        assert (event["level"], event["facility"], event["msg"]) == (level, facility, "m")


@each_of("pri", ["192", "999", "007", "1234", "", "-1", "x", "٣"])
def test_what_is_no_priority_is_no_syslog(pri: str) -> None:
    assert rfc5424.parse_line(f"<{pri}>1 - - - - - - m") is None
    assert bsd(f"<{pri}>Mar  3 12:00:00 h a: m") is None
    assert syslog.parse_bare(f"<{pri}>m") is None


def test_every_field_of_rfc_5424_is_kept() -> None:
    line = '<165>1 2003-10-11T22:14:15.003Z host app 111 ID47 [a@1 k="v" l="w"][b] \ufeffhello  world '
    assert rfc5424.parse_line(line) == {
        "level": "INFO",
        "facility": "local4",
        "ts": "2003-10-11T22:14:15.003Z",
        "host": "host",
        "app": "app",
        "pid": "111",
        "msgid": "ID47",
        "sd": {"a@1": {"k": "v", "l": "w"}, "b": {}},
        "msg": "hello  world ",
    }


@each_of(
    ("data", "sd", "msg"),
    [
        ("-", None, ""),
        ("- -", None, "-"),
        (r'[a k="\"\\\]\n"] m', {"a": {"k": '"\\]\\n'}}, "m"),
        ('[a k="]"] m', {"a": {"k": "]"}}, "m"),
        ('[a k="x y=\\"z\\""] m', {"a": {"k": 'x y="z"'}}, "m"),
        ('[a k="1" k="2" j="0" k="3"] m', {"a": {"k": ["1", "2", "3"], "j": "0"}}, "m"),
        ('[a k="1"][a k="2" j="3"] m', {"a": {"k": ["1", "2"], "j": "3"}}, "m"),
        ('[a k=""]', {"a": {"k": ""}}, ""),
        ('[a k="open] m', None, '[a k="open] m'),
        ('[a k="v"]x m', None, '[a k="v"]x m'),
        ("[not data] m", None, "[not data] m"),
    ],
)
def test_structured_data_is_nested_or_part_of_the_message(data: str, sd: dict[str, Any] | None, msg: str) -> None:
    event = rfc5424.parse_line(f"<13>1 - - - - - {data}")
    assert event is not None
    assert (event.get("sd"), event["msg"]) == (sd, msg)


@each_of("line", ["<13>1 - - - -", "<13>1", "13>1 - - - - - -", "<13>x - - - - - -", "<13>1  - - - - - -"])
def test_other_lines_are_not_rfc_5424(line: str) -> None:
    assert rfc5424.parse_line(line) is None


@each_of(
    ("rest", "fields"),
    [
        ("h a[1]: m", {"host": "h", "app": "a", "pid": "1", "msg": "m"}),
        ("h a: m: n", {"host": "h", "app": "a", "msg": "m: n"}),
        ("h a/b.c[1]:", {"host": "h", "app": "a/b.c", "pid": "1", "msg": ""}),
        ("h a[]: m", {"host": "h", "app": "a", "msg": "m"}),
        ("h just words", {"host": "h", "msg": "just words"}),
        ("h at http://x/: m", {"host": "h", "msg": "at http://x/: m"}),
        ("h http://x/ m", {"host": "h", "msg": "http://x/ m"}),
        ("h : %ASA-6-302013: m", {"host": "h", "app": "%ASA-6-302013", "level": "INFO", "msg": "m"}),
        ("h ", {"host": "h", "msg": ""}),
    ],
)
def test_tag_and_pid_are_separated_from_the_message(rest: str, fields: dict[str, str]) -> None:
    event = bsd(f"Mar  3 12:00:00 {rest}")
    assert event == {"ts": "2025-03-03T12:00:00Z", **fields}


@each_of(
    ("stamp", "now", "ts"),
    [
        ("Mar  3 12:00:00", NOW, "2025-03-03T12:00:00Z"),
        ("Mar 03 12:00:00", NOW, "2025-03-03T12:00:00Z"),
        ("Mar  3 12:00:00.25", NOW, "2025-03-03T12:00:00.25Z"),
        ("Mar  3 1999 12:00:00", NOW, "1999-03-03T12:00:00Z"),
        ("Dec 31 23:59:59", 1735689601.0, "2024-12-31T23:59:59Z"),
        ("Jan  1 00:00:01", 1735689599.0, "2025-01-01T00:00:01Z"),
        ("Feb 29 00:00:00", NOW, "2024-02-29T00:00:00Z"),
        ("Jun 30 23:59:60", NOW, "2024-06-30T23:59:60Z"),
        ("Feb 30 12:00:00", NOW, "Feb 30 12:00:00"),
        ("Mar  3 24:00:00", NOW, "Mar  3 24:00:00"),
        ("Mar  3 12:60:00.5", NOW, "Mar  3 12:60:00.5"),
        ("Abc  3 12:00:00", NOW, "Abc  3 12:00:00"),
        ("Mar  0 12:00:00", NOW, "Mar  0 12:00:00"),
    ],
)
def test_the_year_is_the_latest_that_is_not_ahead(stamp: str, now: float, ts: str) -> None:
    event = bsd(f"<13>{stamp} h a: m", now)
    assert event == {"level": "INFO", "facility": "user", "ts": ts, "host": "h", "app": "a", "msg": "m"}


@pytest.mark.parametrize("now", [0.0, 253402300799.0])
def test_the_ends_of_the_calendar_are_no_trouble(now: float) -> None:
    assert bsd("Mar  3 12:00:00 h a: m", now) is not None


def test_rsyslogs_own_timestamp_is_kept_after_a_priority_only() -> None:
    line = "2025-03-03T12:00:00.5+01:00 h a[1]: m"
    event = bsd(f"<13>{line}")
    assert event is not None
    assert event["ts"] == "2025-03-03T12:00:00.5+01:00"
    assert bsd(line) is None
