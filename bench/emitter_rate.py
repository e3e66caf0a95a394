"""How fast one emitter process is: signed batches of 100 events to a sink that does nothing, in a process of its own.

    python -m bench.emitter_rate [--eps 200000] [--seconds 4] [--batch-size 100] [--json]

For each kind: the rate reached at the offered one with the share of a core it took, and the rate the generator could
reach, which is what it sent for each second of its own CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from logops_fast.emitters.base import Options
from logops_fast.emitters.registry import DEFAULT_RATIOS, KINDS
from logops_fast.emitters.runner import run
from logops_fast.emitters.scenario import EmitterPlan, Scenario
from logops_fast.emitters.target import Target

ANSWER = b'{"accepted":%d,"rejected":0}'


class Sink(asyncio.Protocol):
    """Reads requests by their Content-Length and takes every one."""

    def __init__(self, batch_size: int) -> None:
        body = ANSWER % batch_size
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        while data:
            if self._missing:
                taken = min(self._missing, len(data))
                self._missing -= taken
                data = data[taken:]
                if self._missing == 0:
                    self._transport.write(self._answer)
                continue
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            self._head = b""
            at = data.index(b"content-length: ") + 16
            self._missing = int(data[at : data.index(b"\r", at)])
            data = data[end + 4 :]


async def serve(batch_size: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Sink(batch_size), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def sink(batch_size: int) -> Iterator[int]:
    """A sink in a process of its own; its port."""
    command = [sys.executable, "-m", "bench.emitter_rate", "--serve", "--batch-size", str(batch_size)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def measure(kind: str, port: int, eps: float, seconds: float, batch_size: int) -> dict[str, Any]:
    """One kind at an offered rate."""
    ratios: dict[str, Any] = {**DEFAULT_RATIOS.get(kind, {})}
    options = Options(seed=1, **ratios)
    plan = EmitterPlan(kind, eps, kind, batch_size=batch_size, options=options)
    scenario = Scenario("bench", seconds, (plan,), tick_sec=0.5)
    target = Target(f"http://127.0.0.1:{port}/ingest", "bench", b"bench-secret")
    wall, cpu = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        totals = runner.run(run(scenario, target, seed=1))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "kind": kind,
        "offered_eps": eps,
        "accepted_eps": round(totals.accepted.events / wall),
        "lost": totals.lost.events,
        "core_share": round(cpu / wall, 3),
        "eps_per_cpu_second": round(totals.accepted.events / cpu),
        "p95_ms": None if totals.p95 is None else round(totals.p95 * 1e3, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="How fast one emitter process is.")
    parser.add_argument("--eps", type=float, default=200_000.0, help="the offered rate (200000)")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        uvloop.run(serve(args.batch_size))
        return 0
    results = []
    with sink(args.batch_size) as port:
        for kind in args.kind or KINDS:
            found = measure(kind, port, args.eps, args.seconds, args.batch_size)
            results.append(found)
            if not args.json:
                print(
                    f"{kind:<8} {found['accepted_eps']:>9,} EPS of {args.eps:,.0f} offered, "
                    f"{found['core_share']:.0%} of a core, p95 {found['p95_ms']} ms, lost {found['lost']}; "
                    f"{found['eps_per_cpu_second']:,} a CPU-second"
                )
    if args.json:
        print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
