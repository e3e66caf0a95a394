"""What a person sees when the gateway cannot start: one line, exit code 2, no traceback (and when it can)."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, request, running, start, write_keys
from tests.support.ports import free_port

pytestmark = pytest.mark.process


def refused(folder: Path, command: str = "up", **options: Any) -> str:
    """The one line with which the command refuses to start."""
    gateway = start(folder, command, wait=False, **options)
    try:
        code = gateway.process.wait(20)
    finally:
        gateway.process.kill()
        gateway.process.wait()
    output = gateway.output().strip()
    assert code == 2, output
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 1, output
    return lines[0]


def test_an_unknown_setting_names_its_path_and_its_neighbour(tmp_path: Path) -> None:
    line = refused(tmp_path, settings={"ratelimit": {"per_emiter": {"capacity": 1}}})
    assert "ratelimit.per_emiter" in line
    assert "per_emitter" in line


def test_a_wrong_type_says_what_was_expected(tmp_path: Path) -> None:
    line = refused(tmp_path, settings={"ratelimit": {"per_emitter": {"capacity": "many"}}})
    assert 'ratelimit.per_emitter.capacity: expected an integer >= 1, got "many"' in line


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("clients: {web: {emitter: web}}", "secrets"),
        ("clients: {web: {secrets: [], emitter: web}}", "secrets"),
        ("clients: [", "keys.yaml"),
        ("", "clients"),
        ("clients: {web: {secrets: [abcdefghij], emitter: 'no good'}}", "emitter"),
    ],
)
def test_a_bad_keys_file(tmp_path: Path, content: str, word: str) -> None:
    keys = tmp_path / "data" / "keys.yaml"
    keys.parent.mkdir()
    keys.write_text(content)
    keys.chmod(0o600)
    assert word in refused(tmp_path)


def test_a_missing_keys_file_of_authgw(tmp_path: Path) -> None:
    line = refused(tmp_path, "authgw", settings={"auth": {"keys_file": "elsewhere/keys.yaml"}})
    assert "elsewhere/keys.yaml" in line


@pytest.mark.parametrize("command", ["up", "authgw", "ingest"])
def test_a_port_in_use(tmp_path: Path, command: str) -> None:
    with running(tmp_path / "first") as first:
        taken = {"authgw": {"port": first.auth_port}, "ingest": {"port": first.ingest_port}}
        line = refused(tmp_path / "second", command, settings=taken)
        gateway = "ingest" if command == "ingest" else "authgw"
        port = taken[gateway]["port"]
        assert f"{gateway}.port: port {port} on 127.0.0.1 is in use by process {first.process.pid} (" in line
        assert line.endswith(f"choose another port with --{gateway}-port or {gateway}.port")
        assert request(first.auth_port, "GET", "/readyz").status == 200


def test_a_start_that_fails_on_a_taken_port_creates_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {**os.environ, "LOGOPS_AUTHGW__PORT": str(taken.getsockname()[1]), "LOGOPS_STATE__DIR": "data/state"}
        command = [sys.executable, "-m", "logops_fast", "up"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_an_unwritable_sink(tmp_path: Path, workers: int) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ingest").write_text("a file where a folder should be")
    assert "data/ingest" in refused(tmp_path, workers=workers)


def test_a_second_gateway_on_the_same_sink(tmp_path: Path) -> None:
    with running(tmp_path / "first") as first:
        other = {"sink": {"dir": str(first.sink)}}
        assert str(first.sink) in refused(tmp_path / "second", settings=other)


@pytest.mark.parametrize("keys", [None, "", "not a key\n", "# only a comment\n"])
def test_encryption_asked_for_without_a_valid_key(tmp_path: Path, keys: str | None) -> None:
    (tmp_path / "data").mkdir()
    if keys is not None:
        (tmp_path / "data" / "fernet.keys").write_text(keys)
    line = refused(tmp_path, settings={"pii": {"encrypt": True}})
    assert "fernet" in line.lower()


def test_with_no_configuration_up_makes_its_keys_and_says_so(tmp_path: Path) -> None:
    ports = {f"LOGOPS_{name}__PORT": str(free_port()) for name in ("AUTHGW", "INGEST", "ADMIN")}
    ports["LOGOPS_STATE__DIR"] = "data/state"  # on tmpfs it would outlive the test
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "logops_fast", "up"],
            cwd=tmp_path,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ports},
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if request(int(ports["LOGOPS_AUTHGW__PORT"]), "GET", "/readyz").status == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        keys = tmp_path / "data" / "keys.yaml"
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        assert "data/keys.yaml" in log.read_text()
        import yaml

        secret = yaml.safe_load(keys.read_text())["clients"]["demo"]["secrets"][0]
        assert secret not in log.read_text()
    finally:
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_drains_and_exits_0(tmp_path: Path, number: signal.Signals, workers: int) -> None:
    with running(tmp_path, workers=workers) as gateway:
        assert gateway.send([{"msg": "before"}]).status == 200
        gateway.signal(number)
        assert gateway.process.wait(60) == 0, gateway.output()
        assert "Traceback" not in gateway.output()
        assert len(gateway.stored()) == 1


def revise(gateway: Gateway, clients: dict[str, Any]) -> None:
    write_keys(gateway.dir / "data" / "keys.yaml", clients)
    gateway.signal(signal.SIGHUP)


@pytest.mark.parametrize("workers", [1, 3])
def test_sighup_reloads_keys_in_every_worker_and_a_bad_file_changes_nothing(tmp_path: Path, workers: int) -> None:
    lenient = {"auth": {"failures": {"capacity": 100000, "refill_per_sec": 1000}}}
    with running(tmp_path, workers=workers, settings=lenient) as gateway:
        new = {"late": {"secrets": ["a-late-secret"], "emitter": "late"}}
        body = b'{"msg":"x"}'
        assert gateway.send(body, key="late", secret="a-late-secret").reason == "unknown_client"

        def settled(key: str, secret: str, status: int) -> None:
            deadline = time.monotonic() + 60
            streak = 0
            while streak < 12:
                streak = streak + 1 if gateway.send(body, key=key, secret=secret).status == status else 0
                assert time.monotonic() < deadline, gateway.output()

        revise(gateway, new)
        settled("late", "a-late-secret", 200)
        settled("web-1", "test-secret-web-1", 401)
        (gateway.dir / "data" / "keys.yaml").write_text("clients: [broken")
        gateway.signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while "keys.yaml" not in gateway.output().rsplit("reload", 1)[-1]:
            assert time.monotonic() < deadline, gateway.output()
            time.sleep(0.05)
        settled("late", "a-late-secret", 200)
