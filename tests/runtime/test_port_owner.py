"""Who has a port: from files like those of /proc, and from this machine's own."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from logops_fast.runtime.port_owner import port_owner

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINUX = sys.platform == "linux"


def row(port: int, state: str, inode: int, address: str = "0100007F") -> str:
    return f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"


class Proc:
    """A folder that looks like /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "net").mkdir()

    def table(self, name: str, *rows: str) -> None:
        (self.folder / "net" / name).write_text(HEAD + "".join(rows))

    def process(self, number: int, comm: str, *targets: str, parent: int = 1) -> None:
        folder = self.folder / str(number)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "stat").write_text(f"{number} (a) b) S {parent} {number} 0 -1\n")
        for descriptor, target in enumerate(targets):
            (folder / "fd" / str(descriptor)).symlink_to(target)

    def owner(self, port: int, *, udp: bool = False) -> str | None:
        return port_owner(port, udp=udp, proc=self.folder)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_who_listens_is_found_by_the_inode_of_the_socket(proc: Proc) -> None:
    proc.table("tcp", row(80, "0A", 71), row(8081, "0A", 72))
    proc.process(9, "other", "socket:[71]", "/dev/null", "pipe:[72]")
    proc.process(4711, "nginx", "socket:[172]", "socket:[72]")
    assert proc.owner(8081) == "process 4711 (nginx)"
    assert proc.owner(80) == "process 9 (other)"


def test_of_processes_that_share_it_the_parent_is_named(proc: Proc) -> None:
    proc.table("tcp6", row(8081, "0A", 72, "0" * 32))
    for number in (77, 300, 1000):  # numbers start again at the highest one
        proc.process(number, f"n{number}", "socket:[72]", parent=8 if number == 1000 else 1000)
    assert proc.owner(8081) == "process 1000 (n1000)"


def test_a_connection_at_the_port_is_not_who_listens(proc: Proc) -> None:
    proc.table("tcp", row(8081, "01", 72), "cut\n")
    proc.process(5, "client", "socket:[72]")
    assert proc.owner(8081) is None


def test_udp_has_tables_of_its_own_and_no_state_that_listens(proc: Proc) -> None:
    proc.table("udp", row(514, "07", 72))
    proc.process(5, "syslogd", "socket:[72]")
    assert proc.owner(514) is None
    assert proc.owner(514, udp=True) == "process 5 (syslogd)"


def test_what_may_not_be_seen_is_not_known(proc: Proc, tmp_path: Path) -> None:
    assert proc.owner(8081) is None  # no tables, as on other systems
    proc.table("tcp", row(8081, "0A", 72))
    assert proc.owner(8081) is None  # another user's process: its descriptors cannot be listed
    proc.process(5, "x", "socket:[72]")
    (tmp_path / "5" / "comm").unlink()
    assert proc.owner(8081) == "process 5"


def test_a_name_that_is_not_printable_is_escaped(proc: Proc) -> None:
    proc.table("tcp", row(8081, "0A", 72))
    proc.process(5, "\x1b[31mred", "socket:[72]")
    assert proc.owner(8081) == "process 5 (\\x1b[31mred)"


@pytest.mark.skipif(not LINUX, reason="no /proc")
def test_this_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = port_owner(taken.getsockname()[1])
    assert found is not None
    assert found.startswith(f"process {os.getpid()} (")
