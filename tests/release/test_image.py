"""The commands of deploy/Dockerfile build what the image runs, with nothing but Python, a C compiler and Rust."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.release.dockerfile import Builder, stages
from tests.release.fresh import ROOT, environment, run

pytestmark = [pytest.mark.release, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(("wanted", "build"), [("1", "native"), ("0", "interpreted")])
def test_the_build_stage_makes_an_environment_that_runs(tmp_path: Path, wanted: str, build: str) -> None:
    first, last = stages((ROOT / "deploy" / "Dockerfile").read_text("utf-8"))
    root = tmp_path / "image"
    builder = Builder(root, COMPILE=wanted, KERNEL=wanted)
    builder.execute(first)
    assert len(builder.skipped) == 1
    assert "COPY --from=build /opt/logops /opt/logops" in [f"{word} {text}" for word, text in last]
    environment_folder = root / "opt" / "logops"
    env = environment(environment_folder / "bin")
    work = tmp_path / "work"
    work.mkdir()
    said = run("logops --version", work, env)
    assert f"({build})" in said
    installed = {path.name.split("-")[0] for path in environment_folder.rglob("*.dist-info")}
    assert "logops_fast" in installed
    assert not {"pip", "hatchling", "editables", "mypy", "maturin"} & installed
    run("logops demo --duration 1", work, env)
