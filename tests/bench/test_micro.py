"""The micro suite runs, and its table is right. No time is asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import stages

ROOT = Path(__file__).parents[2]


@pytest.mark.process
@pytest.mark.bench
@pytest.mark.slow
def test_every_stage_runs() -> None:
    command = [sys.executable, "-m", "pytest", "bench/micro", "--benchmark-disable", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_table_divides_by_the_events_of_a_call() -> None:
    saved = {
        "machine_info": {
            "cpu": {"brand_raw": "Some CPU"},
            "machine": "x86_64",
            "node": "a-host-name",
            "system": "Linux",
            "python_implementation": "CPython",
            "python_version": "3.11.9",
        },
        "commit_info": {"id": "abcdef0123456789", "dirty": True},
        "datetime": "2026-01-02T03:04:05.678901",
        "benchmarks": [
            {"group": "parse: json", "params": {"size": 100}, "extra_info": {"events": 100}, "stats": {"min": 40e-6}},
            {"group": "auth: HMAC", "params": None, "extra_info": {"events": 0}, "stats": {"min": 1.2e-6}},
            {"group": "http: request", "params": {"size": 10}, "extra_info": {"events": 0}, "stats": {"min": 7e-6}},
        ],
    }
    text = stages.tables(saved)
    assert "| parse: json |  |  | 0.40 |  |" in text
    assert "| auth: HMAC | 1.20 |" in text
    assert "| http: request, 10 events | 7.00 |" in text
    assert text.endswith("Some CPU, Linux, CPython 3.11.9; commit abcdef0123+, 2026-01-02T03:04.\n")
    assert "a-host-name" not in text
