"""What native code does otherwise than the interpreter, without a word: kept out of the modules that are compiled."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.compile_hook import modules

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONFIG: dict[str, Any] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]
COMPILED = modules(ROOT / "", CONFIG)


def faults(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
            yield f"line {node.lineno}: a coroutine, whose throw() warns from Python 3.12 on"
        if isinstance(node, ast.Compare):
            for operator, right in zip(node.ops, node.comparators, strict=True):
                if isinstance(operator, (ast.Is, ast.IsNot)) and ast.unparse(right) in ("inf", "math.inf", "nan"):
                    yield f"line {node.lineno}: a float has no identity in native code"
        if isinstance(node, ast.FunctionDef):
            caught: dict[str, str] = {}
            for handler in ast.walk(node):
                if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type:
                    kind = ast.unparse(handler.type)
                    if caught.setdefault(handler.name, kind) != kind:
                        yield f"line {handler.lineno}: {handler.name} is of two types, and the second is not taken"


def test_the_packages_on_a_batchs_way_are_compiled() -> None:
    assert {"logops_fast/ingest/normaliser.py", "logops_fast/authgw/gateway.py", "logops_fast/http/connection.py"} <= {
        *COMPILED
    }
    assert not any("redis" in module or module.endswith("__init__.py") for module in COMPILED)


@pytest.mark.parametrize("module", COMPILED)
def test_a_compiled_module_means_the_same(module: str) -> None:
    assert list(faults((ROOT / module).read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "async def f() -> None: ...",
        "def f(x: float) -> bool:\n    return x is inf",
        "def f() -> None:\n    try:\n        g()\n    except KeyError as error:\n        h(error)\n"
        "    except OSError as error:\n        h(error)",
    ],
)
def test_each_fault_is_seen(source: str) -> None:
    assert len(list(faults(source))) == 1


def test_nothing_is_compiled_unless_it_is_asked_for() -> None:
    assert PROJECT["dependency-groups"]["compile"]
    assert not any(name.startswith(("mypy", "setuptools")) for name in PROJECT["build-system"]["requires"])
