"""Syslog over TCP: lines stored for each CPU second, and memory by connections: ``python -m bench.syslog_rate``.

The sender writes the corpus's lines over ``--senders`` connections as fast as it is read from, for ``--rounds`` rounds;
CPU is of all the gateway's processes from the first byte until the last line is in the files, masked and synced. With
``--connections N`` that many are opened besides, each sends one line and stays. Exits with 1 unless all are stored.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any, Final

from bench.corpus import bodies
from bench.machine import facts, on_cores, one_line, share_out
from bench.servers import CLIENTS, Server, scratch, settings
from tests.support import gateway
from tests.support.ports import free_port

BATCHES: Final = 64
BATCH: Final = 500
WAIT: Final = 120.0  # seconds for all lines of a round
FRAMINGS: Final = ("newline", "octet-count")


def text_of(framing: str) -> tuple[bytes, int]:
    """The corpus once, framed, and its lines."""
    lines = b"\n".join(bodies(BATCHES, BATCH, "mixed", "plain")).split(b"\n")
    if framing == "newline":
        return b"\n".join(lines) + b"\n", len(lines)
    return b"".join(b"%d %b" % (len(line), line) for line in lines), len(lines)


def stored(server: Server, lines: int) -> bool:
    """Wait until so many lines are in the files; False if they never are."""
    deadline = time.monotonic() + WAIT
    while server.lines_stored() < lines:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def connect(port: int) -> socket.socket:
    """A connection of a sender."""
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT)


def run(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure one gateway."""
    port = free_port()
    own = settings() | {
        "syslog": {"enabled": True, "tcp": f"127.0.0.1:{port}", "emitter": "bench"},
        "server": {"max_connections_per_address": 20_000, "max_connections": 20_000},
    }
    cores = share_out(1)
    with ExitStack() as stack:
        with on_cores(cores.serve):
            started = stack.enter_context(gateway.running(folder, "up", settings=own, clients=CLIENTS))
        server = Server("up", started.auth_port, roots=[started.process.pid], files=folder / "data" / "ingest")
        rates: dict[str, list[float]] = {framing: [] for framing in args.framing}
        total = 0
        complete = True
        for framing in list(args.framing) * args.rounds:
            text, lines = text_of(framing)
            with ExitStack() as sockets:
                socks = [sockets.enter_context(connect(port)) for _ in range(args.senders)]
                before = server.usage()
                threads = [Thread(target=sock.sendall, args=(text * args.times,)) for sock in socks]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                sent = lines * args.times * args.senders
                total += sent
                complete = complete and stored(server, total)
                rates[framing].append(sent / (server.usage().cpu - before.cpu))
        report: dict[str, Any] = {"lines_per_cpu_second": {name: round(median(found)) for name, found in rates.items()}}
        if args.connections:
            idle = server.usage().rss
            kept = [stack.enter_context(connect(port)) for _ in range(args.connections)]
            for number, sock in enumerate(kept):
                sock.sendall(b"<134>1 - host app - - - connection %d\n" % number)
            complete = complete and stored(server, total + args.connections)
            report["memory_mib"] = {"before": round(idle / 2**20, 1), "with": round(server.usage().rss / 2**20, 1)}
        return report | {"complete": complete, "machine": facts(folder)}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--senders", type=int, default=4, help="connections that send (4)")
    parser.add_argument("--times", type=int, default=4, help="times that each sends the corpus's 32,000 lines (4)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts (5)")
    parser.add_argument("--framing", nargs="+", choices=FRAMINGS, default=FRAMINGS)
    parser.add_argument("--connections", type=int, default=0, help="further connections that stay open")
    parser.add_argument("--out", type=Path, help="write the report as JSON")
    args = parser.parse_args(argv)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with scratch() as folder:
        report = run(args, folder)
    for framing, rate in report["lines_per_cpu_second"].items():
        print(f"{framing}: {rate:,} lines per CPU second")
    if args.connections:
        memory = report["memory_mib"]
        print(f"{args.connections:,} connections: {memory['with']} MiB, {memory['before']} MiB without them")
    print(one_line(report["machine"]))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n")
    if not report["complete"]:
        print("not all lines were stored", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
