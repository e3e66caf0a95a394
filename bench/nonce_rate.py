"""The memory of nonces at its full rate, over a whole window: ``python -m bench.nonce_rate``.

Several processes share one table, as workers do, and insert the nonces of ``--rate`` signed requests a second for
``--seconds``: by the wall clock, or with ``--fast`` by a clock that each insert moves on, in a fraction of the time.
One client sends half of it, with timestamps that lie the whole tolerance ahead; those of the others lie up to that far
ahead, so that the table must hold nearly what it promises. Every hundredth nonce is used a second time; in the last
tenth of the time the greedy client sends seven times as much as before. What must hold, and ends the run with exit code
1 if it does not:

- no nonce is taken twice, and no new one of a client other than the greedy one is refused;
- the greedy client is refused only in that last tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from logops_fast.state.interface import NonceVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.shared import open_shared

TOLERANCE: Final = 300.0
CLIENTS: Final = 50
FLOOD: Final = 4
"""Requests of the last tenth, in multiples of the rate; all that is more comes from the greedy client."""

PAUSE: Final = 0.01
"""Seconds between two bursts of inserts, by the wall clock."""


def resident(path: Path) -> float:
    """MiB of a mapped file that are in this process's memory."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0] and ":" not in line.split(" ", 1)[0]:
            ours = line.endswith(str(path))
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total / 1024


def work(directory: Path, args: argparse.Namespace, index: int) -> dict[str, Any]:
    """One worker's share of the load."""
    begun = time.time()
    moment = [begun]
    caps = Caps(max_nonces=int(args.rate * 2 * TOLERANCE), max_batch_ids=100)
    wall: Callable[[], float] = (lambda: moment[0]) if args.fast else time.time
    store = open_shared(directory, TOLERANCE, caps, wall=wall)
    verdicts: Counter[str] = Counter()
    rate = args.rate / args.workers
    flood_from = args.seconds * 0.9
    number, cpu = 0, time.process_time()

    def insert(client: bytes, nonce: bytes, expiry: float, kind: str) -> None:
        store.nonces.insert(
            client + b"\0" + nonce, expiry, lambda verdict: verdicts.update([f"{kind} {verdict.value}"])
        )

    last, budget = begun, 0.0
    while (now := wall()) < begun + args.seconds:
        flood = now >= begun + flood_from
        per_second = rate * FLOOD if flood else rate
        budget += 1.0 if args.fast else min(now - last, 1.0) * per_second  # a worker that falls behind sends less
        last = now
        while budget >= 1.0:
            budget -= 1.0
            number += 1
            if args.fast:
                moment[0] += 1 / per_second
            greedy = number % (2 * FLOOD) != 1 if flood else number % 2 == 0
            client = b"greedy" if greedy else b"client-%d" % (number % CLIENTS)
            nonce = b"%d-%d" % (index, number)
            ahead = TOLERANCE if greedy else number % 997 / 997 * TOLERANCE
            expiry = now + ahead + TOLERANCE + 1
            kind = "greedy, flooding" if greedy and flood else "greedy" if greedy else "others"
            insert(client, nonce, expiry, kind)
            if number % 100 == 1 and not greedy:
                insert(client, nonce, expiry, "again")
        if not args.fast:
            time.sleep(PAUSE)
    cpu = time.process_time() - cpu
    result = {
        "inserts": number,
        "cpu_us": cpu / number * 1e6,
        "verdicts": dict(verdicts),
        "resident_mib": resident(directory / "nonces.table"),
    }
    asyncio.run(store.close())
    return result


def faults(verdicts: Counter[str]) -> list[str]:
    """What must not happen, and did."""
    allowed = {
        ("greedy", NonceVerdict.FRESH), ("others", NonceVerdict.FRESH), ("again", NonceVerdict.REPLAY),
        ("greedy, flooding", NonceVerdict.FRESH), ("greedy, flooding", NonceVerdict.CROWDED),
    }  # fmt: skip
    names = {f"{kind} {verdict.value}" for kind, verdict in allowed}
    return [f"{name}: {count}" for name, count in sorted(verdicts.items()) if name not in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000, help="signed requests a second of all workers")
    parser.add_argument("--seconds", type=float, default=660.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fast", action="store_true", help="by a clock that the inserts move on")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="logops-nonces-") as folder:
        directory = Path(folder) / "state"
        caps = Caps(max_nonces=int(args.rate * 2 * TOLERANCE), max_batch_ids=100)
        asyncio.run(open_shared(directory, TOLERANCE, caps, wall=lambda: time.time() - 3600).close())
        size = (directory / "nonces.table").stat().st_size / 2**20
        pipes = []
        for index in range(args.workers):
            reader, writer = os.pipe()
            if os.fork() == 0:
                os.write(writer, json.dumps(work(directory, args, index)).encode())
                os._exit(0)
            os.close(writer)
            pipes.append(reader)
        results = []
        for pipe in pipes:
            with open(pipe, "rb") as stream:
                results.append(json.loads(stream.read()))
            os.wait()
    verdicts: Counter[str] = Counter()
    for result in results:
        verdicts.update(result["verdicts"])
    print(f"{args.rate} requests/s for {args.seconds:.0f} s, {args.workers} workers, table of {size:.0f} MiB")
    print(f"{sum(r['inserts'] for r in results)} nonces, {max(r['cpu_us'] for r in results):.2f} us of CPU each")
    print(f"{max(r['resident_mib'] for r in results):.0f} MiB of the table in memory at the end")
    for name, count in sorted(verdicts.items()):
        print(f"  {name:<28} {count:>10}")
    wrong = faults(verdicts)
    for line in wrong:
        print(f"WRONG {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
