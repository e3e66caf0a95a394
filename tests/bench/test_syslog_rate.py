"""The rate of syslog, in a short form that looks at no clock; and the memory of many connections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import syslog_rate

pytestmark = [pytest.mark.process, pytest.mark.bench]


def report(tmp_path: Path, *words: str) -> dict[str, dict[str, float]]:
    out = tmp_path / "syslog.json"
    assert syslog_rate.main(["--rounds", "1", "--times", "1", "--senders", "1", "--out", str(out), *words]) == 0
    found: dict[str, dict[str, float]] = json.loads(out.read_text())
    return found


@pytest.mark.slow
def test_a_short_run_stores_every_line_of_either_framing(tmp_path: Path) -> None:
    found = report(tmp_path, "--connections", "20")
    assert set(found["lines_per_cpu_second"]) == {"newline", "octet-count"}
    assert found["memory_mib"]["with"] > 0


@pytest.mark.long
def test_ten_thousand_connections_take_less_than_200_mib(tmp_path: Path) -> None:
    found = report(tmp_path, "--framing", "newline", "--connections", "10000")
    assert found["memory_mib"]["with"] < 200
