"""Fairness: what others wait for while one client sends the worst bodies that the limits allow, as fast as it can.

python -m bench.fairness [--seconds 5] [--only TEXT]

For each body a well-behaved client's 99th percentile is measured alone, then beside ``--greedy`` connections that send
it; and the most memory that the worker took. It must stay under the greater of ten times the quiet one and 100 ms, and
under 256 MiB.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from bench import greedy_bodies
from tests.support.gateway import KEY, SECRET, Gateway, running
from tests.support.signing import signed

MIB = 1 << 20
LEAST = 0.100
TIMES = 10
PEAK = 256 * MIB
QUIET_SECONDS = 2.0
SETTINGS = {
    "ratelimit": {"overrides": {"batch": {"capacity": 1_000_000_000, "refill_per_sec": 1_000_000_000}}},
}


def made() -> dict[str, greedy_bodies.Made]:
    """The bodies by name; made when asked for, since some take seconds."""
    skipped = {"zstd_bomb", "zstd_bomb_of_unknown_size"}  # gigabytes to make, and refused by their first megabytes
    names = [name for name, value in vars(greedy_bodies).items() if callable(value) and name[0].islower()]
    return {name: getattr(greedy_bodies, name)() for name in names if name not in skipped}


def post(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> int:
    fields = signed(KEY, SECRET, body) | {"Content-Type": "application/json"} | headers
    try:
        connection.request("POST", "/ingest", body, fields)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return response.status


def behave(gateway: Gateway, seconds: float) -> list[float]:
    """Send a small batch every few milliseconds; returns the seconds that each took."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.auth_port, timeout=60)
    body = b"[" + b",".join(b'{"msg":"a line of an honest client %d"}' % number for number in range(20)) + b"]"
    took = []
    end = time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        if post(connection, body, {}) == 200:
            took.append(time.monotonic() - start)
        time.sleep(0.005)
    connection.close()
    return took


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] if seconds else float("inf")


def peak(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


def measure(name: str, body: bytes, headers: dict[str, str], seconds: float, greedy: int) -> bool:
    """One line of the table; returns whether it is as it must be."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), settings=SETTINGS) as gateway:
        (worker,) = gateway.workers()
        quiet = p99(behave(gateway, QUIET_SECONDS))
        answers: Counter[int] = Counter()
        stopping = threading.Event()

        def flood() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", gateway.auth_port, timeout=60)
            while not stopping.is_set():
                answers[post(connection, body, {"X-Emitter": "batch", **headers})] += 1
            connection.close()

        threads = [threading.Thread(target=flood, daemon=True) for _ in range(greedy)]
        for thread in threads:
            thread.start()
        beside = p99(behave(gateway, seconds))
        stopping.set()
        for thread in threads:
            thread.join()
        most = peak(worker)
    good = beside <= max(TIMES * quiet, LEAST) and most < PEAK
    counts = ", ".join(f"{count} x {status or 'cut'}" for status, count in sorted(answers.items()))
    cells = (name, f"{quiet * 1000:.1f}", f"{beside * 1000:.1f}", f"{most / MIB:.0f}", counts, "" if good else "NO")
    print("| " + " | ".join(cells) + " |", flush=True)
    return good


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--greedy", type=int, default=2, help="connections that send the body")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print("| body | quiet p99 ms | beside it | peak RSS MiB | its answers | |\n|---|---:|---:|---:|---|---|")
    good = [
        measure(name, *body, options.seconds, options.greedy) for name, body in made().items() if options.only in name
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
