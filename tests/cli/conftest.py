from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from logops_fast.cli.main import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Logops:
    """``logops`` in this process, in a folder of its own and without the environment's settings."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *argv: str) -> Done:
        self._capsys.readouterr()
        code = main(list(argv))
        return Done(code, *self._capsys.readouterr())


@pytest.fixture
def logops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Logops:
    for name in [*os.environ]:
        if name.startswith("LOGOPS_") or name == "ENTRYPOINT_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Logops(tmp_path, capsys)


@pytest.fixture
def keys(logops: Logops) -> Path:
    """A keys file with two clients."""
    path = logops.folder / "data" / "keys.yaml"
    path.parent.mkdir()
    path.write_text(
        "clients:\n"
        "  demo: {secrets: [demo-secret], emitter: demo, emitters: [demo, web]}\n"
        "  web-1: {secrets: [s3cr3t-now, s3cr3t-before], emitter: web}\n"
    )
    path.chmod(0o600)
    return path
