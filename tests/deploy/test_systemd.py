"""The systemd units: they start and reload what exists, their times fit the program's, their sandboxes are tight."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest

from logops_fast.cli.main import COMMANDS, EXIT_USAGE
from logops_fast.config.settings import Settings, ship_dir
from logops_fast.runtime.reloading import PATIENCE as RELOAD_PATIENCE
from logops_fast.runtime.supervisor import KILL_MARGIN, REAP_PATIENCE
from logops_fast.runtime.watchdog import START_PATIENCE, UNHEALTHY_AFTER
from tests.loki.server import loki
from tests.support.gateway import running
from tests.support.ports import free_port
from tests.support.services import require_service
from tests.support.shipping import Ship

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
GATEWAY, SHIPPER = FOLDER / "logops.service", FOLDER / "logops-ship.service"
UNITS = (GATEWAY, SHIPPER)
MOST_EXPOSED = 2.0  # of systemd-analyze's ten


def settings_of(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


each_unit = pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)


def test_every_unit_is_checked_here() -> None:
    assert set(FOLDER.iterdir()) == set(UNITS)


@pytest.mark.parametrize(
    ("path", "name", "command"),
    [
        (GATEWAY, "ExecStart", "up"),
        (GATEWAY, "ExecReload", "reload"),
        (SHIPPER, "ExecStart", "ship"),
        (SHIPPER, "ExecReload", "reload"),
    ],
)
def test_the_commands_exist(path: Path, name: str, command: str) -> None:
    (line,) = settings_of(path)[name]
    words = line.split()
    assert PurePosixPath(words[0]).name == "logops"
    assert words[1] == "--config"
    assert words[3] == command
    assert command in COMMANDS


@each_unit
def test_the_times_fit_those_of_the_program(path: Path) -> None:
    unit, server = settings_of(path), Settings().server
    (stop,), (start,), (watchdog,) = unit["TimeoutStopSec"], unit["TimeoutStartSec"], unit["WatchdogSec"]
    assert float(stop) > server.drain_timeout + KILL_MARGIN + REAP_PATIENCE
    assert float(start) >= START_PATIENCE
    # The supervisor stops feeding it this long after the last worker: it has had the time to replace one.
    assert float(watchdog) > max(UNHEALTHY_AFTER, server.worker_timeout)
    assert float(start) > RELOAD_PATIENCE
    assert unit["RestartPreventExitStatus"] == [str(EXIT_USAGE)]
    assert unit["KillMode"] == ["mixed"]


def test_everything_it_writes_is_in_its_own_directories() -> None:
    unit, settings = settings_of(GATEWAY), Settings()
    assert unit["WorkingDirectory"] == [f"/var/lib/{unit['StateDirectory'][0]}"]
    for path in (settings.server.pid_file, settings.auth.keys_file, settings.sink.dir, settings.pii.fernet_keys_file):
        assert not Path(path).is_absolute(), path
    (state,) = [value.removeprefix("LOGOPS_STATE__DIR=") for value in unit["Environment"]]
    assert state.startswith(f"/run/{unit['RuntimeDirectory'][0]}/")
    assert unit["RuntimeDirectoryPreserve"] == ["yes"]


def test_the_shipper_reads_what_the_gateway_writes_as_the_same_user() -> None:
    gateway, shipper = settings_of(GATEWAY), settings_of(SHIPPER)
    # Of a unit without User= the dynamic user has the unit's name (systemd.exec(5), DynamicUser=).
    assert "User" not in gateway
    assert shipper["User"] == [GATEWAY.stem]
    for name in ("DynamicUser", "StateDirectory", "StateDirectoryMode", "WorkingDirectory", "UMask"):
        assert shipper[name] == gateway[name], name
    assert {line.split()[2] for unit in (gateway, shipper) for line in unit["ExecStart"]} == {"/etc/logops/logops.yaml"}
    assert not Path(ship_dir(Settings())).is_absolute()
    # Ordered by it, and not bound to it.
    assert GATEWAY.name in shipper["After"][0].split()
    assert not {"Requires", "Requisite", "BindsTo", "PartOf"} & shipper.keys()


def test_the_shippers_sandbox_is_the_gateways() -> None:
    own = {"ExecStart", "Description", "After", "User", "RuntimeDirectory", "RuntimeDirectoryMode"}
    own |= {"RuntimeDirectoryPreserve", "Environment"}
    gateway, shipper = settings_of(GATEWAY), settings_of(SHIPPER)
    assert {name: value for name, value in gateway.items() if name not in own} == {
        name: value for name, value in shipper.items() if name not in own
    }


@pytest.mark.service
@each_unit
def test_its_sandbox_is_tight(path: Path) -> None:
    analyze = require_service("systemd-analyze")
    threshold = str(int(MOST_EXPOSED * 10))
    command = [analyze, "security", "--offline=true", f"--threshold={threshold}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert f"Overall exposure level for {path.name}" in done.stdout


@pytest.mark.service
@each_unit
def test_systemd_takes_it_without_a_complaint(path: Path, tmp_path: Path) -> None:
    analyze = require_service("systemd-analyze")
    copy = tmp_path / path.name
    # The program is not installed at its place here, nor is its page.
    copy.write_text(path.read_text().replace("/opt/logops/bin/logops", "/bin/true"))
    command = [analyze, "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# MemoryDenyWriteExecute=, as the kernel has it since 6.3: prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), kept over exec.
_RESTRICTED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "logops_fast", *sys.argv[1:]])
"""


def members(analyze: str, name: str) -> set[str]:
    """The system calls of a filter's set, as this systemd has it."""
    listed = subprocess.run([analyze, "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    found: set[str] = set()
    for line in listed.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= members(analyze, word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def allowed_calls(analyze: str, filters: list[str]) -> set[str]:
    """What SystemCallFilter= leaves, its lines taken in order."""
    allowed: set[str] = set()
    for line in filters:
        named = set[str]().union(*(members(analyze, word) for word in line.lstrip("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


@pytest.mark.service
@pytest.mark.process
def test_a_gateway_makes_no_system_call_that_the_unit_refuses(tmp_path: Path) -> None:
    analyze, strace = require_service("systemd-analyze"), require_service("strace")
    trace = tmp_path / "trace"
    listening = f"127.0.0.1:{free_port()}"
    settings = {"syslog": {"enabled": True, "tcp": listening, "udp": listening}}
    program = ("-f", "-qq", "-o", str(trace), sys.executable, "-c", _RESTRICTED)
    with running(tmp_path, workers=2, settings=settings, python=strace, program=program) as gateway:
        assert gateway.send([{"msg": "one"}]).status == 200
        pid = int((tmp_path / "data" / "logops.pid").read_text())
        os.kill(pid, signal.SIGHUP)
        deadline = time.monotonic() + 60
        while gateway.output().count('"reloaded"') < 2:
            assert time.monotonic() < deadline, gateway.output()
            time.sleep(0.05)
        os.kill(pid, signal.SIGTERM)
        assert gateway.process.wait(60) == 0, gateway.output()
    called = calls_in(trace)
    assert {"execve", "fdatasync"} & called
    assert called - allowed_calls(analyze, settings_of(GATEWAY)["SystemCallFilter"]) == set()


@pytest.mark.service
@pytest.mark.process
def test_a_shipper_makes_no_system_call_that_its_unit_refuses(tmp_path: Path) -> None:
    analyze, strace = require_service("systemd-analyze"), require_service("strace")
    trace, token = tmp_path / "trace", tmp_path / "token"
    token.write_text("first\n")
    program = (strace, "-f", "-qq", "-o", str(trace), sys.executable, "-c", _RESTRICTED)
    with loki() as server, Ship.running(tmp_path, server, token, program) as ship:
        ship.put("one")
        ship.until(lambda: server.count() == 1)
        (pid,) = ship.children()
        os.kill(pid, signal.SIGHUP)
        ship.logged("reloaded: ")
        os.kill(pid, signal.SIGTERM)
        assert ship.process.wait(60) == 0, ship.log.read_text()
    called = calls_in(trace)
    assert {"execve", "fsync"} & called
    assert called - allowed_calls(analyze, settings_of(SHIPPER)["SystemCallFilter"]) == set()


def calls_in(trace: Path) -> set[str]:
    """The system calls in what strace has written."""
    return set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z]\w*)[( ]", trace.read_text(errors="replace"), re.MULTILINE))
