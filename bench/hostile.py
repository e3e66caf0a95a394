"""What text costs that is made to cost the masks as much as possible, against normal text.

    python -m bench.hostile                         # each unit, repeated to a mebibyte
    python -m bench.hostile --sizes 1 4 16          # whether the cost is linear in the size of the body
    python -m bench.hostile --only %2541 "::1 "

Each body is read, normalised, masked and serialised piece by piece, as in a gateway, without disk; normal text is the
corpus `mixed` in bodies of 100 events. CPU time, the least of the rounds. The goal: no unit costs more than eight times
as much a mebibyte.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from bench import corpus
from logops_fast.formats.batch import Batch
from logops_fast.formats.media_type import Format
from logops_fast.formats.work_queue import WorkQueue
from logops_fast.ingest.batch_reader import BatchReader, is_large
from logops_fast.ingest.native.reader import open_kernel
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.summary import Reading
from logops_fast.runtime.worker import YOUNG_OBJECTS
from tests.ingest.pii.hostile import UNITS

MIB: Final = 1 << 20
EVENT_BYTES: Final = 1 << 17
"""Of text in each event: half of what an event may have."""
NOW: Final = 1_772_600_000.0
GOAL: Final = 8.0

Read = Callable[[bytes], int]
"""Reads a body and returns how many bytes are stored."""


def body_of(unit: str, size: int, event_bytes: int = EVENT_BYTES) -> bytes:
    """Return a body of about ``size`` bytes of JSON whose messages are the unit, repeated."""
    written = len(orjson.dumps(unit)) - 2
    text = unit * max(1, min(size, event_bytes) // written)
    event = {"ts": "2026-03-01T00:00:00.000Z", "level": "INFO", "msg": text}
    return b"[" + b",".join([orjson.dumps(event)] * max(1, size // min(size, event_bytes))) + b"]"


def reader(*, native: bool) -> Read:
    """Return what reads a body as a gateway does, a large one piece by piece: by the kernel, or Python alone."""
    normaliser = Normaliser()
    turns: list[Callable[[], None]] = []
    queue = WorkQueue(call_soon=turns.append, give_way=lambda: None)
    kernel = open_kernel(normaliser) if native else None
    batches = BatchReader(normaliser, queue, native=kernel, wall=lambda: NOW)
    stored: list[int] = []

    def done(reading: Reading, error: Exception | None) -> None:
        if error is not None:
            raise error
        stored.append(len(reading.lines()))

    def read(body: bytes) -> int:
        batch = Batch(body, Format.JSON, "bench", "na", "", False, 0.0)
        if is_large(batch):
            batches.read_in_pieces(batch, done)
        else:
            reading, pieces = batches.read(batch)
            if pieces is None:
                done(reading, None)
            else:
                batches.read_on(batch, reading, pieces, done)
        while turns:
            turns.pop()()
        return stored.pop()

    return read


def seconds_a_mebibyte(read: Read, bodies: Sequence[bytes], rounds: int) -> float:
    """Return the least CPU time of the rounds for each MiB of the bodies."""
    size = sum(map(len, bodies))
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        for body in bodies:
            read(body)
        best = min(best, time.process_time() - begin)
    return best * MIB / size


def main() -> int:
    """Print a line for each unit, the dearest first; 1 if one misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0], metavar="MIB")
    parser.add_argument("--only", nargs="+", default=list(UNITS), metavar="UNIT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--event-bytes", type=int, default=EVENT_BYTES, help="of text in each event")
    parser.add_argument("--native", action="store_true", help="with the kernel, if it is installed")
    parser.add_argument("--top", type=int, default=0, help="print so many units alone")
    args = parser.parse_args()
    gc.set_threshold(YOUNG_OBJECTS)  # as in a worker
    read = reader(native=args.native)
    normal_bodies = corpus.bodies(50, 100, "mixed")
    normal = [seconds_a_mebibyte(read, normal_bodies, args.rounds)]
    rows: list[tuple[float, str, list[float]]] = []
    for unit in args.only:
        costs = [
            seconds_a_mebibyte(read, [body_of(unit, int(size * MIB), args.event_bytes)], args.rounds)
            for size in args.sizes
        ]
        rows.append((max(costs), unit, costs))
    normal.append(seconds_a_mebibyte(read, normal_bodies, args.rounds))
    usual = statistics.mean(normal)
    print(f"normal text: {usual * 1e3:.1f} ms a MiB ({', '.join(f'{one * 1e3:.1f}' for one in normal)})")
    rows.sort(reverse=True)
    for most, unit, costs in rows[: args.top or None]:
        print(f"{most / usual:6.1f}  {' '.join(f'{cost * 1e3:8.1f} ms' for cost in costs)}  {unit!r}")
    return int(rows[0][0] > GOAL * usual)


if __name__ == "__main__":
    sys.exit(main())
