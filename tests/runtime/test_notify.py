"""What the service manager receives, read from its end of the socket."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from logops_fast.runtime.notify import Notifier
from tests.support.gateway import running

PATIENCE = 60.0


class Manager:
    """The service manager's socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(PATIENCE)

    def next(self) -> dict[str, str]:
        """The next message."""
        lines = self.socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def until(self, key: str) -> dict[str, str]:
        """The next message with this key."""
        while key not in (message := self.next()):
            pass
        return message


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.chdir(tmp_path)  # a path of a socket has at most 107 bytes
    made = Manager("notify")
    with closing(made.socket):
        yield made


def test_each_message_is_as_sd_notify_3_has_it(manager: Manager, tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000", "PATH": "/bin"}
    if len(env["NOTIFY_SOCKET"]) > 100:
        pytest.skip("the folder's name is too long for a socket")
    notifier = Notifier.of(env, 77)
    assert env == {"PATH": "/bin"}  # a child must not think it is meant
    notifier.ready("serving with 2 workers")
    assert manager.next() == {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "serving with 2 workers"}
    notifier.reloading(12.5)
    assert manager.next() == {"RELOADING": "1", "MONOTONIC_USEC": "12500000", "STATUS": "reloading"}
    notifier.stopping("draining")
    assert manager.next() == {"STOPPING": "1", "STATUS": "draining"}


def sent(manager: Manager) -> int:
    """How many messages wait."""
    manager.socket.setblocking(False)
    count = 0
    try:
        while manager.socket.recv(4096):
            count += 1
    except BlockingIOError:
        return count
    return count


def test_the_watchdog_is_fed_twice_in_its_time(manager: Manager, tmp_path: Path) -> None:
    notifier = Notifier(os.path.relpath(tmp_path / "notify"), 4.0)
    for tick in range(100, 121):  # ten seconds of ticks
        notifier.alive(tick / 2)
    assert sent(manager) == 6


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "78"},  # another process's
        {"WATCHDOG_USEC": "soon"},
    ],
)
def test_without_a_watchdog_nothing_is_fed(manager: Manager, env: dict[str, str], tmp_path: Path) -> None:
    Notifier.of({"NOTIFY_SOCKET": str(tmp_path / "notify")} | env, 77).alive(100.0)
    assert sent(manager) == 0


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/gone/for/good"])
def test_without_a_manager_nothing_happens(address: str) -> None:
    Notifier.of({"NOTIFY_SOCKET": address}, 77).ready("serving")


@pytest.mark.skipif(sys.platform != "linux", reason="abstract addresses are Linux's")
def test_an_abstract_address_is_written_with_an_at() -> None:
    name = f"logops-test-{os.getpid()}"
    with closing(Manager(f"\0{name}").socket) as end:
        Notifier.of({"NOTIFY_SOCKET": f"@{name}"}, 1).stopping("draining")
        assert end.recv(100).startswith(b"STOPPING=1")


@pytest.mark.process
def test_a_gateway_reports_its_start_its_reload_its_health_and_its_end(manager: Manager, tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
    with running(tmp_path / "gateway", workers=2, env=env) as gateway:
        ready = manager.until("READY")
        assert (ready["MAINPID"], ready["STATUS"]) == (str(gateway.process.pid), "serving with 2 workers")
        manager.until("WATCHDOG")
        gateway.signal(signal.SIGHUP)
        assert int(manager.until("RELOADING")["MONOTONIC_USEC"]) > 0
        assert "READY" in manager.until("READY")
        assert gateway.output().count('"reloaded"') == 2  # READY came after the reload of both workers
        manager.until("WATCHDOG")
        gateway.stop()
        assert manager.until("STOPPING")["STATUS"] == "draining"


@pytest.mark.process
@pytest.mark.fault
def test_a_supervisor_that_hangs_does_not_feed_the_watchdog(manager: Manager, tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
    with running(tmp_path / "gateway", env=env) as gateway:
        manager.until("READY")
        os.kill(gateway.process.pid, signal.SIGSTOP)  # the supervisor itself hangs
        try:
            time.sleep(0.1)
            sent(manager)
            manager.socket.settimeout(2.0)
            with pytest.raises(TimeoutError):
                manager.next()
        finally:
            os.kill(gateway.process.pid, signal.SIGCONT)
        manager.socket.settimeout(PATIENCE)
        manager.until("WATCHDOG")
