"""The package of ``logops-fast-client``: what is in it, what it imports, and that it works under its own name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from client.hatch_build import PACKAGE, imported, modules, write_package
from logops_fast import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client") / PACKAGE
    write_package(ROOT, folder, __version__)
    return folder


def test_it_has_the_client_library_and_no_part_of_a_gateway(package: Path) -> None:
    names = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert {"__init__.py", "handler.py", "async_client.py", "formats/signature.py", "http/pool.py"} <= names
    assert not {name.partition("/")[0] for name in names} & {"authgw", "ingest", "runtime", "cli", "state", "telemetry"}
    assert len(names) == len(modules(ROOT))  # none has overwritten another


def test_it_imports_what_it_declares_and_nothing_else(package: Path) -> None:
    declared = {re.split(r"[<>=]", line)[0] for line in PROJECT["project"]["dependencies"]}
    found = {name.partition(".")[0] for path in package.rglob("*.py") for name in imported(path)}
    assert found - sys.stdlib_module_names - {PACKAGE} == declared


def test_no_name_of_the_gateways_package_is_left(package: Path) -> None:
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "logops_fast." not in text, path
        ast.parse(text)


def test_its_dependencies_are_those_of_the_gateway() -> None:
    gateway = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert set(PROJECT["project"]["dependencies"]) <= set(gateway)


@pytest.mark.process
def test_it_sends_under_its_own_name_and_beside_the_gateways(package: Path) -> None:
    from tests.client.test_handler import accept, serving

    program = (
        "import sys, logging\n"
        "import logops_fast_client\n"
        "from logops_fast_client.handler import LogOpsHandler\n"
        "from logops_fast.client.handler import LogOpsHandler as Other\n"
        "assert LogOpsHandler is not Other\n"
        "assert logops_fast_client.__version__ == sys.argv[2]\n"
        "for kind in (LogOpsHandler, Other):\n"
        "    logging.getLogger().addHandler(kind(sys.argv[1], 'k', 'ssssssss'))\n"
        "logging.warning('hello')\n"
    )
    with serving(accept) as server:
        command = [sys.executable, "-c", program, server.url, __version__]
        env = {"PYTHONPATH": f"{package.parent}:{ROOT}"}
        subprocess.run(command, check=True, timeout=60, env=env)
        assert [event["msg"] for event in server.stored] == ["hello", "hello"]
