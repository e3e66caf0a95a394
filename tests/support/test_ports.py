from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import FIRST, LAST, Ports, free_port

ROOT = Path(__file__).resolve().parents[2]
# Tries to reserve one port of a file; prints whether it could.
OTHER = """
import sys
from pathlib import Path
from tests.support.ports import Ports
print(Ports(Path(sys.argv[1]))._lock(int(sys.argv[2])))
"""


def test_ports_are_distinct_and_below_those_that_the_kernel_gives_to_connections() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(FIRST <= port < LAST for port in ports)


def test_a_port_that_is_listened_on_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports(tmp_path / "ports")
    port = ports.take()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        another = ports.take()
        choices = iter([port, another])
        fresh = Ports(tmp_path / "other")
        monkeypatch.setattr(fresh._random, "randrange", lambda *_: next(choices))
        assert fresh.take() == another


@pytest.mark.process
def test_a_port_of_one_process_is_not_given_to_another(tmp_path: Path) -> None:
    path = tmp_path / "ports"
    mine = Ports(path)
    port = mine.take()

    def other(wanted: int) -> str:
        command = [sys.executable, "-c", OTHER, str(path), str(wanted)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    assert other(port) == "False"
    assert other(port + 1) == "True"
