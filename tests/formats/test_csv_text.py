from __future__ import annotations

import csv
import io
import re
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logops_fast.formats import csv_text
from logops_fast.formats.csv_text import (
    DELIMITERS,
    column_names,
    decode_text,
    delimiter_of,
    is_header,
    joined_time,
    read_rows,
)
from logops_fast.formats.lines import BLANKS
from tests.support.tables import each_of

csv_like = st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "a", " ", "é"]), max_size=30).map("".join)


@each_of(
    ("text", "rows"),
    [
        ("a,b\nc,d", [["a", "b"], ["c", "d"]]),
        ("a,b\r\nc,d\r\n", [["a", "b"], ["c", "d"]]),
        ('"a,b","c\nd","e""f"\n', [["a,b", "c\nd", 'e"f']]),
        ('"a\r\nb",c\r\n', [["a\r\nb", "c"]]),
        ("a,\n,b\n,\n", [["a", ""], ["", "b"], ["", ""]]),
        ("\n  \na\n\n", [["a"]]),
        ('a"b,c\n', [['a"b', "c"]]),
        ('"a"b,c\n', [["ab", "c"]]),
        ('a, "b"\n', [["a", "b"]]),
        ('  "a",  "b, c"\n "d", e', [["a", "b, c"], ["d", " e"]]),
        ('a,"x, ""b"" y"\n', [["a", 'x, "b" y']]),
        ("10%\r20%,b\nc", [["10%\r20%", "b"], ["c"]]),
        ('10%\r20%,"b"\nc', [["10%\r20%", "b"], ["c"]]),
        ("a\x00b,\x0b\x1c\x85\u2028,c", [["a\x00b", "\x0b\x1c\x85\u2028", "c"]]),
        ('a\x00b,"\x0b\x1c\x85\u2028",c', [["a\x00b", "\x0b\x1c\x85\u2028", "c"]]),
    ],
)
def test_rows_are_read(text: str, rows: list[list[str]]) -> None:
    assert read_rows(text) == (rows, "")


@pytest.mark.parametrize("cell", ["x" * 200_000, 'x"' * 200_000])
def test_a_cell_longer_than_the_csv_modules_limit_is_kept(cell: str) -> None:
    limit = csv.field_size_limit()
    quoted = cell.replace('"', '""')
    assert read_rows(f'a,"{quoted}",b\nc,d,e\n') == ([["a", cell, "b"], ["c", "d", "e"]], "")
    assert csv.field_size_limit() == limit


@each_of(
    ("text", "rows", "unclosed"),
    [
        ('a,b\nc,"d,e\nf,g\n', [["a", "b"]], 'c,"d,e\nf,g\n'),
        ('"', [], '"'),
        ('a\n"""', [["a"]], '"""'),
        ('a,"b"\nc,"\x00end', [["a", "b"]], 'c,"\x00end'),
    ],
)
def test_an_unclosed_quote_gives_its_raw_text(text: str, rows: list[list[str]], unclosed: str) -> None:
    assert read_rows(text) == (rows, unclosed)


@given(csv_like)
@example('a"\n"b\n')
def test_the_slow_reader_reads_as_the_csv_module_does(text: str) -> None:
    slow = csv_text._read_slowly(text)
    if slow.unclosed:
        assert text.endswith(slow.unclosed)
    elif re.search(r'(?:^|,|\n) +"', text) is None:  # the csv module skips no blanks
        rows = list(csv.reader(io.StringIO(text, newline="\n")))
        assert slow.rows == [row for row in rows if len(row) > 1 or "".join(row).strip(BLANKS)]
    assert read_rows(text) == slow


@given(csv_like)
def test_nothing_but_quotes_and_separators_is_lost(text: str) -> None:
    rows, unclosed = read_rows(text)
    kept = "".join(map("".join, rows)) + unclosed
    assert kept.count("a") == text.count("a")
    assert kept.count("é") == text.count("é")


@each_of(
    "line",
    [
        "ts,level,msg",
        "TIMESTAMP, Severity ,Message,user",
        "@timestamp,host,pod",
        "message",
        ",ts,level,msg",
        "ts,level,msg,5xx",
        "host,lvl,text,ts",
        "message,error",
    ],
)
def test_a_header_is_known(line: str) -> None:
    assert is_header(line.split(","))


@each_of(
    "line",
    [
        "2025-03-03T12:00:00Z,INFO,hello",
        "2025-03-03T12:00:00Z,INFO,time",
        ",INFO,text",
        "oops,ERROR,log",
        "host,pod,status",
        "1741003200,message,x",
        "",
    ],
)
def test_an_event_is_no_header(line: str) -> None:
    assert not is_header(line.split(","))


def test_column_names_are_settled() -> None:
    row = " TS ,Level,userName,,userName,userName,userName_2,ts"
    assert column_names(row.split(",")) == [
        "ts", "level", "userName", "col4", "userName_2", "userName_3", "userName_2_2", "ts_2",
    ]  # fmt: skip


@each_of(
    ("body", "text"),
    [
        (b"\xef\xbb\xbfts,msg\na,b", "ts,msg\na,b"),
        (b"ts,msg\ra,b\r", "ts,msg\na,b\n"),
        (b"ts,msg\na\rb,c", "ts,msg\na\rb,c"),
        (b"caf\xe9", "caf\ufffd"),
    ],
)
def test_bodies_are_decoded(body: bytes, text: str) -> None:
    assert decode_text(body) == text


@pytest.mark.timeout(120)  # searching each name from the start took minutes
@pytest.mark.parametrize("row", [["a"] * 50_000, ["ts"] * 50_000, ["a_2", "a_2_2"] * 25_000])
def test_a_hostile_header_of_equal_names_is_linear(row: list[str]) -> None:
    assert len(set(column_names(row))) == 50_000


@each_of(
    ("line", "delimiter"),
    [
        ("timestamp;level;message", ";"),
        ("timestamp\tlevel\tmessage", "\t"),
        ("timestamp|level|message", "|"),
        ("Level;Date;Time;Message", ";"),
        ("ts,level,msg;a|b", ","),
        ("2025-03-03T12:00:00Z\tERROR\tone, two", "\t"),
        ('"time";"message"', ";"),
        ('"a;b","ts","msg"', ","),
        ("host|message", "|"),
        ("\n \n time ; message", ";"),
        ("message", ","),
        ("2025-03-03T12:00:00Z\tERROR\thello", "\t"),
        ("2025-03-03T12:00:00Z;ERROR;hello", ";"),
        ("2025-03-03T12:00:00Z,a\tb", ","),
        ("well, this is all; what was the message", ","),
        ("this is it; what time", ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_that_of_the_header(line: str, delimiter: str) -> None:
    assert delimiter_of(line + "\na,b\n") == delimiter


@pytest.mark.parametrize("delimiter", DELIMITERS)
@given(text=csv_like)
def test_each_delimiter_is_read_as_the_comma_is(delimiter: str, text: str) -> None:
    def filled(rows: list[list[str]]) -> list[list[str]]:
        return [row for row in rows if "".join(row).strip()]  # a line of tabs alone is blank, one of commas is not

    rows, unclosed = read_rows(text.replace(",", delimiter), delimiter)
    expected = read_rows(text)
    assert filled(rows) == filled([[cell.replace(",", delimiter) for cell in row] for row in expected.rows])
    assert unclosed == expected.unclosed.replace(",", delimiter)


@each_of(
    ("row", "names"),
    [
        (["_time", "_raw", "host"], ["ts", "msg", "host"]),
        (["Date", "Line", "tsNs", "id"], ["ts", "msg", "tsNs", "id"]),
        (["Time", "Line", "Date"], ["time", "msg", "Date"]),
        (["ts", "datetime", "message", "line"], ["ts", "datetime", "message", "line"]),
        (["datetime", "_time", "LevelName"], ["ts", "_time", "level"]),
    ],
)
def test_a_header_may_have_other_names(row: list[str], names: list[str]) -> None:
    assert column_names(row) == names


@each_of(
    ("date", "clock", "ts"),
    [
        ("2023-03-01", "12:34:56", "2023-03-01T12:34:56"),
        ("2023/03/01", "1:02:03,5", "2023-03-01T01:02:03.5"),
        ("2023.03.01", "12:34", "2023-03-01T12:34:00"),
        (" 2023-03-01 ", "12:34:56.789 +01:00", "2023-03-01T12:34:56.789+01:00"),
        ("03/01/2023", "12:34:56", None),
        ("2023-03-01", "noon", None),
        ("2023-03-01", "2023-03-01 12:34:56", None),
        ("2023-03/01", "12:34:56", None),
    ],
)
def test_a_date_and_a_time_make_a_timestamp(date: str, clock: str, ts: str | None) -> None:
    assert joined_time(date, clock) == ts


def test_doubled_quotes_cost_no_memory_each() -> None:
    cell = '"' * 200_000
    text = f'a,"{cell}",b\nc, "d"\n'
    tracemalloc.start()
    try:
        rows, _ = read_rows(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == [["a", '"' * 100_000, "b"], ["c", "d"]]
    assert peak < 4 * len(text)
