"""What `logops top` costs: the share of a core that it takes beside a gateway with many emitters.

python -m bench.top_cost [--emitters 20] [--seconds 30]

The screen is drawn on a pseudo-terminal of each size; CPU seconds are the process's own, its start left out.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Final

from bench import machine
from tests.support.gateway import Gateway, running

SIZES: Final = ((80, 24), (200, 50))
SETTLE: Final = 5.0  # seconds: imports, the first screens


def main() -> int:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emitters", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--interval", type=float, default=1.0)
    args = parser.parse_args()
    names = [f"emitter-{number}" for number in range(args.emitters)]
    clients = {"web-1": {"secrets": ["test-secret-web-1"], "emitter": names[0], "emitters": names}}
    stop = threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), workers=2, clients=clients) as gateway,
    ):
        sender = threading.Thread(target=send, args=(gateway, names, stop))
        sender.start()
        try:
            print(machine.one_line(machine.facts(Path(folder))))
            for columns, rows in SIZES:
                share, lines = cost(gateway, columns, rows, args.seconds, args.interval)
                print(f"{columns}x{rows}: {share:.2%} of a core, {lines} lines of metrics, every {args.interval:g} s")
        finally:
            stop.set()
            sender.join()
    return 0


def send(gateway: Gateway, names: list[str], stop: threading.Event) -> None:
    """Send small batches of every emitter, until ``stop`` is set."""
    while not stop.is_set():
        for name in names:
            gateway.send([{"msg": "one"}] * 10, headers={"X-Emitter": name})
        stop.wait(0.1)


def cost(
    gateway: Gateway, columns: int, rows: int, seconds: float, interval: float, settle: float = SETTLE
) -> tuple[float, int]:
    """Return the share of a core that the screen takes, and the lines it reads each time."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    url = f"http://127.0.0.1:{gateway.admin_port}"
    command = [sys.executable, "-m", "logops_fast", "top", "--url", url, "--interval", str(interval)]
    env = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=env) as process:
        threading.Thread(target=drain, args=(leader,), daemon=True).start()
        time.sleep(settle)
        before, began = cpu(process.pid), time.monotonic()
        time.sleep(seconds)
        share = (cpu(process.pid) - before) / (time.monotonic() - began)
        lines = sum(map(len, gateway.metrics(gateway.admin_port).values()))
        os.write(leader, b"q")
        process.wait(30)
    os.close(follower)
    return share, lines


def drain(leader: int) -> None:
    """Read what the terminal would show."""
    while True:
        try:
            os.read(leader, 65536)
        except OSError:
            return


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
