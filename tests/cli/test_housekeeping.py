from __future__ import annotations

import datetime as dt
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.cli.conftest import Logops

TOOL = Path(__file__).parents[2] / "tools" / "housekeeping.py"


def name(days_ago: int) -> str:
    return f"{dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago):%Y%m%d}.ndjson"


@pytest.fixture
def stored(logops: Logops) -> Path:
    """Files of today, of 8 and of 40 days ago, and one that is not the gateway's."""
    directory = logops.folder / "data" / "ingest"
    directory.mkdir(parents=True)
    for file in (name(0), name(8), name(40), "notes.txt"):
        (directory / file).write_text('{"msg":"a"}\n')
    return directory


def left(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")}


def test_old_files_go_by_the_settings(logops: Logops, stored: Path) -> None:
    assert logops("housekeeping").code == 0
    assert left(stored) == {name(0), "notes.txt"}


def test_a_dry_run_says_what_it_would_do_and_does_nothing(logops: Logops, stored: Path) -> None:
    done = logops("housekeeping", "--dry-run")
    assert done.code == 0
    assert name(8) in done.out
    assert left(stored) == {name(0), name(8), name(40), "notes.txt"}


def test_the_days_may_be_given(logops: Logops, stored: Path) -> None:
    assert logops("housekeeping", "--retention-days", "30").code == 0
    assert left(stored) == {name(0), name(8), "notes.txt"}
    done = logops("housekeeping", "--retention-days", "-1")
    assert done.err == "logops: command line: housekeeping.retention_days: expected an integer >= 0, got -1\n"


def test_the_report_as_json_and_the_archive_of_v04(
    logops: Logops, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGOPS_ARCHIVE_MODE", "zip")
    done = logops("housekeeping", "--json")
    assert isinstance(json.loads(done.out), dict)
    assert len(list((logops.folder / "data" / "archive").rglob("*.zip"))) == 2
    assert left(stored) == {name(0), "notes.txt"}


def test_a_file_that_stays_is_code_1(logops: Logops, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOPS_ARCHIVE_MODE", "gzip")
    (logops.folder / "data" / "archive").write_text("not a directory")
    assert logops("housekeeping").code == 1
    assert name(40) in left(stored)


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("housekeeping_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_has_run_once_for_programs(logops: Logops, stored: Path) -> None:
    tool = load_tool()
    tool.run_once(dry_run=True)
    assert name(40) in left(stored)
    report = tool.run_once()
    assert not report.errors
    assert left(stored) == {name(0), "notes.txt"}


@pytest.mark.process
def test_the_script_is_the_command(logops: Logops, stored: Path) -> None:
    done = subprocess.run([sys.executable, str(TOOL)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert left(stored) == {name(0), "notes.txt"}
