"""The systemd unit: it starts and reloads what exists, its times fit the program's, its sandbox is tight."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest

from logops_fast.cli.main import COMMANDS, EXIT_USAGE
from logops_fast.config.settings import Settings
from logops_fast.runtime.supervisor import KILL_MARGIN, REAP_PATIENCE, RELOAD_PATIENCE
from logops_fast.runtime.watchdog import START_PATIENCE, UNHEALTHY_AFTER
from tests.support.services import require_service

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "logops.service"
MOST_EXPOSED = 2.0  # of systemd-analyze's ten


def settings_of(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    return settings_of(UNIT)


@pytest.mark.parametrize(("name", "command"), [("ExecStart", "up"), ("ExecReload", "reload")])
def test_the_commands_exist(unit: dict[str, list[str]], name: str, command: str) -> None:
    (line,) = unit[name]
    words = line.split()
    assert PurePosixPath(words[0]).name == "logops"
    assert words[1] == "--config"
    assert words[3] == command
    assert command in COMMANDS


def test_the_times_fit_those_of_the_program(unit: dict[str, list[str]]) -> None:
    server = Settings().server
    (stop,), (start,), (watchdog,) = unit["TimeoutStopSec"], unit["TimeoutStartSec"], unit["WatchdogSec"]
    assert float(stop) > server.drain_timeout + KILL_MARGIN + REAP_PATIENCE
    assert float(start) >= START_PATIENCE
    # The supervisor stops feeding it this long after the last worker: it has had the time to replace one.
    assert float(watchdog) > max(UNHEALTHY_AFTER, server.worker_timeout)
    assert float(start) > RELOAD_PATIENCE
    assert unit["RestartPreventExitStatus"] == [str(EXIT_USAGE)]
    assert unit["KillMode"] == ["mixed"]


def test_everything_it_writes_is_in_its_own_directories(unit: dict[str, list[str]]) -> None:
    settings = Settings()
    assert unit["WorkingDirectory"] == [f"/var/lib/{unit['StateDirectory'][0]}"]
    for path in (settings.server.pid_file, settings.auth.keys_file, settings.sink.dir, settings.pii.fernet_keys_file):
        assert not Path(path).is_absolute(), path
    (state,) = [value.removeprefix("LOGOPS_STATE__DIR=") for value in unit["Environment"]]
    assert state.startswith(f"/run/{unit['RuntimeDirectory'][0]}/")
    assert unit["RuntimeDirectoryPreserve"] == ["yes"]


@pytest.mark.service
def test_its_sandbox_is_tight() -> None:
    analyze = require_service("systemd-analyze")
    threshold = str(int(MOST_EXPOSED * 10))
    command = [analyze, "security", "--offline=true", f"--threshold={threshold}", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level for logops.service" in done.stdout


@pytest.mark.service
def test_systemd_takes_it_without_a_complaint(tmp_path: Path) -> None:
    analyze = require_service("systemd-analyze")
    copy = tmp_path / UNIT.name
    # The program is not installed at its place here, nor is its page.
    copy.write_text(UNIT.read_text().replace("/opt/logops/bin/logops", "/bin/true"))
    command = [analyze, "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
