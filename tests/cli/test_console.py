from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from logops_fast.cli.main import main
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_nicegui_a_sentence_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert main(["console"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "logops: the console needs NiceGUI, which is not installed: "
        "pip install 'logops-fast[console]' (in a checkout: '.[console]')"
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.yaml"], "none.yaml"),
        (["--admin", "ftp://x"], "--admin: expected an admin listener"),
        (["--port", "99999"], "console.port: expected an integer"),
    ],
)
def test_what_is_wrong_is_said_before_anything_listens(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["console", *arguments]) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert "token" not in found.out


def test_a_port_that_is_taken_is_said_and_no_token_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert main(["console", "--port", str(port)]) == 2
    found = capsys.readouterr()
    assert f"console.port: port {port} on 127.0.0.1 is in use" in found.err
    assert found.err.endswith("choose another port with --port or console.port\n")
    assert "token" not in found.out
