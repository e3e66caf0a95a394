"""The architecture tour is right: a symbol named beside a link is defined in a file that the same cell links to."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.console import ROOT
from tests.support.tables import each_of

TOUR = ROOT / "architecture" / "README.md"
SYMBOL = re.compile(r"(?<!\[)`([A-Za-z_][A-Za-z0-9_]*)`")
LINK = re.compile(r"\]\((\.\./logops_fast/[^)#]*)\)")
# Words in code font that name no symbol: members of a protocol the row explains, and keys of the model.
NOT_SYMBOLS = {"content_type", "batch", "configure", "run", "parts", "parse_line"}


def rows(text: str) -> list[str]:
    """Return the second cell of each row of the table "Where to add"."""
    section = text.partition("## Where to add")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [line.strip("|").split(" | ")[1] for line in lines]


def defined(path: Path) -> set[str]:
    """Return the names that a module, or any module of a package, defines at its top level."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    names: set[str] = set()
    for file in files:
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
    return names


def undefined(cell: str) -> set[str]:
    """Return the symbols of a cell that none of the files it links to defines."""
    linked: set[str] = set()
    for link in LINK.findall(cell):
        linked |= defined((TOUR.parent / link).resolve())
    return {name for name in SYMBOL.findall(cell) if name not in linked and name not in NOT_SYMBOLS}


@each_of("cell", rows(TOUR.read_text("utf-8")))
def test_a_symbol_is_defined_in_a_file_that_its_row_links_to(cell: str) -> None:
    assert undefined(cell) == set()


def test_every_row_is_read() -> None:
    assert len(rows(TOUR.read_text("utf-8"))) >= 11


def test_a_symbol_that_stands_elsewhere_is_found() -> None:
    assert undefined("a class with the `Sink` protocol of [`x`](../logops_fast/ingest/sink/file_sink.py)") == {"Sink"}


def test_a_body_format_has_a_media_type_that_the_forwarder_sends() -> None:
    """The step that is easily forgotten: it fails only in a split deployment."""
    from logops_fast.authgw import forwarder
    from logops_fast.formats.media_type import Format

    assert set(forwarder._CONTENT_TYPES) == set(Format)
