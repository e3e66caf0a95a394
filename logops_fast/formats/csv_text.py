"""CSV text to rows, and what a header line is (RFC 4180, read leniently: nothing a client sent is dropped)."""

from __future__ import annotations

import csv
import io
import itertools
import re
from typing import Final, NamedTuple

from logops_fast.formats.lines import BLANKS, without_bom

# The names a settled field may arrive under (SPEC 5), in the order in which they win.
TS_NAMES: Final = ("ts", "timestamp", "time", "@timestamp")
LEVEL_NAMES: Final = ("level", "lvl", "severity", "loglevel")
MSG_NAMES: Final = ("msg", "message", "log", "text")
_SETTLED: Final = {
    name: names[0] for names in (TS_NAMES, LEVEL_NAMES, MSG_NAMES) for name in names
}  # alias -> settled name
_LEVEL_WORDS: Final = frozenset(("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"))

# Two cells, so that an open quote, which swallows it, can never give the same row.
_END: Final = ["\x00end", "\x00end"]
# One cell at a time, each part possessive: linear on any input.
# Groups: the quoted text, its closing quote, the rest, the separator.
_CELL: Final = re.compile(r'(?:"([^"]*+(?:""[^"]*+)*+)("?+))?+([^,\n]*+)(,|\n|\Z)')


class Rows(NamedTuple):
    """The rows that are not blank, and the raw text from an unclosed quote's row on ("" where all are closed)."""

    rows: list[list[str]]
    unclosed: str


def decode_text(body: bytes) -> str:
    """The body as text: bad UTF-8 becomes U+FFFD, a byte order mark goes, lines that end in CR alone end in LF."""
    text = without_bom(body).decode("utf-8", "replace")
    if "\n" not in text and "\r" in text:
        return text.replace("\r", "\n")
    return text


def read_rows(text: str) -> Rows:
    """The rows of CSV text. A quote that does not open a cell stands for itself; blank lines are no rows."""
    if '"' not in text:
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        return Rows([line.split(",") for line in text.split("\n") if line.strip(BLANKS)], "")
    lines = itertools.chain(io.StringIO(text, newline="\n"), (",".join(_END),))
    try:
        rows = list(csv.reader(lines))
    except csv.Error:  # a cell over the csv module's process-wide limit, or a lone CR
        return _read_slowly(text)
    if rows.pop() != _END:
        return _read_slowly(text)
    return Rows(list(filter(_is_filled, rows)), "")


def is_header(row: list[str]) -> bool:
    """Whether a first row names columns rather than being an event.

    Two names of different settled fields (SPEC 5; any case, spaces around) make a header. One name alone does where
    no cell is empty or begins with a digit, and no level word stands where an event without header has its level.
    """
    cells = [cell.strip() for cell in row]
    settled = {_SETTLED[cell.lower()] for cell in cells if cell.lower() in _SETTLED}
    if len(settled) != 1:
        return bool(settled)
    if len(cells) > 1 and cells[1] in _LEVEL_WORDS:
        return False
    return all(cell and not cell[0].isdigit() for cell in cells)


def column_names(row: list[str]) -> list[str]:
    """Header cells as field names: settled fields' names in lower case, others as they stand.

    A cell without a name becomes ``col<n>``, counted from 1; a name that came before gets ``_2``, ``_3``, ...
    """
    taken: set[str] = set()
    following: dict[str, int] = {}  # where the search for a free number goes on: else 10^4 equal names take minutes
    names: list[str] = []
    for number, cell in enumerate(row, 1):
        name = cell.strip() or f"col{number}"
        if name.lower() in _SETTLED:
            name = name.lower()
        free, suffix = name, following.get(name, 2)
        while free in taken:
            free, suffix = f"{name}_{suffix}", suffix + 1
        following[name] = suffix
        taken.add(free)
        names.append(free)
    return names


def count(body: bytes, limit: int | None = None) -> int:
    """How many rows the body holds, a header not counted; what an unclosed quote swallows counts as one.

    Past ``limit`` it may stop: a million tiny quoted rows would hold the loop for two seconds.
    """
    text = decode_text(body)
    if limit is not None and '"' in text and text.count("\n") > limit and _more_than(text, limit + 1):
        return limit + 1
    if '"' not in text:
        lines = list(filter(None, (line.strip(BLANKS) for line in text.split("\n"))))
        return len(lines) - (bool(lines) and is_header(lines[0].split(",")))
    rows, unclosed = read_rows(text)
    return len(rows) - (bool(rows) and is_header(rows[0])) + bool(unclosed)


def _more_than(text: str, rows: int) -> bool:
    filled = filter(_is_filled, csv.reader(io.StringIO(text, newline="\n")))
    try:
        return sum(1 for _ in itertools.islice(filled, rows + 1)) > rows
    except csv.Error:
        return False


def _is_filled(row: list[str]) -> bool:
    return len(row) > 1 or (len(row) == 1 and bool(row[0].strip(BLANKS)))


def _read_slowly(text: str) -> Rows:
    """As csv.reader reads, without its limits: cells of any length, a lone CR as text, open quotes found."""
    rows: list[list[str]] = []
    row: list[str] = []
    position = start = 0
    end = len(text)
    separator = "\n"
    while position < end or separator == ",":
        found = _CELL.match(text, position)
        if found is None:  # pragma: no cover  (the pattern matches everywhere; tells the type checker so)
            break
        quoted, closing, rest, separator = found.groups()
        if quoted is not None and not closing:
            return Rows(rows, text[start:])
        if separator != ",":
            rest = rest.removesuffix("\r")
        row.append(rest if quoted is None else quoted.replace('""', '"') + rest)
        position = found.end()
        if separator != ",":
            if _is_filled(row):
                rows.append(row)
            row = []
            start = position
    return Rows(rows, "")
