"""SECURITY.md is true: every row of its table names tests that exist; the lock files pin by hash."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.support.tables import each_of

ROOT = Path(__file__).parents[1]
POLICY = (ROOT / "SECURITY.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s;]+( ; .+)?")


def rows() -> list[list[str]]:
    """The cells of the threat table."""
    lines = [line for line in POLICY.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_table_has_a_defence_and_a_test_in_each_row() -> None:
    assert len(rows()) >= 20
    for row in rows():
        assert len(row) == 3, row
        assert all(row), row
        assert NAMED.search(row[2]), f"no test is named for: {row[0]}"


@cache
def functions(path: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a test file by their names."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@each_of(("path", "function"), sorted({named for row in rows() for named in NAMED.findall(row[2])}), ids=str)
def test_every_named_test_exists_and_runs(path: str, function: str) -> None:
    tests = functions(path)
    if function:
        assert function in tests
        assert not any("skip" in ast.unparse(decorator) for decorator in tests[function].decorator_list)
    else:
        assert any(name.startswith("test_") for name in tests)


def test_the_policy_says_what_is_not_defended_and_how_to_report() -> None:
    assert "## What is not defended" in POLICY
    assert "private security advisory" in POLICY


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_dependency_is_pinned_by_hash(name: str) -> None:
    entries = (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()
    found = [line for line in entries if line.strip() and not line.startswith("#")]
    assert len(found) > 10
    for line in found:
        requirement, _, hashes = line.partition("--hash=")
        assert PINNED.fullmatch(requirement.strip()), requirement
        assert re.fullmatch(r"sha256:[0-9a-f]{64}(\s+--hash=sha256:[0-9a-f]{64})*", hashes.strip()), requirement


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lock = (ROOT / "requirements.lock").read_text("utf-8").lower()
    for requirement in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9_-]+", requirement)
        assert name is not None
        assert re.search(rf"^{name[0].lower()}==", lock, re.MULTILINE), requirement
