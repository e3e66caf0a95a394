"""The Makefile and pyproject.toml leave the same special tests out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.conftest import STARTS_PROCESSES

ROOT = Path(__file__).resolve().parents[2]
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]


def left_out(expression: str) -> set[str]:
    """The marks of ``not (a or b)`` or ``not a and not b``."""
    assert re.fullmatch(r"not \(\w+( or \w+)*\)|not \w+( and not \w+)*", expression)
    return set(re.findall(r"\w+", expression)) - {"not", "and", "or"}


def test_make_unit_leaves_out_what_starts_processes_and_what_a_plain_run_leaves_out() -> None:
    words = re.search(r"^NO_PROCESS := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    plain = re.search(r"-m '([^']+)'", PYTEST["addopts"])
    assert words
    assert plain
    assert left_out(words[1]) == {*STARTS_PROCESSES} | left_out(plain[1])
    assert left_out(words[1]) <= {line.split(":")[0] for line in PYTEST["markers"]}
