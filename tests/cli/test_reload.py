from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Logops
from tests.support.gateway import KEY, Gateway, running

PATIENCE = 60.0


def reload(gateway: Gateway, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "logops_fast", "reload", *options]
    return subprocess.run(command, cwd=gateway.dir, capture_output=True, text=True, timeout=PATIENCE, check=False)


def until_logged(gateway: Gateway, text: str, times: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while gateway.output().count(text) < times:
        assert time.monotonic() < deadline, gateway.output()
        time.sleep(0.02)


@pytest.mark.process
def test_a_running_gateway_is_found_by_its_pid_file_and_reloads(tmp_path: Path) -> None:
    with running(tmp_path, settings={"auth": {"watch_keys": False}}) as gateway:
        keys = tmp_path / "data" / "keys.yaml"
        assert (tmp_path / "data" / "logops.pid").read_text() == f"{gateway.process.pid}\n"
        keys.write_text(keys.read_text().replace(f"{KEY}:", "web-2:"))
        assert gateway.send([{"msg": "m"}], key="web-2").status == 401
        done = reload(gateway)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"process {gateway.process.pid} reloads" in done.stdout
        until_logged(gateway, '"reloaded"', 1)
        assert gateway.send([{"msg": "m"}], key="web-2").status == 200
        # By its number, and not what the gateway would refuse anyway.
        assert reload(gateway, "--pid", str(gateway.process.pid)).returncode == 0
        until_logged(gateway, '"reloaded"', 2)
        keys.write_text("clients: {web-2: {secrets: []}}")
        refused = reload(gateway)
        assert refused.returncode == 2
        assert refused.stderr.startswith("logops: not reloaded: data/keys.yaml")
        assert reload(gateway, "--force").returncode == 0
        until_logged(gateway, "reload refused, nothing was changed", 1)
    assert not (tmp_path / "data" / "logops.pid").exists()


@pytest.mark.process
def test_a_second_gateway_in_the_same_place_leaves_the_file_alone(tmp_path: Path) -> None:
    with running(tmp_path, "ingest") as first:
        path = tmp_path / "data" / "logops.pid"
        with running(tmp_path, "authgw", settings={"ingest": {"port": first.ingest_port}}) as second:
            assert path.read_text() == f"{first.process.pid}\n"
            assert f"no pid file: data/logops.pid belongs to process {first.process.pid}" in second.output()
        assert path.read_text() == f"{first.process.pid}\n"


def test_without_a_gateway_the_reason_is_said(logops: Logops, keys: Path) -> None:
    done = logops("reload")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("logops: data/logops.pid does not exist: is `logops up` running")
    # A number that is in use, by a process that never held the file.
    (keys.parent / "logops.pid").write_text(f"{os.getppid()}\n")
    done = logops("reload")
    assert done.code == 1
    assert "data/logops.pid is stale, the process that wrote it has ended" in done.err
    (logops.folder / "logops.yaml").write_text('server: {pid_file: ""}')
    assert "name the process with --pid" in logops("reload").err


@pytest.mark.process
def test_another_process_is_not_signalled(logops: Logops) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        while not Path(f"/proc/{other.pid}/cmdline").read_bytes():  # empty for a moment in mid-exec
            time.sleep(0.001)
        done = logops("reload", "--pid", str(other.pid))
        assert other.poll() is None
        other.kill()
    assert done.code == 1
    assert done.err == f"logops: process {other.pid} is no gateway, it is 'sleep 600'\n"
    assert "does not exist" in logops("reload", "--pid", str(other.pid)).err
    assert "--pid: 1 is no gateway" in logops("reload", "--pid", "1").err
