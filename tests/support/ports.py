"""Ports for servers that tests start: no other test process and no outgoing connection takes one in between."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# The kernel gives the ports of its ephemeral range (32768 and above by default) to outgoing connections, and tests
# open thousands of those. A port of that range that was free when a test chose it can be the local end of another
# test's connection when the server starts, a second later.
FIRST, LAST = 10_000, 32_000


class Ports:
    """Ports reserved for this process by record locks on one file, byte N for port N.

    The kernel drops the locks when the process ends, however it ends. A forked child does not inherit them.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._taken: set[int] = set()
        self._random = random.SystemRandom()
        self._last = min(LAST, _first_ephemeral())

    def take(self) -> int:
        """Return a port of 127.0.0.1 that nothing listens on; it stays reserved while this process lives."""
        for _ in range(1000):
            port = self._random.randrange(FIRST, self._last)
            if port not in self._taken and self._lock(port):
                self._taken.add(port)
                if _is_free(port):
                    return port
        raise RuntimeError(f"no free port between {FIRST} and {self._last}")

    def _lock(self, port: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True


def _first_ephemeral() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 49_152  # IANA's range, which macOS uses


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_PORTS = Ports(Path(tempfile.gettempdir()) / f"logops-test-ports-{os.getuid()}")


def free_port() -> int:
    """Return a port of 127.0.0.1 for a server of this test process; no other test process gets it meanwhile."""
    return _PORTS.take()
