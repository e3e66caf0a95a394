"""CPU time of a signed request from its first byte to its answer, without sockets and disk.

    python -m bench.request_path                                  # this checkout, as it is imported
    python -m bench.request_path --against build/compiled         # two trees, in alternation

The connection, the ten checks, the state, the pipeline and the metrics are the gateway's own; a transport that keeps
nothing takes the place of sockets, and a sink that answers all batches of a loop turn together that of the disk. With
``--against`` each tree runs in a process of its own, turn by turn, so that a busy machine slows both alike: quote the
ratio. ``valgrind --tool=callgrind`` on one run counts its instructions, which no neighbour changes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import corpus, load, servers
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.settings import Settings
from logops_fast.http.budget import Budget
from logops_fast.http.connection import Connection
from logops_fast.http.routes import Router
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.sink.interface import LedgerEntry
from logops_fast.runtime import wiring
from logops_fast.runtime.build import build
from logops_fast.state.factory import open_state
from logops_fast.telemetry.registry import Registry

CONNECTIONS: Final = 32
BODIES: Final = 150
"""Different bodies in turn: fewer, and the processor learns their branches by heart."""


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.answers = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        self.answers += 1
        self.last = data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4711) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False


class TurnSink:
    """Answers the batches of a loop turn together, in the next one, as one commit does."""

    stores: Final = True
    problem: Final = None

    def __init__(self) -> None:
        self._waiting: list[Callable[[bool], None]] = []

    def append(
        self,
        lines: bytes,
        on_stored: Callable[[bool], None],
        *,
        rejected: bytes = b"",
        entry: LedgerEntry | None = None,
    ) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._commit)
        self._waiting.append(on_stored)

    def close(self) -> Awaitable[None]:
        return asyncio.sleep(0)

    def _commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        for on_stored in waiting:
            on_stored(True)


class Gateway:
    """``logops up`` as far as it goes without sockets and disk. Make it on the running loop."""

    def __init__(self, folder: Path, connections: int) -> None:
        settings = msgspec.convert(servers.settings(), Settings)
        keyring = Keyring.of([Client("bench", (b"bench-secret",), "bench", frozenset({"bench"}))])
        emitters, registry = wiring.known_emitters(settings, keyring), Registry()
        # As `up` has it: mapped files, kept to one worker.
        self._state = open_state("shared", workers=1, directory=folder, redis_url="", tolerance=300.0, exclusive=True)
        queue = wiring.work_queue(settings)
        normaliser = wiring.normaliser(settings, None)
        pipeline = wiring.pipeline(
            settings, normaliser, TurnSink(), self._state, IngestMetrics(registry, emitters), queue
        )
        metrics = AuthMetrics(registry, emitters)
        arguments = (settings, keyring, self._state, pipeline, metrics, queue)
        if hasattr(pipeline, "read_ahead"):  # older trees read no batch ahead
            gateway = wiring.auth_gateway(*arguments, pipeline.read_ahead)
        else:
            gateway = wiring.auth_gateway(*arguments)
        router = Router(lambda refusal, _peer: sys.exit(f"refused: {refusal}"))
        router.add("POST", b"/ingest", gateway.handle)
        limits = wiring.http_limits(settings)
        server = wiring.http_server(router, limits, Budget(limits))
        self._state.worker_started(0)
        self.transports = [Transport() for _ in range(connections)]
        self.connections: list[Connection] = []
        for transport in self.transports:
            connection = server.connection()
            connection.connection_made(transport)  # type: ignore[arg-type]
            self.connections.append(connection)

    async def serve(self, requests: list[bytes]) -> float:
        """Send all, one a connection and turn; return the CPU seconds."""
        count = len(self.connections)
        before = time.process_time()
        for at in range(0, len(requests), count):
            for connection, request in zip(self.connections, requests[at : at + count], strict=False):
                connection.data_received(request)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        used = time.process_time() - before
        answered = sum(transport.answers for transport in self.transports)
        wrong = [one.last for one in self.transports if one.last and not one.last.startswith(b"HTTP/1.1 200 ")]
        if wrong or answered != len(requests):
            raise SystemExit(f"{answered} answers to {len(requests)} requests; {wrong[:1]}")
        for transport in self.transports:
            transport.answers = 0
        return used


def measure(size: int, kind: corpus.Kind, requests: int, rounds: int) -> list[float]:
    """CPU microseconds a request, a value for each round."""

    async def run(folder: Path) -> list[float]:
        gateway = Gateway(folder, CONNECTIONS)
        bodies = [load.Body.of(data, size) for data in corpus.bodies(BODIES, size, kind)]
        signed = load.signed_requests(load.Plan(8081, bodies))
        found = []
        for number in range(rounds + 1):
            batch = [head + body.data for head, body in islice(signed, requests)]
            if not number:
                gc.collect()
                gc.freeze()
            used = await gateway.serve(batch) / requests * 1e6
            if number:
                found.append(used)
        return found

    import uvloop

    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(Path(folder)))


def alternate(args: argparse.Namespace) -> int:
    """Run both trees ``args.turns`` times each, and print the medians and their ratio."""
    trees = {"here": Path.cwd(), str(args.against): args.against}
    found: dict[str, list[float]] = {name: [] for name in trees}
    words = [
        "--size",
        args.size,
        "--corpus",
        args.corpus,
        "--requests",
        args.requests,
        "--rounds",
        args.rounds,
        "--json",
    ]
    for _ in range(args.turns):
        for name, tree in trees.items():
            paths = os.pathsep.join(filter(None, [str(tree.resolve()), os.environ.get("PYTHONPATH", "")]))
            done = subprocess.run(
                [sys.executable, "-P", __file__, *map(str, words)],
                cwd=tree,
                env={**os.environ, "PYTHONPATH": paths},
                check=True,
                capture_output=True,
                text=True,
            )
            found[name].append(min(json.loads(done.stdout)))
    medians = [statistics.median(values) for values in found.values()]
    for (name, values), middle in zip(found.items(), medians, strict=True):
        print(f"{name:<28} {middle:7.2f} us a request  ({', '.join(f'{one:.2f}' for one in sorted(values))})")
    print(f"ratio {medians[0] / medians[1]:.3f}")
    return 0


def main(words: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.request_path", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--size", type=int, default=1, help="events a request (1)")
    parser.add_argument("--corpus", choices=("mixed", "clean", "field"), default="mixed")
    parser.add_argument("--requests", type=int, default=4800, help="in a round (4800)")
    parser.add_argument("--rounds", type=int, default=5, help="in a process; the least counts (5)")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another tree, such as build/compiled")
    parser.add_argument("--turns", type=int, default=5, help="with --against: processes of each tree (5)")
    parser.add_argument("--json", action="store_true", help="the rounds as JSON, nothing else")
    args = parser.parse_args(words)
    if args.against:
        return alternate(args)
    found = measure(args.size, args.corpus, args.requests, args.rounds)
    if args.json:
        print(json.dumps(found))
    else:
        least = min(found)
        print(
            f"{build()}, {args.corpus}, {args.size} events: {least:.2f} us a request, {least / args.size:.3f} an event"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
