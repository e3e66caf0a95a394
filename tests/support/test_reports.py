from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.support.reports import reduce_reports

received = []

def pytest_configure(config):
    reduce_reports(config)

def pytest_runtest_logreport(report):
    received.append((report.nodeid.partition("::")[2], report.when))

def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        print("received", sorted(received))
"""
TESTS = """
import pytest

def test_passes(): pass

def test_fails(): assert 0

@pytest.mark.skip
def test_is_skipped(): pass

@pytest.fixture
def broken():
    raise ValueError("set-up")

def test_has_no_set_up(broken): pass

@pytest.fixture
def untidy():
    yield
    raise ValueError("tear-down")

def test_has_no_tear_down(untidy): pass
"""
OF_USE = [
    ("test_fails", "call"),
    ("test_has_no_set_up", "setup"),
    ("test_has_no_tear_down", "call"),
    ("test_has_no_tear_down", "teardown"),
    ("test_is_skipped", "setup"),
    ("test_passes", "call"),
]


@pytest.mark.process
@pytest.mark.parametrize(("option", "reports"), [((), len(OF_USE)), (("--durations=3",), 13)], ids=["few", "all"])
def test_no_outcome_is_lost(tmp_path: Path, option: tuple[str, ...], reports: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_all.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "no:schemathesis", "-p", "no:cacheprovider"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run([*command, *option], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 2 passed, 1 skipped, 2 errors" in done.stdout
    assert "assert 0" in done.stdout
    (received,) = [line for line in done.stdout.splitlines() if line.startswith("received ")]
    found = eval(received.removeprefix("received "))
    assert len(found) == reports
    assert set(found) >= set(OF_USE)
