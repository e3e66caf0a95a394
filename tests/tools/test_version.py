"""The version is defined in logops_fast/__init__.py; files that cannot import it repeat it, and agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from logops_fast import __version__
from tests.support.tables import each_of

ROOT = Path(__file__).resolve().parents[2]
REPEATED = {
    "CHANGELOG.md": r"^## (\d\S*)",
    "deploy/Dockerfile": r"ARG VERSION=(\S+)",
    "deploy/README.md": r"newTag: ([\w.]+)",
    "deploy/k8s/base/kustomization.yaml": r"newTag: ([\w.]+)",
    "docker-compose.yml": r"LOGOPS_VERSION:-([\w.]+)\}",
    ".env.example": r"LOGOPS_VERSION=(\S+)",
    "client/pyproject.toml": r'^version = "(\S+)"',
    "docs/openapi.yaml": r"^  version: (\S+)",
}


def test_the_package_takes_its_version_from_the_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "logops_fast/__init__.py"


@each_of("name", REPEATED)
def test_a_file_that_repeats_the_version_agrees(name: str) -> None:
    found = re.findall(REPEATED[name], (ROOT / name).read_text("utf-8"), re.MULTILINE)
    assert found
    newest = found[:1] if name == "CHANGELOG.md" else found
    assert set(newest) == {__version__}
