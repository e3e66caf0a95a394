"""The completion scripts, run by the shells themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from logops_fast.cli.main import COMMANDS
from tests.cli.conftest import Logops
from tests.support.services import require_service
from tests.support.terminal import Terminal

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_logops
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(logops: Logops, shell: str) -> Path:
    path = logops.folder / f"completion.{shell}"
    done = logops("completion", shell)
    assert (done.code, done.err) == (0, "")
    path.write_text(done.out)
    return path


def completed(path: Path, *words: str) -> set[str]:
    done = subprocess.run(
        [require_service("bash"), "-c", COMPLETE, "bash", str(path), *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.process
def test_bash_completes_commands_options_values_and_actions(logops: Logops) -> None:
    path = script(logops, "bash")
    assert completed(path, "logops", "") >= set(COMMANDS)
    assert completed(path, "logops", "sc") == {"scenario"}
    assert completed(path, "logops", "--co") == {"--config"}
    assert completed(path, "logops", "--config", "x.yaml", "to") == {"top"}
    assert completed(path, "logops", "tail", "--l") == {"--lines", "--level"}
    assert completed(path, "logops", "tail", "--level", "W") == {"WARN"}
    assert completed(path, "logops", "keys", "r") == {"rotate", "revoke"}
    assert completed(path, "logops", "keys", "rotate", "--") >= {"--drop-oldest", "--json", "--help", "--config"}
    assert "--old" not in completed(path, "logops", "keys", "rotate", "--")
    assert completed(path, "logops", "emit", "s") == {"syslog"}
    assert completed(path, "logops", "emit", "--form", "") == {"rfc5424", "logops", "mixed"}
    assert completed(path, "logops", "emit", "--seed", "") == set()
    assert completed(path, "logops", "completion", "") >= {"bash", "zsh", "fish"}
    assert completed(path, "logops", "help", "conf") == {"config"}


@pytest.mark.service
@pytest.mark.process
def test_zsh_completes_when_the_tab_key_is_pressed(logops: Logops) -> None:
    zsh = require_service("zsh")
    path = script(logops, "zsh")
    subprocess.run([zsh, "-n", str(path)], check=True)
    dump = logops.folder / "dump"
    (logops.folder / ".zshrc").write_text(
        f"autoload -Uz compinit; compinit -u -d {dump}; source {path}; PS1='ready> '\n"
    )
    env = {"PATH": os.environ["PATH"], "ZDOTDIR": str(logops.folder)}
    terminal = Terminal(logops.folder, 100, 40, zsh, env)
    try:
        terminal.until(lambda text: "ready>" in text)
        for line, offered in (
            ("logops ", ("authgw ", "-- watch running gateways on a live screen")),
            ("logops keys ", ("rotate ", "-- a new client with a new secret")),
            ("logops keys rotate --", ("--drop-oldest ", "-- print JSON")),
            ("logops tail --level ", ("WARN", "FATAL")),
        ):
            terminal.keys("C-u", line, "Tab")
            terminal.until(lambda text, offered=offered: all(words in text for words in offered))  # type: ignore[misc]
    finally:
        terminal.close()


@pytest.mark.service
@pytest.mark.process
def test_fish_completes_by_its_script(logops: Logops) -> None:
    fish = require_service("fish")
    path = script(logops, "fish")

    def offered(line: str) -> set[str]:
        command = f"source {path}; complete -C {json.dumps(line)}"
        env = {**os.environ, "HOME": str(logops.folder), "XDG_CONFIG_HOME": str(logops.folder)}
        done = subprocess.run([fish, "-c", command], capture_output=True, text=True, env=env, check=True)
        assert done.stderr == ""
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    assert offered("logops ") >= set(COMMANDS)
    assert offered("logops tail --level ") >= {"WARN", "ERROR"}
    assert offered("logops keys ") >= {"add", "rotate"}
    assert "--drop-oldest" in offered("logops keys rotate --")
    assert offered("logops emit s") == {"syslog"}


def test_an_unknown_shell_is_refused(logops: Logops) -> None:
    done = logops("completion", "tcsh")
    assert done.code == 2
    assert "invalid choice" in done.err


@pytest.mark.process
def test_nothing_but_the_parsers_is_needed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "logops_fast", "completion", "bash"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("# bash completion of logops")
    assert [*tmp_path.iterdir()] == []
