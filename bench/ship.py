"""The shipper's own speed: stored lines of the gateway, through ``logops ship --once``, to a server that takes all.

    python -m bench.ship --lines 1000000

Figures are CPU seconds of the shipper's process alone, and its memory: the most that it had, and its median in the
second and in the last quarter of the run, so that growth is seen.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

SAMPLE_EVERY: Final = 0.1  # s
ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


class Figures(NamedTuple):
    """One run: lines, CPU and wall seconds, most resident memory in MiB, and its median early and late."""

    lines: int
    cpu: float
    wall: float
    memory: float
    early: float
    late: float

    def text(self) -> str:
        """Return the figures for people."""
        rate = self.lines / self.cpu
        return (
            f"{self.lines:,} lines: {rate:,.0f} a CPU second, {self.lines / self.wall:,.0f} a second of "
            f"wall time, {self.memory:.0f} MiB at most, {self.early:.1f} MiB early, {self.late:.1f} MiB late"
        )


def write_lines(path: Path, lines: int, seed: int = 1) -> None:
    """Write lines as the gateway stores them: three emitters, four levels, 280 bytes on average."""
    chance = random.Random(seed)
    levels = ["INFO"] * 7 + ["WARN", "ERROR", "DEBUG"]
    now = int(time.time() * 1e6) - lines * 10
    with path.open("wb", buffering=1 << 20) as out:
        for number in range(lines):
            at = now + number * 10
            ts = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1_000_000)) + f".{at % 1_000_000:06d}Z"
            event = {
                "ts": ts,
                "level": chance.choice(levels),
                "emitter": chance.choice(("web", "batch", "csv")),
                "scenario_id": "na",
                "app": chance.choice(("checkout", "cart", "search", "mail")),
                "source": "ingest",
                "msg": f"GET /cart/{number} took {chance.randrange(900)} ms for a***@example.com from 10.1.x.x",
                "trace_id": f"{chance.getrandbits(128):032x}",
                "status": chance.choice((200, 200, 200, 404, 500)),
                "host": f"web-{chance.randrange(6)}",
            }
            out.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")


def take_all(listener: socket.socket) -> None:
    """Answer every request on every connection with 204."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb", 1 << 20) as stream:
        while True:
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line[15:])
            if not line:
                return
            stream.read(length)
            connection.sendall(ANSWER)


def measure(lines: int) -> Figures:
    """Ship ``lines`` lines once."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        ingest = Path(folder) / "ingest"
        ingest.mkdir()
        write_lines(ingest / time.strftime("%Y%m%d.ndjson", time.gmtime()), lines)
        threading.Thread(target=take_all, args=(listener,), daemon=True).start()
        environment = {
            **os.environ,
            "LOGOPS_SHIP__URL": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "LOGOPS_SHIP__QUERY": "false",
        }
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "logops_fast", "ship", "--once", "--sink-dir", str(ingest), "--from", "beginning"],
            env=environment,
            cwd=folder,
        )
        samples = [_resident(process.pid)]
        while process.poll() is None:
            time.sleep(SAMPLE_EVERY)
            samples.append(_resident(process.pid) or samples[-1])
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        wall = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        quarter = len(samples) // 4
        early, late = samples[quarter : 2 * quarter] or samples, samples[3 * quarter :]
        return Figures(
            lines,
            used.ru_utime + used.ru_stime,
            wall,
            used.ru_maxrss / 1024,
            statistics.median(early),
            statistics.median(late),
        )


def _resident(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    except (OSError, IndexError):
        return 0.0


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    print(measure(parser.parse_args().lines).text())


if __name__ == "__main__":
    main()
