"""Output of the commands: colour and tables on a terminal, plain text in a pipe, JSON with ``--json``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, TextIO

import orjson

from logops_fast.telemetry.logs import escape

RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
CYAN: Final = "36"
DIM: Final = "2"
BOLD: Final = "1"


def is_fancy(stream: TextIO | None = None) -> bool:
    """Return whether to write colour: a terminal that supports it, and NO_COLOR (no-color.org) not set."""
    out = sys.stdout if stream is None else stream
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str, fancy: bool) -> str:
    """Return the text in a colour if ``fancy``, else unchanged."""
    return f"\x1b[{code}m{text}\x1b[0m" if fancy else text


def print_json(value: Any) -> None:
    """Print one indented JSON document."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: with rich on a terminal, as aligned columns in a pipe. Cells are escaped."""
    cells = [[escape(cell) for cell in row] for row in rows]
    if is_fancy():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in (columns, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_verdict(ok: bool | None, part: str, detail: str) -> None:
    """Print one line of a list of checks."""
    mark, colour = {True: ("ok", GREEN), False: ("WRONG", RED), None: ("?", YELLOW)}[ok]
    print(f"{paint(mark.ljust(6), colour, is_fancy())}{part.ljust(11)}{escape(detail)}")


def complain(text: str, prefix: str = "logops") -> None:
    """Print an error on standard error."""
    print(f"{paint(prefix, RED, is_fancy(sys.stderr))}: {escape(text)}", file=sys.stderr)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    print(f"{paint('warning', YELLOW, is_fancy(sys.stderr))}: {escape(text)}", file=sys.stderr)
