"""The pages are true: generated ones are current, every reason is explained, every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from logops_fast.ingest.parsers import base
from tests.docs.console import ROOT, documents
from tests.docs.reasons import reasons, statuses
from tests.support.tables import each_of
from tests.support.yaml_files import read_yaml

DOCS = ROOT / "docs"
_ROW = re.compile(r"^\| `([a-z0-9_]+)` \| ([0-9, ]+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def explained() -> dict[str, set[int]]:
    """Reason to its statuses, as troubleshooting.md has them."""
    rows = _ROW.findall((DOCS / "troubleshooting.md").read_text("utf-8"))
    assert len(rows) == len({row[0] for row in rows}), "a reason is explained twice"
    return {reason: {int(status) for status in given.split(",")} for reason, given, _, _ in rows}


@pytest.mark.process
def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.make_docs", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_reason_of_the_code_is_explained_and_no_other() -> None:
    assert set(explained()) == set(reasons())


def test_a_reason_is_explained_with_the_statuses_it_has() -> None:
    pages = explained()
    assert {reason: found for reason, found in statuses().items() if not found <= pages[reason]} == {}


def test_faults_of_events_are_explained() -> None:
    text = (DOCS / "troubleshooting.md").read_text("utf-8").partition("## Part of a batch is rejected")[2]
    rows = set(re.findall(r"^\| `([a-z0-9_]+)` \|", text.partition("\n## ")[0], re.MULTILINE))
    api = read_yaml(DOCS / "openapi.yaml")
    errors = api["components"]["schemas"]["Summary"]["properties"]["errors"]
    assert rows == set(errors["items"]["properties"]["reason"]["enum"])
    constants = {value for name, value in vars(base).items() if name.isupper() and isinstance(value, str)}
    assert rows == constants - set(reasons())


def slug(heading: str) -> str:
    """The anchor that a forge makes of a heading."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).strip().lower())
    return kept.replace(" ", "-")


@each_of("page", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(link)
        elif anchor and target.suffix == ".md":
            headings = _HEADING.findall(_FENCED.sub("", target.read_text("utf-8")))
            if anchor not in {slug(heading) for heading in headings}:
                broken.append(link)
    assert broken == []


def test_citations_of_the_contract_name_sections_and_checks_that_exist() -> None:
    contract = (DOCS / "contract.md").read_text("utf-8")
    sections = set(re.findall(r"^## (\d+)\. ", contract, re.MULTILINE))
    checks = set(re.findall(r"^\| (\d+) \| ", contract, re.MULTILINE))
    cited = [
        (path.relative_to(ROOT).as_posix(), kind, number)
        for folder in ("logops_fast", "tests", "bench", "tools")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for kind, number in re.findall(r"\b([Cc]ontract|check) (\d+)\b", path.read_text("utf-8"))
    ]
    assert cited
    known = {"contract": sections, "check": checks}
    assert [one for one in cited if one[2] not in known[one[1].lower()]] == []
