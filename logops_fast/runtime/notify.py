"""Messages to the service manager: sd_notify(3) over its datagram socket, without a library.

systemd sets NOTIFY_SOCKET for a unit of ``Type=notify``, and WATCHDOG_USEC where it has ``WatchdogSec=``. Without them
nothing is sent. A message that cannot be delivered is dropped: the manager's own timeouts decide then.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

_SEND_TIMEOUT: Final = 1.0  # seconds; the manager's queue may be full for a moment


class Notifier:
    """Tells the service manager when the service is ready, reloads, stops, and that it is alive."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        """``watchdog`` is the seconds after which the manager misses a message; 0: it does not watch."""
        # A leading @ stands for the NUL of an abstract address (unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every = watchdog / 2
        self._alive_at = 0.0

    @classmethod
    def of(cls, env: MutableMapping[str, str], pid: int) -> Notifier:
        """Return the notifier that the environment asks for, and take it out: it is not for child processes."""
        address = env.pop("NOTIFY_SOCKET", "")
        microseconds = env.pop("WATCHDOG_USEC", "")
        meant = env.pop("WATCHDOG_PID", str(pid)) == str(pid)
        watchdog = int(microseconds) / 1e6 if meant and microseconds.isascii() and microseconds.isdigit() else 0.0
        return cls(address if address.startswith(("/", "@")) else "", watchdog)

    def __repr__(self) -> str:
        return f"<Notifier {self._address!r} watchdog={2 * self._every:g} s>"

    def ready(self, status: str) -> None:
        """Report that the service serves, or that a reload has ended; ``status`` is one line for people."""
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")

    def reloading(self, now: float) -> None:
        """Report a reload that began at ``now`` (CLOCK_MONOTONIC, seconds)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(now * 1e6)}\nSTATUS=reloading")

    def stopping(self, status: str) -> None:
        """Report that the service stops."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def alive(self, now: float) -> None:
        """Feed the manager's watchdog, at most twice in its time. Call it at every tick while all is well."""
        if self._every and now - self._alive_at >= self._every:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_SEND_TIMEOUT)
                sock.sendto(message.encode(), self._address)
        except OSError:
            return
