"""CSV text to rows, and what a header line is (RFC 4180, read leniently: nothing a client sent is dropped)."""

from __future__ import annotations

import csv
import io
import itertools
import re
from typing import Final, NamedTuple

from logops_fast.formats.lines import BLANKS, without_bom

DELIMITERS: Final = (",", ";", "\t", "|")

MAX_CELLS: Final = 4096
"""Cells of a row, and of a header: a first line with more names no columns."""

# The names a settled field may arrive under (contract 5), in the order in which they win.
TS_NAMES: Final = ("ts", "timestamp", "time", "@timestamp")
LEVEL_NAMES: Final = ("level", "lvl", "severity", "loglevel")
MSG_NAMES: Final = ("msg", "message", "log", "text")
_EXACT: Final = {name: names[0] for names in (TS_NAMES, LEVEL_NAMES, MSG_NAMES) for name in names}
# Names that a header has in place of the exact ones: a column under the first of them takes the settled name. ``date``,
# ``line`` and ``_raw`` are ambiguous in JSON, and clear in a header (Grafana, Splunk).
_RENAMED: Final = {
    **dict.fromkeys(
        ("_time", "datetime", "date_time", "date", "asctime", "eventtime", "event_time", "logtime", "log_time"), "ts"
    ),
    **dict.fromkeys(("log_level", "levelname", "level_name", "log level", "log.level", "severity_text"), "level"),
    **dict.fromkeys(("line", "_raw", "log_message", "logmessage"), "msg"),
}
# Names by which a header is known, which the normaliser reads under their own name.
_KNOWN: Final = {
    **_EXACT,
    **_RENAMED,
    **dict.fromkeys(
        ("created_at", "isodate", "@t", "timegenerated", "time generated", "date and time", "tsns", "created"), "ts"
    ),
    **dict.fromkeys(("severitytext", "@l", "priority"), "level"),
    **dict.fromkeys(("body", "event", "short_message", "textpayload", "@m", "description"), "msg"),
}
_LEVEL_WORDS: Final = frozenset(("TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"))

# Two cells, so that an open quote, which swallows it, can never give the same row.
_END: Final = ["\x00end", "\x00end"]
# What follows a cell's closing quote, or all of a cell that has none; and the separator.
_REST: Final = {mark: re.compile(rf"([^{re.escape(mark)}\n]*+)({re.escape(mark)}|\n|\Z)") for mark in DELIMITERS}
_BLANK_QUOTE: Final = {mark: re.compile(rf'(?:^|[{re.escape(mark)}\n]) ++"') for mark in DELIMITERS}
_FILLED: Final = re.compile(r"\S", re.ASCII)  # what BLANKS and LF leave
_COLUMN: Final = re.compile(r"[\w@.#/-]{1,40}(?: [\w@.#/-]{1,40}){0,3}")
_TIME_FIRST: Final = re.compile(
    r'"?\d{4}[-/.]\d\d[-/.]\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z| ?[+-]\d\d:?\d\d)?"?([;|])', re.ASCII
)
_DATE: Final = re.compile(r"(\d{4})([-/.])(\d\d)\2(\d\d)", re.ASCII)
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z| ?[+-]\d\d:?\d\d)?", re.ASCII)


class Rows(NamedTuple):
    """The rows that are not blank, and the raw text from an unclosed quote's row on ("" if all are closed)."""

    rows: list[list[str]]
    unclosed: str


def decode_text(body: bytes) -> str:
    """Return the body as text: bad UTF-8 becomes U+FFFD, lines that end in CR alone end in LF, without a BOM."""
    text = without_bom(body).decode("utf-8", "replace")
    if "\n" not in text and "\r" in text:
        return text.replace("\r", "\n")
    return text


def delimiter_of(text: str) -> str:
    """Return the delimiter by which the first line names columns; comma if none does.

    Without a header it is a tab, if the line has one before any comma, or the semicolon or bar after a time in front.
    """
    filled = _FILLED.search(text)
    if filled is None:
        return ","
    start = text.rfind("\n", 0, filled.start()) + 1
    newline = text.find("\n", start)
    line = text[start:] if newline < 0 else text[start:newline]
    best, most = "", 0
    for mark in DELIMITERS:
        if not 0 < line.count(mark) < MAX_CELLS:
            continue
        row = _first_row(text, start, mark) if '"' in line else line.removesuffix("\r").split(mark)
        settled = len(_settled(row))
        if settled > most and is_header(row) and (settled > 1 or mark == "," or _are_names(row)):
            best, most = mark, settled
    if best:
        return best
    if "\t" in line and "," not in line[: line.index("\t")]:
        return "\t"
    time = _TIME_FIRST.match(line)
    return "," if time is None else time[1]


def read_rows(text: str, delimiter: str = ",") -> Rows:
    """Return the rows of CSV text. A quote that does not open a cell is text; blank lines are no rows."""
    if '"' not in text:
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        return Rows([line.split(delimiter) for line in text.split("\n") if line.strip(BLANKS)], "")
    if ' "' in text and _BLANK_QUOTE[delimiter].search(text) is not None:
        return _read_slowly(text, delimiter)  # a blank before an opening quote is skipped
    lines = itertools.chain(io.StringIO(text, newline="\n"), (delimiter.join(_END),))
    try:
        rows = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:  # a cell over the csv module's process-wide limit, or a lone CR
        return _read_slowly(text, delimiter)
    if rows.pop() != _END:
        return _read_slowly(text, delimiter)
    # Only a row of fewer than two cells can be blank.
    return Rows(list(filter(_is_filled, rows)) if min(map(len, rows), default=0) < 2 else rows, "")


def is_header(row: list[str]) -> bool:
    """Return whether a first row names columns rather than being an event.

    Two names of different settled fields (contract 5; any case, blanks around) make a header. One name alone does if no
    cell is empty or begins with a digit, and no level is in the column where an event without header has it.
    """
    settled = _settled(row)
    if len(settled) != 1:
        return bool(settled)
    cells = [cell.strip() for cell in row]
    if len(cells) > 1 and cells[1] in _LEVEL_WORDS:
        return False
    return all(cell and not cell[0].isdigit() for cell in cells)


def column_names(row: list[str]) -> list[str]:
    """Return header cells as field names: the names of settled fields in lower case, others as they are written.

    Another name for a settled field becomes that field, unless a column has its exact name. A cell without a name
    becomes ``col<n>``, counted from 1; a name that came before gets ``_2``, ``_3``, ...
    """
    lowered = [cell.strip().lower() for cell in row]
    open_fields = {"ts", "level", "msg"} - {_EXACT[name] for name in lowered if name in _EXACT}
    taken: set[str] = set()
    following: dict[str, int] = {}  # the next number to try: from 2 each time, 10^4 equal names take minutes
    names: list[str] = []
    for number, cell in enumerate(row, 1):
        name = cell.strip() or f"col{number}"
        if lowered[number - 1] in _EXACT:
            name = name.lower()
        else:
            settled = _RENAMED.get(lowered[number - 1])
            if settled is not None and settled in open_fields:
                name = settled
                open_fields.discard(settled)
        free, suffix = name, following.get(name, 2)
        while free in taken:
            free, suffix = f"{name}_{suffix}", suffix + 1
        following[name] = suffix
        taken.add(free)
        names.append(free)
    return names


def date_column(names: list[str]) -> str | None:
    """Return the column that is half of a timestamp: ``date`` beside ``time``, if no other column has both."""
    if "time" not in names or any(name in names for name in ("ts", "timestamp", "@timestamp")):
        return None
    return next((name for name in names if name.lower() == "date"), None)


def joined_time(date: str, clock: str) -> str | None:
    """Return a date and a time of day as one timestamp, or None if they are not in an unambiguous form."""
    day = _DATE.fullmatch(date.strip())
    time = _CLOCK.fullmatch(clock.strip())
    if day is None or time is None:
        return None
    hour, minute, second, fraction, zone = time.groups()
    fraction = f".{fraction}" if fraction else ""
    return f"{day[1]}-{day[3]}-{day[4]}T{hour:0>2}:{minute}:{second or '00'}{fraction}{(zone or '').strip()}"


def count(body: bytes, limit: int | None = None) -> int:
    """Return how many rows the body holds, a header not counted; what an unclosed quote swallows counts as one.

    Past ``limit`` it may stop: a million tiny quoted rows would hold the loop for two seconds.
    """
    text = decode_text(body)
    delimiter = delimiter_of(text)
    if limit is not None and '"' in text and text.count("\n") > limit and _more_than(text, delimiter, limit + 1):
        return limit + 1
    if '"' not in text:
        lines = [line for line in text.split("\n") if line.strip(BLANKS)]
        return len(lines) - (bool(lines) and is_header(lines[0].removesuffix("\r").split(delimiter)))
    rows, unclosed = read_rows(text, delimiter)
    return len(rows) - (bool(rows) and is_header(rows[0])) + bool(unclosed)


def _settled(row: list[str]) -> set[str]:
    if len(row) > MAX_CELLS:
        return set()
    names = [cell.strip().lower() for cell in row]
    return {_KNOWN[name] for name in names if name in _KNOWN}


def _are_names(row: list[str]) -> bool:
    return all(_COLUMN.fullmatch(cell.strip().strip('"')) is not None for cell in row)


def _more_than(text: str, delimiter: str, rows: int) -> bool:
    filled = filter(_is_filled, csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter))
    try:
        return sum(1 for _ in itertools.islice(filled, rows + 1)) > rows
    except csv.Error:
        return False


def _is_filled(row: list[str]) -> bool:
    return len(row) > 1 or (len(row) == 1 and bool(row[0].strip(BLANKS)))


def _first_row(text: str, start: int, delimiter: str) -> list[str]:
    row, _ = _read_row(text, start, delimiter)
    return row or []


def _read_slowly(text: str, delimiter: str = ",") -> Rows:
    """Read as csv.reader does, without its limits: cells of any length, a lone CR as text, unclosed quotes found.

    In addition blanks before an opening quote are skipped.
    """
    rows: list[list[str]] = []
    start = 0
    end = len(text)
    while start < end:
        row, following = _read_row(text, start, delimiter)
        if row is None:
            return Rows(rows, text[start:])
        if _is_filled(row):
            rows.append(row)
        start = following
    return Rows(rows, "")


def _read_row(text: str, position: int, delimiter: str) -> tuple[list[str] | None, int]:
    """Return the row that begins at ``position``, or None if a quote in it is never closed, and the next one's index.

    Each character is looked at twice at the most; nothing is kept for a doubled quote.
    """
    row: list[str] = []
    rest = _REST[delimiter]
    while True:
        opening = position
        while text.startswith(" ", opening):
            opening += 1
        quoted = ""
        if text.startswith('"', opening):
            closing = text.find('"', opening + 1)
            while closing >= 0 and text.startswith('"', closing + 1):
                closing = text.find('"', closing + 2)
            if closing < 0:
                return None, position
            quoted = text[opening + 1 : closing].replace('""', '"')
            position = closing + 1
        found = rest.match(text, position)
        if found is None:  # pragma: no cover  (the pattern matches everywhere; for the type checker)
            return row, len(text)
        position = found.end()
        if found[2] == delimiter:
            row.append(quoted + found[1])
            continue
        row.append(quoted + found[1].removesuffix("\r"))
        return row, position
