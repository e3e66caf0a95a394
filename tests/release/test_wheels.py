"""`make wheels`: what is handed to other machines bears the tags of the machines that it runs on, and installs."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.release.fresh import ROOT, environment, new_environment, run

pytestmark = [
    pytest.mark.release,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="auditwheel is for Linux"),
]
ABI = f"cp3{sys.version_info[1]}"
PLATFORM = r"(?:manylinux\w+\.)?manylinux_2_[0-9]+_\w+"
TAGS = {
    "logops_fast": rf"py3-none-any|{ABI}-{ABI}-{PLATFORM}",
    "logops_fast_kernel": rf"cp311-abi3-{PLATFORM}",
}


def libraries(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.endswith(".so")]


def test_the_three_wheels_have_the_right_tags_and_run_without_a_compiler(tmp_path: Path) -> None:
    out = tmp_path / "wheels"
    subprocess.run(["make", "wheels", f"VENV={sys.prefix}", f"ARGS=--out {out}"], cwd=ROOT, check=True)
    wheels = sorted(out.glob("*.whl"))
    assert len(wheels) == 3
    native = []
    for wheel in wheels:
        name, _, tag = wheel.stem.split("-", 2)
        assert re.fullmatch(TAGS[name], tag), wheel.name
        assert bool(libraries(wheel)) is (tag != "py3-none-any")
        if libraries(wheel):
            native.append(wheel)
            command = [str(ROOT / "build/wheel-tools/bin/python"), "-m", "auditwheel", "show", str(wheel)]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert re.search(r'consistent with\s+the\s+following\s+platform\s+tag:\s+"manylinux_', shown), shown
    assert len(native) == 2
    env = environment(new_environment(tmp_path / "venv"), PIP_DISABLE_PIP_VERSION_CHECK="1")
    run(["pip", "install", "--quiet", *map(str, native)], tmp_path, env)
    assert re.fullmatch(r"logops \S+ \(native\)\n", run("logops --version", tmp_path, env))
    without = run("logops --version", tmp_path, env | {"LOGOPS_NATIVE": "0"})
    assert re.fullmatch(r"logops \S+ \(compiled\)\n", without)
