from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from logops_fast.ingest.parsers import csv_rows
from logops_fast.ingest.parsers.base import MalformedBody
from tests.formats.bodies import any_body
from tests.ingest.parsers.support import outcome
from tests.support.tables import each_of


@each_of(
    ("body", "events"),
    [
        (b"t,INFO,m\n", [{"ts": "t", "level": "INFO", "msg": "m"}]),
        (b"t,INFO,m,x,y\n", [{"ts": "t", "level": "INFO", "msg": "m", "extra": ["x", "y"]}]),
        (b"t,INFO\nt\n", [{"ts": "t", "level": "INFO"}, {"ts": "t"}]),
        (
            b"ts,level,msg,user\nt,,m,\n,INFO,,u\n",
            [{"ts": "t", "msg": "m", "user": ""}, {"level": "INFO", "msg": "", "user": "u"}],
        ),
        (b"Time,SEVERITY,Text,User Name\nt,l,m,u\n", [{"time": "t", "severity": "l", "text": "m", "User Name": "u"}]),
        (b"ts,msg,extra\nt,m,e,more\n", [{"ts": "t", "msg": "m", "extra": "e", "extra_2": ["more"]}]),
        (b"ts,msg,x,x\nt,m,1,2\n", [{"ts": "t", "msg": "m", "x": "1", "x_2": "2"}]),
        (b'ts,msg\r\nt,"a ""b"", c\r\nd"\r\n', [{"ts": "t", "msg": 'a "b", c\r\nd'}]),
        (b"\xef\xbb\xbfts,msg\rt,m\r", [{"ts": "t", "msg": "m"}]),
        (b"ts,msg\nt,caf\xe9\n", [{"ts": "t", "msg": "caf\ufffd"}]),
        (b"ts;level;msg\nt;l;a, b\n", [{"ts": "t", "level": "l", "msg": "a, b"}]),
        (b'ts|msg|x\nt|"a|b\nc"|1\n', [{"ts": "t", "msg": "a|b\nc", "x": "1"}]),
        (b"t\tERROR\tm, n\n", [{"ts": "t", "level": "ERROR", "msg": "m, n"}]),
        (b'ts, msg\nt, "a, b"\n', [{"ts": "t", "msg": "a, b"}]),
        (
            b"Level;Date;Time;Message\nE;2023-03-01;12:34:56;m\nE;today;12:34:56;m\nE;2023-03-01\n",
            [
                {"level": "E", "message": "m", "ts": "2023-03-01T12:34:56"},
                {"level": "E", "Date": "today", "time": "12:34:56", "message": "m"},
                {"level": "E", "Date": "2023-03-01"},
            ],
        ),
        (b"_time,_raw\nt,m\n", [{"ts": "t", "msg": "m"}]),
        (b"ts,level,msg\n", []),
        (b"\n\nts,level,msg", []),
    ],
)
def test_rows_become_events(body: bytes, events: list[dict[str, Any]]) -> None:
    assert csv_rows.parse(body) == (events, [])


def test_an_unclosed_quote_is_one_fault_of_all_the_rest() -> None:
    events, faults = csv_rows.parse(b'ts,msg\n1,a\n2,"b\n3,c\n')
    assert events == [{"ts": "1", "msg": "a"}]
    assert faults == [(1, "bad_csv", '2,"b\n3,c\n')]


def test_an_unclosed_quote_in_the_first_row_is_no_header() -> None:
    assert csv_rows.parse(b'ts,"msg\n1,a\n') == ([], [(0, "bad_csv", 'ts,"msg\n1,a\n')])


@pytest.mark.parametrize("body", [b"", b"\r\n\n", b"\xef\xbb\xbf "])
def test_a_body_of_nothing_is_empty(body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        csv_rows.parse(body)
    assert caught.value.reason == "empty"


@given(any_body)
def test_any_bytes_give_events_that_can_be_written(body: bytes) -> None:
    parsed = outcome(lambda: csv_rows.parse(body))
    if isinstance(parsed, MalformedBody):
        assert parsed.reason in {"empty"}
    else:
        assert orjson.dumps(parsed.events)
        assert orjson.dumps([fault.text for fault in parsed.faults])
