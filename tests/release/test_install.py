"""What the README says about installing, in an environment that has nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.console import blocks
from tests.release.fresh import ROOT, environment, new_environment, run

pytestmark = [pytest.mark.release, pytest.mark.timeout(1200)]


def install_commands() -> list[str]:
    """Return the commands of the block that installs the gateway, compiled and with the kernel, from the checkout."""
    for block in blocks(ROOT / "README.md"):
        commands = [step.command for step in block.steps]
        if any(command.startswith("LOGOPS_COMPILE=1 pip install . ./kernel") for command in commands):
            return commands
    raise AssertionError("the README does not say how to install")


def test_the_readmes_commands_install_a_gateway_with_the_native_kernel_that_runs(tmp_path: Path) -> None:
    env = environment(new_environment(tmp_path / "venv"), PIP_DISABLE_PIP_VERSION_CHECK="1")
    for command in install_commands():
        run(command, ROOT, env)
    assert re.fullmatch(r"logops \S+ \(native\)\n", run("logops --version", ROOT, env))
    without = run("logops --version", ROOT, env | {"LOGOPS_NATIVE": "0"})
    assert re.fullmatch(r"logops \S+ \(compiled\)\n", without)
    work = tmp_path / "work"
    work.mkdir()
    run("logops demo --duration 1", work, env)
    assert list((work / "data" / "demo" / "ingest").glob("*.ndjson"))


def test_without_the_switch_it_installs_in_pure_python(tmp_path: Path) -> None:
    env = environment(new_environment(tmp_path / "venv"), PIP_DISABLE_PIP_VERSION_CHECK="1")
    run("pip install .", ROOT, env)
    assert re.fullmatch(r"logops \S+ \(interpreted\)\n", run("logops --version", tmp_path, env))
    assert run("logops scenario list", tmp_path, env)
