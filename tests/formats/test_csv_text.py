from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logops_fast.formats import csv_text
from logops_fast.formats.csv_text import column_names, decode_text, is_header, read_rows
from logops_fast.formats.lines import BLANKS

csv_like = st.lists(st.sampled_from(['"', '""', ",", "\n", "\r\n", "a", " ", "é"]), max_size=30).map("".join)


@pytest.mark.parametrize(
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
        ('a, "b"\n', [["a", ' "b"']]),
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


@pytest.mark.parametrize(
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
    else:
        rows = list(csv.reader(io.StringIO(text, newline="\n")))
        assert slow.rows == [row for row in rows if len(row) > 1 or "".join(row).strip(BLANKS)]
    assert read_rows(text) == slow


@given(csv_like)
def test_nothing_but_quotes_and_separators_is_lost(text: str) -> None:
    rows, unclosed = read_rows(text)
    kept = "".join(map("".join, rows)) + unclosed
    assert kept.count("a") == text.count("a")
    assert kept.count("é") == text.count("é")


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.timeout(20)  # searching each name from the start took minutes
@pytest.mark.parametrize("row", [["a"] * 50_000, ["ts"] * 50_000, ["a_2", "a_2_2"] * 25_000])
def test_a_hostile_header_of_equal_names_is_linear(row: list[str]) -> None:
    assert len(set(column_names(row))) == 50_000
