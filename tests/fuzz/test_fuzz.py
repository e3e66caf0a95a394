"""Every target: as many inputs as the profile sets; in `make long` for LOGOPS_FUZZ_SECONDS, seed LOGOPS_FUZZ_SEED."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.engine import Outcome, fuzz, shrink
from tests.fuzz.targets import TARGETS, Target
from tests.support.examples import examples

ROOT = Path(__file__).parents[2]
INPUTS = examples(10)
SECONDS = float(os.environ.get("LOGOPS_FUZZ_SECONDS", "120"))
SEED = int(os.environ.get("LOGOPS_FUZZ_SEED", "1"))


def judge(name: str, outcome: Outcome) -> None:
    if outcome.data is not None:
        pytest.fail(f"{name} is broken by {shrink(TARGETS[name], outcome.data)!r}: {outcome.error!r}")


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name: str) -> None:
    outcome = fuzz(TARGETS[name], SEED, inputs=INPUTS)
    judge(name, outcome)
    assert outcome.runs == len(TARGETS[name].seeds) + INPUTS


@pytest.mark.process
def test_the_command_runs_each_target_and_says_what_was_broken() -> None:
    words = [sys.executable, "-m", "tests.fuzz", "--engine", "built-in", "--minutes", "0.005", "--seed", "3"]
    done = subprocess.run([*words, "keys", "headers"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["keys", "headers"]
    assert lines[2].endswith("nothing broken")
    done = subprocess.run([*words, "other"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "no target other" in done.stderr


def test_the_command_keeps_what_breaks_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(data: bytes) -> None:
        if b"!" in data:
            raise ValueError("it has an exclamation mark")

    monkeypatch.setitem(TARGETS, "fragile", Target(fragile, [b"a"], [b"!"]))
    monkeypatch.setattr(command, "FOUND", tmp_path)
    assert command.mutating("fragile", 60, 1) == 1
    assert (tmp_path / "fragile-1").read_bytes() == b"!"


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise_for_minutes(name: str) -> None:
    outcome = fuzz(TARGETS[name], SEED, seconds=SECONDS)
    judge(name, outcome)
    print(f"\n{name}: {outcome.runs} inputs, seed {SEED}")
