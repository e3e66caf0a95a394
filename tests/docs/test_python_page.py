"""docs/python.md: each program on it is run as it is there, and what it logs is stored by a real gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from client.hatch_build import PACKAGE, write_package
from logops_fast import __version__
from tests.docs.console import ROOT
from tests.docs.recipes import recipes
from tests.support.gateway import Gateway, running

CLIENT, SECRET, TOKEN = "demo", "test-secret-of-demo", "0123456789abcdef0123456789abcdef"
RECIPES = recipes(ROOT / "docs" / "python.md")
# What each program sends: a few fields of its events.
SENT: dict[str, list[dict[str, Any]]] = {
    "handler.py": [
        {"msg": "payment of b***@example.com refused", "order": 17, "level": "WARN", "app": "shop", "logger": "root"},
        {"msg": "payment refused", "order": 18, "level": "WARN", "app": "shop", "logger": "root"},
    ],
    "dictconfig.py": [{"msg": "configured", "level": "INFO", "app": "shop"}],
    "structlog_sender.py": [
        {"msg": "payment refused", "order": 17, "level": "WARN", "app": "shop", "logger": "shop"},
    ],
    "loguru_sender.py": [{"msg": "payment refused", "level": "WARN", "app": "shop", "extra": {"order": 17}}],
    "with_token.py": [{"msg": "sent with a token", "level": "WARN", "emitter": CLIENT}],
    "asynchronous.py": [
        {"msg": "stored", "scenario_id": "import-7"},
        {"msg": "when this returns", "scenario_id": "import-7"},
        {"msg": "queued, and sent with others", "level": "INFO", "scenario_id": "import-7"},
    ],
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    clients = {CLIENT: {"secrets": [SECRET], "tokens": [TOKEN]}}
    with running(folder, clients=clients, settings={"auth": {"mode": "any"}}) as gateway:
        write_package(ROOT, folder / "site" / PACKAGE, __version__)
        yield gateway


def run(gateway: Gateway, name: str) -> list[dict[str, Any]]:
    """Run a program of the page, and return what it had stored."""
    text = RECIPES[name].text.replace("127.0.0.1:8081", f"127.0.0.1:{gateway.auth_port}")
    for old, new in {"the client's secret": SECRET, "the client's token": TOKEN}.items():
        text = text.replace(old, new)
    program = gateway.dir / name
    program.write_text(text)
    before = len(gateway.stored())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(gateway.dir / "site"),
        "ENTRYPOINT_URL": f"http://127.0.0.1:{gateway.auth_port}/ingest",
        "LOGOPS_API_KEY": CLIENT,
        "LOGOPS_SECRET": SECRET,
    }
    command = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return gateway.stored()[before:]


@pytest.mark.process
@pytest.mark.parametrize("name", SENT)
def test_a_program_of_the_page_sends_what_it_says(gateway: Gateway, name: str) -> None:
    stored = run(gateway, name)
    shown = [{field: event.get(field) for field in wanted} for event, wanted in zip(stored, SENT[name], strict=True)]
    assert sorted(shown, key=str) == sorted(SENT[name], key=str)


def test_every_program_of_the_page_is_run() -> None:
    assert set(RECIPES) == set(SENT)
