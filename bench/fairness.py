"""Fairness: what others wait for while one client sends the worst bodies that the limits allow, as fast as it can.

python -m bench.fairness [--seconds 5] [--only TEXT]

For each body a well-behaved client's 99th percentile is measured alone, then beside ``--greedy`` connections that send
it; and the most memory that the worker took. It must stay under the greater of ten times the quiet one and 100 ms, and
under 256 MiB.

Each sender is a process of its own, and so is the client that is judged: only the gateway makes it wait, and the queue
for a core, if there are more processes than cores. The table has the latter as Linux counts it (/proc/PID/schedstat):
for the client in the same percentile of its requests, for the gateway's loop as a share of the time.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

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


class Request(NamedTuple):
    """What one request of the judged client took, and how much of it the client waited for a core; in seconds."""

    took: float
    queued: float


def post(
    connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str], digest: str | None = None
) -> int:
    """Return the status of a signed request; 0 if there was none. ``digest``: of the body, if it is known."""
    fields = signed(KEY, SECRET, body, digest=digest) | {"Content-Type": "application/json"} | headers
    try:
        connection.request("POST", "/ingest", body, fields)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return response.status


def behave(gateway: Gateway, seconds: float) -> list[Request]:
    """Send a small batch every few milliseconds; returns what each request took."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.auth_port, timeout=60)
    body = b"[" + b",".join(b'{"msg":"a line of an honest client %d"}' % number for number in range(20)) + b"]"
    requests = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = queued("self")
        start = time.monotonic()
        status = post(connection, body, {})
        took = time.monotonic() - start
        if status == 200:
            requests.append(Request(took, queued("self") - before))
        time.sleep(0.005)
    connection.close()
    return requests


def flood(port: int, body: bytes, headers: dict[str, str], main: Connection[object, object]) -> None:
    """Send a body until ``main`` says something, and reply with the number of answers by status."""
    answers: Counter[int] = Counter()
    digest = hashlib.sha256(body).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    main.send(None)
    while not main.poll():
        answers[post(connection, body, {"X-Emitter": "batch", **headers}, digest)] += 1
    connection.close()
    main.send(answers)


@contextmanager
def flooding(port: int, body: bytes, headers: dict[str, str], greedy: int, answers: Counter[int]) -> Iterator[None]:
    """Have ``greedy`` processes send a body; adds to ``answers`` at the end."""
    context = multiprocessing.get_context("spawn")
    senders = []
    for _ in range(greedy):
        here, there = context.Pipe()
        process = context.Process(target=flood, args=(port, body, headers, there), daemon=True)
        process.start()
        senders.append((process, here))
    for _, pipe in senders:
        pipe.recv()
    try:
        yield
    finally:
        for _, pipe in senders:
            pipe.send(None)
        for process, pipe in senders:
            answers.update(pipe.recv())
            process.join()


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile; infinite without any value."""
    return sorted(seconds)[int(len(seconds) * 0.99)] if seconds else float("inf")


def peak(pid: int) -> int:
    """Return the most bytes that a process has had in memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


def queued(pid: int | str) -> float:
    """Return how many seconds a process's first thread has been runnable without a core; 0 if the system won't say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def measure(name: str, body: bytes, headers: dict[str, str], seconds: float, greedy: int) -> bool:
    """One line of the table; returns whether it is as it must be."""
    answers: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), settings=SETTINGS) as gateway:
        (worker,) = gateway.workers()
        quiet = p99([request.took for request in behave(gateway, QUIET_SECONDS)])
        with flooding(gateway.auth_port, body, headers, greedy, answers):
            before, start = queued(worker), time.monotonic()
            requests = behave(gateway, seconds)
            share = (queued(worker) - before) / (time.monotonic() - start)
        most = peak(worker)
    beside = p99([request.took for request in requests])
    waited = p99([request.queued for request in requests])
    good = beside <= max(TIMES * quiet, LEAST) and most < PEAK
    counts = ", ".join(f"{count} x {status or 'cut'}" for status, count in sorted(answers.items()))
    figures = (*(f"{one * 1000:.1f}" for one in (quiet, beside, waited)), f"{share:.0%}", f"{most / MIB:.0f}")
    print("| " + " | ".join((name, *figures, counts, "" if good else "NO")) + " |", flush=True)
    return good


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--greedy", type=int, default=2, help="connections that send the body")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print("| body | quiet p99 ms | beside it | its queue for a core | the gateway's | peak RSS MiB | its answers | |")
    print("|---|---:|---:|---:|---:|---:|---|---|")
    good = [
        measure(name, *body, options.seconds, options.greedy) for name, body in made().items() if options.only in name
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
