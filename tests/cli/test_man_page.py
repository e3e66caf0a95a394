"""The man page: made of the parsers, current, and read by man itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from logops_fast.cli.main import COMMANDS
from logops_fast.cli.man_page import man_page
from logops_fast.cli.parsers import Argument, Description
from logops_fast.cli.reference import commands
from tests.support.services import require_service

PAGE = Path(__file__).resolve().parents[2] / "docs" / "logops.1"


def test_every_command_option_and_action_is_on_the_page() -> None:
    text = PAGE.read_text().replace("\\-", "-")
    described = commands()
    assert [command.name for command in described] == list(COMMANDS)
    for command in described:
        assert f".SS logops {command.name} " in text
        for option in (*command.options, *(one for action in command.actions for one in action.options)):
            if option.help and option.flags != ("-h", "--help"):
                assert option.flags[-1] in text, (command.name, option.flags)
        assert command.example, command.name


def test_text_is_escaped() -> None:
    hostile = Argument(("--x",), "A", (), r".dot \fBbold\fR 'quote")
    page = man_page([Description("up", "run it", (hostile,), (), (), "  'a line\n  .SH no heading\n")])
    lines = page.splitlines()
    assert r"\&.dot \efBbold\efR 'quote" in lines
    assert r"\&'a line" in lines
    assert r"\&.SH no heading" in lines
    assert r"\fB\-\-x\fR \fIA\fR" in lines


@pytest.mark.service
@pytest.mark.process
def test_man_reads_it_without_a_warning() -> None:
    man = require_service("man")
    env = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(
        [man, "--warnings=all", "-l", str(PAGE)],
        capture_output=True,
        text=True,
        env=env,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert done.stderr == ""
    for heading in ("NAME", "SYNOPSIS", "COMMANDS", "FILES", "EXIT STATUS"):
        assert f"\n{heading}\n" in f"\n{done.stdout}"
    name = subprocess.run([require_service("lexgrog"), str(PAGE)], capture_output=True, text=True, check=True)
    assert "logops - a fast, strict log gateway in front of Loki" in name.stdout
