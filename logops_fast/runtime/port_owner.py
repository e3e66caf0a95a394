"""Which process has a port, for a start that finds it taken. Known on Linux, of the processes one may look into."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from logops_fast.errors import one_line

PROC: Final = Path("/proc")
MOST_PROCESSES: Final = 20_000
"""Processes whose files are looked through at most."""

_TABLES: Final = ("tcp", "tcp6", "udp", "udp6")
_LISTENS: Final = "0A"  # the kernel's TCP_LISTEN
_SOCKET: Final = re.compile(r"socket:\[([0-9]+)\]")


def port_owner(port: int, *, udp: bool = False, proc: Path = PROC) -> str | None:
    """Return ``process 4711 (nginx)`` for the one that listens on a port at any address, None if it cannot be found.

    Of processes that share the socket it is the parent: the one to stop. ``proc`` is where the kernel shows processes
    (proc(5)).
    """
    inodes = set(_listening(port, udp, proc))
    if not inodes:
        return None
    processes = sorted(int(name) for name in _names(proc) if name.isdigit())[:MOST_PROCESSES]
    holders = [process for process in processes if _has_one_of(inodes, proc / str(process) / "fd")]
    for process in holders:
        if _parent(proc / str(process)) not in holders:
            return f"process {process}{_command(proc / str(process))}"
    return None


def _has_one_of(inodes: set[str], folder: Path) -> bool:
    for name in _names(folder):
        with contextlib.suppress(OSError):
            found = _SOCKET.fullmatch(os.readlink(folder / name))
            if found is not None and found[1] in inodes:
                return True
    return False


def _parent(folder: Path) -> int | None:
    try:
        # after the command's name, which may hold anything: the state, then the parent
        return int((folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _listening(port: int, udp: bool, proc: Path) -> Iterator[str]:
    """Yield the inodes of the sockets that receive on a port."""
    for table in _TABLES:
        if table.startswith("udp") != udp:
            continue
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text("ascii", "replace").splitlines()[1:]:
                fields = line.split()
                if len(fields) < 10 or not (udp or fields[3] == _LISTENS):
                    continue
                if fields[1].rpartition(":")[2] == f"{port:04X}":
                    yield fields[9]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # gone by now, or another user's
        return []


def _command(folder: Path) -> str:
    try:
        return f" ({one_line((folder / 'comm').read_text('utf-8', 'replace').strip())})"
    except OSError:
        return ""
