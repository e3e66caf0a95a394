from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, signal, subprocess, sys
from tests.support.signals import let_children_be_interrupted
let_children_be_interrupted()
child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
print(subprocess.check_output([sys.executable, "-c", child], text=True).strip())
try:
    os.kill(os.getpid(), signal.SIGINT)
    print("goes on")
except KeyboardInterrupt:
    print("is interrupted")
"""


@pytest.mark.process
@pytest.mark.parametrize(("trap", "itself"), [("trap '' INT", "goes on"), ("trap - INT", "is interrupted")])
def test_what_a_run_ignores_its_children_need_not(trap: str, itself: str) -> None:
    command = ["sh", "-c", f'{trap}; exec "$0" -c "$1"', sys.executable, PROGRAM]
    # A shell cannot reset what was ignored when it began: this run resets it (tests/conftest.py).
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["True", itself]
