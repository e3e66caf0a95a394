"""Programs and configurations in documents, and how a test gets at them.

    ```go sign.go                    a block with a file name is run by a test, as it is in the document
    ```toml vector.toml replayed     is not run; a test sends what such a program sends (see replayed_senders)
    ```csharp Sign.cs not-run        is not run at all, and the document says so

Blocks of commands are of another kind: see ``console``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.docs.console import ROOT

RUN, REPLAYED, NOT_RUN = "run", "replayed", "not-run"
PAGES = [page for name in ("python.md", "signing.md", "senders.md") if (page := ROOT / "docs" / name).exists()]

_FENCE = re.compile(r"^```(\S+) (\S+)(?: (replayed|not-run))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY = re.compile(r"^```(?!console|text\n|json\n|\n)(.+)$", re.MULTILINE)


class Recipe(NamedTuple):
    """A block of a document with its file name."""

    page: Path
    line: int
    language: str
    name: str
    how: str
    text: str


def recipes(page: Path) -> dict[str, Recipe]:
    """Return the blocks of a page that have a file name, by that name."""
    text = page.read_text("utf-8")
    found: dict[str, Recipe] = {}
    for block in _FENCE.finditer(text):
        language, name, how, body = block.groups()
        if language == "console":
            continue
        line = text.count("\n", 0, block.start()) + 1
        assert name not in found, f"{page.name}:{line}: a second {name}"
        found[name] = Recipe(page, line, language, name, how or RUN, body)
    return found


def nameless(page: Path) -> list[str]:
    """Return the info strings of blocks of code that no test can find."""
    return [info for info in _ANY.findall(page.read_text("utf-8")) if len(info.split()) < 2]
