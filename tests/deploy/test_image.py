"""The image and what runs in it beside the package."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.compose import ship
from logops_fast.config.keys_file import Keyring
from logops_fast.shipper.positions import FILE
from tests.deploy.collectors import parse_alloy
from tests.deploy.support import DEPLOY, ROOT, compose, read_yaml
from tests.release.dockerfile import ignored
from tests.support.gateway import running
from tests.support.ports import free_port
from tests.support.tables import each_of

DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
INIT = DEPLOY / "compose" / "init.py"
SHIP = DEPLOY / "compose" / "ship.py"
HEALTHCHECK = DEPLOY / "compose" / "healthcheck.py"


def copied() -> set[str]:
    """What the image is built from."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return {source.rstrip("/") for line in lines for source in line.split()[:-1]}


def test_what_is_copied_exists_and_reaches_the_build() -> None:
    for source in copied():
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


def test_what_the_wheel_needs_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        *wheel.get("force-include", {}),
        *wheel.get("shared-data", {}),
        *wheel["packages"],
        project["project"]["readme"],
        "LICENSE",
    }
    needed |= {wheel["hooks"]["custom"]["path"], "requirements.lock", "requirements-compile.lock"}
    assert needed <= copied()


@each_of("path", ["data/keys.yaml", ".git/config", ".env", "logops.yaml", "tests/support/signing.py"])
def test_secrets_data_and_history_never_reach_the_build(path: str) -> None:
    assert ignored(path)


def test_the_last_stage_has_a_user_of_its_own_a_health_check_and_no_build_tools() -> None:
    assert len(STAGES) == 2
    last = STAGES[-1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "org.opencontainers.image.version" in last
    assert "pip uninstall" in last
    assert not re.search(r"pip install|apt-get|gcc|build-essential", last)
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)


def test_volumes_are_mounted_where_the_image_has_directories_of_its_user() -> None:
    made = re.findall(r"install -d -o logops[^\n]*?((?: /[\w/-]+)+)", STAGES[-1])
    directories = {directory for line in made for directory in line.split()}
    services = compose("ship")["services"]
    for service in ("init", "authgw", "ingest", "collector"):
        for volume in services[service]["volumes"]:
            assert volume.split(":")[1] in directories, f"{service}: {volume}"


def run_init(folder: Path) -> str:
    for name in ("keys", "grafana", "redis", "positions"):
        (folder / name).mkdir(exist_ok=True)
    command = [
        *(sys.executable, str(INIT), f"--keys={folder}/keys/keys.yaml"),
        *(f"--grafana-password={folder}/grafana/password", f"--redis-password={folder}/redis/password"),
        f"--positions={folder}/positions",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
def test_init_makes_what_is_missing_and_keeps_what_is_there(tmp_path: Path) -> None:
    said = run_init(tmp_path)
    keys, password = tmp_path / "keys" / "keys.yaml", tmp_path / "grafana" / "password"
    client = Keyring.load(keys).clients["demo"]
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "positions").iterdir()} == {"promtail", "alloy"}
    assert len(password.read_text()) >= 20
    redis = tmp_path / "redis" / "password"
    assert len(redis.read_text()) >= 20
    assert redis.read_text() != password.read_text()
    assert redis.read_text() not in said
    assert client.secrets[0].decode() not in said
    assert password.read_text() not in said
    before = keys.read_bytes(), password.read_bytes(), redis.read_bytes()
    assert run_init(tmp_path).count("kept") == 3
    assert (keys.read_bytes(), password.read_bytes(), redis.read_bytes()) == before


@pytest.mark.process
def test_the_health_check_says_whether_a_gateway_serves(tmp_path: Path) -> None:
    def check(*urls: str) -> int:
        return subprocess.run([sys.executable, str(HEALTHCHECK), *urls], timeout=20, check=False).returncode

    unused = f"http://127.0.0.1:{free_port()}/healthz"
    with running(tmp_path, "ingest") as gateway:
        here = f"http://127.0.0.1:{gateway.ingest_port}"
        assert check(f"{here}/healthz") == 0
        assert check(unused, f"{here}/healthz") == 0
        assert check(f"{here}/nothing") == 1
    assert check(unused) == 1


def ship_arguments(folder: Path) -> list[str]:
    """What the shipper's container would run, by a `logops` that says its arguments."""
    (folder / "bin").mkdir(exist_ok=True)
    logops = folder / "bin" / "logops"
    logops.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    logops.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "LOGOPS_SINK__DIR": str(folder / "ingest"),
    }
    command = [sys.executable, str(SHIP), f"--positions={folder / 'collector'}", "--from", "end"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True, cwd=ROOT)
    return done.stdout.splitlines()


@pytest.mark.process
def test_the_shipper_continues_where_the_collector_that_ran_last_stopped(tmp_path: Path) -> None:
    """Without a step of its own: changing LOGOPS_COLLECTOR is all there is to the move."""
    assert ship_arguments(tmp_path) == ["ship", "--from", "end"], "none ran"
    promtail, alloy = tmp_path / "collector" / ship.PROMTAIL, tmp_path / "collector" / ship.ALLOY
    for path in (promtail, alloy):
        path.parent.mkdir(parents=True)
    promtail.write_text("positions: {}\n")
    assert ship_arguments(tmp_path) == ["ship", "--from", "end"], "it ran, and read nothing"
    promtail.write_text('positions:\n  /var/lib/logops/ingest/20261126.ndjson: "120"\n')
    assert ship_arguments(tmp_path) == ["ship", "--import-positions", str(promtail), "--from", "end"]
    alloy.write_text('positions:\n  ? path: /var/lib/logops/ingest/20261126.ndjson\n    labels: "{}"\n  : "240"\n')
    os.utime(promtail, (1, 1))
    assert ship_arguments(tmp_path) == ["ship", "--import-positions", str(alloy), "--from", "end"]
    own = tmp_path / "ingest" / "ship" / FILE
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    assert ship_arguments(tmp_path) == ["ship", "--from", "end"], "it has positions of its own"


def test_alloy_s_positions_are_looked_for_where_alloy_keeps_them() -> None:
    """``<storage.path>/<component>/positions.yml`` (internal/component/loki/source/file)."""
    services = compose("alloy")["services"]
    storage = next(word for word in services["collector"]["command"] if word.startswith("--storage.path="))
    assert storage == f"--storage.path=/var/lib/collector/{ship.ALLOY.parts[0]}"
    assert f'{ship.ALLOY.parts[1].rpartition(".")[0]} "{ship.ALLOY.parts[1].rpartition(".")[2]}"' in parse_alloy(
        (DEPLOY / "alloy" / "config.alloy").read_text("utf-8")
    )
    (volume,) = (v for v in compose("ship")["services"]["collector"]["volumes"] if v.startswith("collector:"))
    assert f"--positions={volume.split(':')[1]}" in compose("ship")["services"]["collector"]["entrypoint"]
    positions = read_yaml(DEPLOY / "promtail" / "promtail.yml")["positions"]["filename"]
    assert positions == f"/var/lib/collector/{ship.PROMTAIL}"
