"""docs/signing.md: each sample is built and run as it is there, and a real gateway stores what it sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.console import ROOT
from tests.docs.recipes import recipes
from tests.support.gateway import Gateway, running
from tests.support.services import require_service

PAGE = ROOT / "docs" / "signing.md"
RECIPES = recipes(PAGE)
CLIENT, SECRET = "signer", "secret-of-the-signer-in-UTF-8-ü"
KEPT = ("PATH", "HOME", "GOCACHE", "CARGO_HOME", "RUSTUP_HOME")
LONGEST = 30  # lines of a sample


class Sample(NamedTuple):
    """A language: its program on the page, the tool it needs, the commands that build and run it."""

    language: str
    name: str
    tool: str
    commands: tuple[tuple[str, ...], ...]


SAMPLES = [
    Sample("Python", "sign.py", "python3", ((sys.executable, "-W", "error", "sign.py"),)),
    Sample("bash", "sign.sh", "openssl", (("bash", "sign.sh"),)),
    Sample("Java", "Sign.java", "java", (("java", "Sign.java"),)),
    Sample("JavaScript", "sign.mjs", "node", (("node", "sign.mjs"),)),
    Sample("C#", "Sign.cs", "mcs", (("mcs", "-r:System.Net.Http.dll", "Sign.cs"), ("mono", "Sign.exe"))),
]
# They compile their libraries first, for a minute.
GO = Sample("Go", "sign.go", "go", (("go", "run", "sign.go"),))
RUST = Sample("Rust", "main.rs", "cargo", (("cargo", "run", "--quiet"),))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    clients = {CLIENT: {"secrets": [SECRET], "signature_version": 2}}
    with running(tmp_path_factory.mktemp("gateway"), clients=clients) as gateway:
        yield gateway


def send(gateway: Gateway, sample: Sample, folder: Path) -> None:
    """Run a sample in ``folder`` and look for its event in the gateway's files."""
    require_service(sample.tool)
    # What a build keeps (go, cargo) stays in its usual place below HOME.
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "GOCACHE", "GOFLAGS", "CARGO_HOME") if name in os.environ
    }
    environment = {
        **kept,
        "LC_ALL": "C.UTF-8",  # for the secret, which is not ASCII
        "ENTRYPOINT_URL": f"http://127.0.0.1:{gateway.auth_port}/ingest?from={len(sample.language)}%20",
        "LOGOPS_API_KEY": CLIENT,
        "LOGOPS_SECRET": SECRET,
    }
    for command in sample.commands:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"hello from {sample.language}" in [event["msg"] for event in gateway.stored()], (
        done.stdout + gateway.output()
    )


@pytest.mark.process
@pytest.mark.service
@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.language)
def test_a_sample_sends(gateway: Gateway, sample: Sample, tmp_path: Path) -> None:
    (tmp_path / sample.name).write_text(RECIPES[sample.name].text)
    send(gateway, sample, tmp_path)


@pytest.mark.process
@pytest.mark.release
@pytest.mark.timeout(900)
def test_the_sample_in_go_sends(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / GO.name).write_text(RECIPES[GO.name].text)
    send(gateway, GO, tmp_path)


@pytest.mark.process
@pytest.mark.release
@pytest.mark.timeout(900)
def test_the_sample_in_rust_sends(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "Cargo.toml").write_text(RECIPES["Cargo.toml"].text)
    (tmp_path / "src" / "main.rs").write_text(RECIPES["main.rs"].text)
    send(gateway, RUST, tmp_path)


def test_every_sample_is_run_and_short() -> None:
    assert set(RECIPES) == {sample.name for sample in (*SAMPLES, GO, RUST)} | {"Cargo.toml"}
    assert {name: n for name, recipe in RECIPES.items() if (n := len(recipe.text.splitlines())) > LONGEST} == {}
    assert PAGE.read_text("utf-8").count("```") == 2 * len(RECIPES)  # no block of another kind escapes
