"""Cut a large body of lines, or of CSV rows, into pieces of whole lines in bounded steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from logops_fast.formats.pieces import NOTHING, PIECE_BYTES, PIECE_ITEMS, Piece, PieceKind, too_large
from logops_fast.patterns import compile_possessive

_LEAST_BYTES: Final = 4096  # a piece is not made smaller than this however short its lines are
_RUNS_A_STEP: Final = 20_000
_BLANKS_BEFORE: Final = 64  # looked at before a quote
_BYTES_A_RUN: Final = 64
_QUOTES: Final = re.compile(rb'"{1,65536}')  # an even number at most, so that the parity of a longer run is right
_ROW: Final = (
    # Cells that begin with a quote end at the quote that is not doubled; the lookahead is for CPython before 3.11.5,
    # where a possessive group that fails half-way keeps what it took.
    rb"(?:(?: *+\"[^\"]*+(?:(?=\"\")\"\"[^\"]*+)*+\"[^%(d)s\n]*+|(?! *\")[^%(d)s\n]*+)%(d)s)*+"
    rb"(?: *+\"[^\"]*+(?:(?=\"\")\"\"[^\"]*+)*+\"[^%(d)s\n]*+|(?! *\")[^%(d)s\n]*+)"
)


def line_pieces(body: bytes, limit: int, start: int = 0) -> Iterator[Piece]:
    """Cut a body into pieces of whole lines; lines over ``limit`` bytes are set aside."""
    size = len(body)
    span = min(PIECE_BYTES, limit)
    pos = start
    while pos < size:
        end = size if size - pos <= span else body.rfind(b"\n", pos, pos + span) + 1
        if end <= pos:
            end = body.find(b"\n", pos) + 1 or size
            if end - pos > limit + 2 or len(body[pos:end].rstrip(b"\r\n")) > limit:
                yield too_large(body, pos, end)
                pos = end
                continue
        count = body.count(b"\n", pos, end) + 1
        if count > PIECE_ITEMS and span > _LEAST_BYTES:
            span = max(_LEAST_BYTES, span * PIECE_ITEMS // (2 * count))
            continue
        yield Piece(PieceKind.ITEMS, body[pos:end], count)
        if count < PIECE_ITEMS // 4:
            span = min(2 * span, PIECE_BYTES, limit)
        pos = end


def csv_pieces(body: bytes, limit: int, delimiter: bytes) -> Iterator[Piece]:
    """Cut CSV text into pieces of whole rows; rows over ``limit`` are set aside.

    A newline within quotes is no end of a row. What an unclosed quote swallows is one row.
    """
    size = len(body)
    span = min(PIECE_BYTES // 4, limit)  # a row of nothing but commas is four times as long as JSON
    pattern = _ROW % {b"d": re.escape(delimiter)}
    row = compile_possessive(pattern + rb"\n")
    pos = 0
    while pos < size:
        stop = min(pos + span, size)
        end = stop if stop == size else body.rfind(b"\n", pos, stop) + 1
        count = body.count(b"\n", pos, end) + 1
        if end > pos and body.find(b'"', pos, end) >= 0:
            end = pos
            count = 0
            while count < PIECE_ITEMS:
                found = row.match(body, end, stop)
                if found is None:
                    break
                end = found.end()
                count += 1
        elif count > PIECE_ITEMS and span > _LEAST_BYTES:
            span = max(_LEAST_BYTES, span * PIECE_ITEMS // (2 * count))
            continue
        if end <= pos:
            for end in _row_end(body, pos, delimiter):
                if end < 0:
                    yield NOTHING
            count = 1
            if end - pos > limit:
                yield too_large(body, pos, end)
                pos = end
                continue
        yield Piece(PieceKind.ITEMS, body[pos:end], count)
        pos = end


def _row_end(body: bytes, pos: int, delimiter: bytes) -> Iterator[int]:
    """Find the end of the row at ``pos`` however long it is; -1 for each step, then the end.

    In a quoted cell only the parity of runs of quotes matters: a pattern that repeats over pairs of quotes would take
    185 bytes of memory for each.
    """
    size = len(body)
    looked = 0
    is_quoted = body[pos : pos + _BLANKS_BEFORE].lstrip(b" ").startswith(b'"')
    while pos < size:
        if is_quoted:
            is_open = False
            for run in _QUOTES.finditer(body, pos):
                looked += 1 + (run.end() - run.start()) // _BYTES_A_RUN
                if looked >= _RUNS_A_STEP:
                    looked = 0
                    yield -1
                if (run.end() - run.start()) % 2:
                    is_open = not is_open
                pos = run.end()
                if not is_open and body[pos : pos + 1] != b'"':
                    break
            if is_open:
                break
        end = body.find(b"\n", pos)
        end = size if end < 0 else end
        quote = body.find(b'"', pos, end)
        while quote >= 0 and not body[max(pos, quote - _BLANKS_BEFORE) : quote].rstrip(b" ").endswith(delimiter):
            looked += 1  # a quote that does not open a cell stands for itself
            if looked >= _RUNS_A_STEP:
                looked = 0
                yield -1
            quote = body.find(b'"', quote + 1, end)
        if quote < 0:
            yield min(end + 1, size)
            return
        is_quoted = True
        pos = quote
        looked += 1
    yield size


def filled_lines(body: bytes, cap: int) -> Iterator[int]:
    """Count the lines that are not blank in steps, each yielding the count so far; stops soon after ``cap``."""
    count = 0
    for piece in line_pieces(body, max(len(body), PIECE_BYTES)):
        count += len(list(filter(None, map(bytes.strip, piece.text.split(b"\n")))))
        yield count
        if count > cap:
            return
