"""Housekeeping by the gateway itself, by the command and by the tool: the same run."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.gateway import running

pytestmark = pytest.mark.process


def old_file(sink: Path, days: int) -> Path:
    sink.mkdir(parents=True, exist_ok=True)
    path = sink / f"{datetime.now(UTC) - timedelta(days=days):%Y%m%d}.ndjson"
    path.write_text('{"msg":"old"}\n')
    return path


@pytest.mark.parametrize("workers", [1, 3])
def test_the_gateway_archives_old_files_at_its_start_in_one_worker_only(tmp_path: Path, workers: int) -> None:
    old, young = old_file(tmp_path / "data" / "ingest", 30), old_file(tmp_path / "data" / "ingest", 2)
    with running(tmp_path, settings={"housekeeping": {"archive": "gzip"}}, workers=workers) as gateway:
        deadline = time.monotonic() + 60
        while gateway.metric("logops_housekeeping_runs_total", outcome="ok") < 1:
            assert time.monotonic() < deadline, gateway.output()
            time.sleep(0.05)
        assert not old.exists()
        assert young.exists()
        (archived,) = (tmp_path / "data" / "archive").glob("*.gz")
        assert gzip.decompress(archived.read_bytes()) == b'{"msg":"old"}\n'
        assert gateway.metric("logops_housekeeping_files_total", action="gzip") == 1
        assert gateway.metric("logops_housekeeping_runs_total") == 1
        assert gateway.send([{"msg": "new"}]).status == 200


@pytest.mark.parametrize(
    "door", [["-m", "logops_fast", "housekeeping"], [str(Path("tools/housekeeping.py").resolve())]]
)
def test_the_command_and_the_tool_say_what_they_would_do_and_then_do_it(tmp_path: Path, door: list[str]) -> None:
    old = old_file(tmp_path / "data" / "ingest", 30)

    def run(*args: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, *door, "--json", *args], cwd=tmp_path, check=True, capture_output=True, timeout=30
        )
        report: dict[str, object] = json.loads(done.stdout)
        return report

    assert run("--dry-run")["outcome"] == "ok"
    assert old.exists()
    assert run()["outcome"] == "ok"
    assert not old.exists()
