"""The page of tools/mutants.py: what was tried of each module, and what survived; a run of one keeps the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

_ROW: Final = re.compile(r"^\| ([\w/]+\.py) \| (\d+) \| (\d+) \| (\d+) \| [\d.]+% \| (\w+\+?) \|$")
_SURVIVOR: Final = re.compile(r"^- `([\w/]+\.py):(\d+)` `(.*)`: `(.*)`\. .*$")
NOT_JUDGED: Final = "Not judged yet."


class Survivor(NamedTuple):
    """A change that no test noticed: the line as it was, and what the changed part reads then."""

    line: int
    before: str
    after: str


class Row(NamedTuple):
    """What became of one module: of ``mutants`` that there are ``tried`` were tried, at ``commit``."""

    mutants: int
    tried: int
    survived: tuple[Survivor, ...]
    commit: str

    @property
    def killed(self) -> int:
        """How many of those tried a test noticed."""
        return self.tried - len(self.survived)


Judgments = Mapping[tuple[str, str, str], str]
"""Why a change has no effect, by module, line as it is, and what the changed part reads then."""


def judgments(text: str) -> Judgments:
    """Return what a file of judgments holds: four columns, separated by tabs. Raises ValueError for another line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {(module, before, after): why for module, before, after, why in (line.split("\t") for line in lines)}


def parse(page: str) -> dict[str, Row]:
    """Return the rows of a page that ``render`` made; lines of another form are passed over."""
    survived: dict[str, list[Survivor]] = {}
    rows: dict[str, tuple[int, int, str]] = {}
    for line in page.splitlines():
        if row := _ROW.match(line):
            rows[row[1]] = (int(row[2]), int(row[3]), row[5])
        elif one := _SURVIVOR.match(line):
            survived.setdefault(one[1], []).append(Survivor(int(one[2]), one[3], one[4]))
    return {
        module: Row(mutants, tried, tuple(survived.get(module, ())), commit)
        for module, (mutants, tried, commit) in rows.items()
    }


def render(rows: Mapping[str, Row], judged: Judgments, machine: str) -> str:
    """Return the page, modules in alphabetical order; ``machine`` is where the last run was."""
    ordered = dict(sorted(rows.items()))
    tried = sum(row.tried for row in ordered.values())
    killed = sum(row.killed for row in ordered.values())
    listed = [(module, one) for module, row in ordered.items() for one in row.survived]
    harmless = sum((module, one.before, one.after) in judged for module, one in listed)
    return "\n".join(
        [
            "# Mutants",
            "",
            f"Made by `make mutants`: {killed} of {tried} killed ({_share(killed, tried)}). {harmless} of the others",
            "were judged to change nothing that can be observed; "
            f"{_share(killed, tried - harmless)} of the rest are killed.",
            "",
            "Commit: where the mutants were tried; what survived was tried again with the tests written for it.",
            "Where fewer were tried than there are, they were drawn with seed 1.",
            "",
            "| module | mutants | tried | killed | | commit |",
            "|---|---:|---:|---:|---:|---|",
            *(_line(module, row) for module, row in ordered.items()),
            "",
            "## Survived",
            "",
            "The line as it is, and what replaced a part of it without a test noticing.",
            "",
            *_survivors(listed, judged),
            "",
            machine,
            "",
        ]
    )


def _line(module: str, row: Row) -> str:
    share = _share(row.killed, row.tried)
    return f"| {module} | {row.mutants} | {row.tried} | {row.killed} | {share} | {row.commit} |"


def _survivors(listed: Iterable[tuple[str, Survivor]], judged: Judgments) -> Iterable[str]:
    for module, one in listed:
        why = judged.get((module, one.before, one.after), NOT_JUDGED)
        yield f"- `{module}:{one.line}` `{one.before}`: `{one.after}`. {why}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f}%"
