from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.csv_text import count, read_rows
from logops_fast.formats.line_pieces import csv_pieces, filled_lines, line_pieces
from logops_fast.formats.lines import count_filled
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS, Piece, PieceKind

LIMIT = 262_144


def cut(body: bytes, limit: int = LIMIT) -> list[Piece]:
    return list(line_pieces(body, limit))


@pytest.mark.parametrize("line", [b"", b"x", b"a line of text", b"y" * 5000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_pieces_of_lines_make_the_body_again(line: bytes, end: bytes) -> None:
    body = b"\r\n".join([line + b"%d" % (i % 10) if line else b"" for i in range(600_000 // (len(line) + 1))]) + end
    pieces = cut(body)
    assert b"".join(piece.text for piece in pieces) == body
    assert all(piece.text.endswith(b"\n") for piece in pieces[:-1])
    assert all(len(piece.text) <= PIECE_BYTES for piece in pieces)
    assert all(piece.count <= 2 * PIECE_ITEMS for piece in pieces)
    assert len(pieces) <= len(body) // 4096 + 2


def test_a_line_over_the_limit_is_set_aside_wherever_it_is() -> None:
    large = b"x" * (LIMIT + 1)
    for lines in ([large, b"a", b"b"], [b"a", large, b"b"], [b"a", b"b", large], [large, large], [large]):
        pieces = cut(b"\n".join(lines) + b"\n")
        assert sum(piece.kind is PieceKind.TOO_LARGE for piece in pieces) == lines.count(large)
        kept = b"".join(piece.text for piece in pieces if piece.kind is PieceKind.ITEMS)
        assert kept.split() == [line for line in lines if line != large]


def test_a_line_of_just_the_limit_is_kept() -> None:
    line = b"x" * LIMIT
    for end in (b"", b"\n", b"\r\n"):
        assert [piece.kind for piece in cut(line + end)] == [PieceKind.ITEMS]
        assert [piece.kind for piece in cut(b"a\n" + line + end)] == [PieceKind.ITEMS] * 2
    assert [piece.kind for piece in cut(b"x" + line)] == [PieceKind.TOO_LARGE]


@given(st.lists(st.text("ab", max_size=8).map(str.encode), max_size=30), st.integers(1, 20), st.booleans())
def test_lines_over_a_small_limit_and_no_others_are_set_aside(lines: list[bytes], limit: int, crlf: bool) -> None:
    pieces = cut((b"\r\n" if crlf else b"\n").join(lines), limit)
    large = [line for line in lines if len(line) > limit]
    assert sum(piece.kind is PieceKind.TOO_LARGE for piece in pieces) == len(large)


@given(st.lists(st.sampled_from([b"", b" ", b"a", b"\t\r", b"bc"]), max_size=50))
def test_filled_lines_are_counted_as_in_one_step(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    assert [*filled_lines(body, 1000), 0][-1 if not body else -2] == count_filled(body)


def test_counting_lines_stops_after_the_cap() -> None:
    steps = list(filled_lines(b"x\n" * 1_000_000, 5000))
    assert 5000 < steps[-1] < 5000 + 2 * PIECE_ITEMS


def rows_of(body: bytes, limit: int = LIMIT) -> list[list[str]]:
    rows = []
    for piece in csv_pieces(body, limit, b","):
        if piece.kind is PieceKind.ITEMS:
            found, unclosed = read_rows(piece.text.decode())
            assert not unclosed
            rows += found
    return rows


def written(rows: list[list[str]], quoting: int) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=quoting)  # type: ignore[arg-type]
    writer.writerows(rows)
    return out.getvalue().encode()


CELLS = ["2026-01-01", "INFO", 'a "quoted" text', "two\nlines", "", " x", "a,b", "\n\n", '"']


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_pieces_of_csv_hold_the_rows_of_the_whole_body(quoting: int) -> None:
    rows = [[CELLS[(i * 7 + j * 3) % len(CELLS)] for j in range(3)] for i in range(25_000)]
    body = written(rows, quoting)
    assert len(body) > 2 * PIECE_BYTES
    assert rows_of(body) == [row for row in rows if len(row) > 1]


@given(
    st.lists(st.lists(st.sampled_from([*CELLS, "x", '""']), min_size=2, max_size=4), max_size=12),
    st.integers(40, 90),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_small_pieces_of_csv_hold_the_rows_of_the_whole_body(rows: list[list[str]], limit: int, quoting: int) -> None:
    body = written(rows, quoting)
    fitting = [row for row in rows if len(written([row], quoting)) <= limit]
    assert rows_of(body, limit) == fitting


def test_what_an_unclosed_quote_swallows_is_one_item_over_the_limit() -> None:
    body = b"a,b,c\n" * 1000 + b'a,b,"' + b'""' * 300_000
    pieces = list(csv_pieces(body, LIMIT, b","))
    large = [piece for piece in pieces if piece.kind is PieceKind.TOO_LARGE]
    assert len(large) == 1
    assert large[0].text.startswith(b'a,b,"""')
    assert sum(count(piece.text) for piece in pieces if piece.kind is PieceKind.ITEMS) == 1000


def test_a_short_unclosed_quote_is_left_to_the_parser() -> None:
    (piece, last) = csv_pieces(b'a,b,c\nx,y,"open\n\n', LIMIT, b",")
    assert read_rows(last.text.decode()).unclosed == 'x,y,"open\n\n'
    assert count(piece.text) == 1


def test_the_end_of_a_row_over_the_limit_is_found_in_steps() -> None:
    body = b'a,b,"' + b'"" ' * 100_000 + b'"\nx,y,z\n'
    kinds = [piece.kind for piece in csv_pieces(body, 1000, b",")]
    assert kinds[:4] == [PieceKind.NOTHING] * 4
    assert [kind for kind in kinds if kind is not PieceKind.NOTHING] == [PieceKind.TOO_LARGE, PieceKind.ITEMS]


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_a_quoted_cell_begins_after_the_delimiter(delimiter: bytes) -> None:
    body = (b'a%bb%b"multi\nline"\n' % (delimiter, delimiter)) * 30_000
    pieces = list(csv_pieces(body, LIMIT, delimiter))
    assert len(pieces) > 1
    assert all(piece.text.endswith(b'line"\n') for piece in pieces)
