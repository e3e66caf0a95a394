"""``logops demo`` as a newcomer runs it: signed traffic through both gateways, counted in the files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.gateway import write_keys

pytestmark = [pytest.mark.process, pytest.mark.slow]

DEMO = [sys.executable, "-m", "logops_fast", "demo"]


def lines_in(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.ndjson"))


def test_the_files_hold_what_was_accepted_and_the_summary_says_so(tmp_path: Path) -> None:
    done = subprocess.run([*DEMO, "--duration", "3", "--json"], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    stored = lines_in(tmp_path / "data" / "demo" / "ingest")
    assert result["stored"] == stored > 10_000
    assert result["stored_equals_accepted"] is True
    again = subprocess.run([*DEMO, "--duration", "2", "--workers", "2"], cwd=tmp_path, capture_output=True, timeout=60)
    assert again.returncode == 0, again.stderr
    text = again.stdout.decode()
    for words in ("sent", "accepted", "refused", "stored", "p50", "p95", "p99", "SLO: under 500 ms", "Where"):
        assert words in text
    assert "\x1b" not in text, "no colours in a pipe"


def test_a_client_held_to_version_2_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "demo"
    client = {"secrets": ["test-secret-of-the-demo"], "emitters": ["web", "batch", "csv"], "signature_version": 2}
    write_keys(folder / "keys.yaml", {"demo": client})
    done = subprocess.run([*DEMO, "--duration", "1", "--json"], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stored"] == lines_in(folder / "ingest") > 0


def test_ctrl_c_ends_with_a_summary_and_leaves_no_gateway_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        DEMO, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    log = tmp_path / "data" / "demo" / "gateway.log"
    deadline = time.monotonic() + 60
    while not log.exists() or b"ready" not in log.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stored = tmp_path / "data" / "demo" / "ingest"
    while not lines_in(stored):  # some traffic, so that there is something to sum up
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert b"Traceback" not in err
    assert b"as many lines in the files as were accepted" in out
    running = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True)
    assert running.stdout == b""
