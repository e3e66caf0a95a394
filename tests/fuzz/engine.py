"""A small mutating fuzzer: takes seeds, words and a limit, returns the first input that breaks a target."""

from __future__ import annotations

import math
import random
import time
from typing import NamedTuple

from tests.fuzz.targets import Target

MAX_BYTES = 4096
SLOW = 2.0  # s that one input may take: longer is a denial of service (the machine may be busy)


class Outcome(NamedTuple):
    """What a run found; ``data`` and ``error`` are None if nothing broke."""

    runs: int
    data: bytes | None = None
    error: BaseException | None = None


def fuzz(target: Target, seed: int, *, inputs: int | None = None, seconds: float = math.inf) -> Outcome:
    """Run every seed of ``target``, then mutations of them, until something breaks.

    Stops after ``inputs`` mutations, which is the same on every machine, or after ``seconds``.
    """
    chooser = random.Random(seed)
    pool = list(target.seeds)
    deadline = time.monotonic() + seconds
    runs = 0
    for data in pool:
        runs += 1
        if (error := attempt(target, data)) is not None:
            return Outcome(runs, data, error)
    while (inputs is None or runs - len(target.seeds) < inputs) and time.monotonic() < deadline:
        data = mutate(chooser, pool if chooser.random() < 0.5 else target.seeds, target.words)
        runs += 1
        if (error := attempt(target, data)) is not None:
            return Outcome(runs, data, error)
        if chooser.random() < 0.02:  # without coverage to tell what is new: some drift from the seeds
            pool.append(data)
            if len(pool) > 4 * len(target.seeds) + 200:
                pool.pop(chooser.randrange(len(target.seeds), len(pool)))
    return Outcome(runs)


def attempt(target: Target, data: bytes) -> BaseException | None:
    """Run one input; return what it raised, or a TimeoutError if it took too long."""
    start = time.process_time()
    try:
        target.run(data)
    except Exception as error:
        return error
    taken = time.process_time() - start
    return TimeoutError(f"took {taken:.1f} s of CPU") if taken > SLOW else None


def shrink(target: Target, data: bytes, seconds: float = 5.0) -> bytes:
    """Return a shorter input that breaks in the same way, found by cutting pieces away."""
    kind = type(attempt(target, data))
    deadline = time.monotonic() + seconds
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data) and time.monotonic() < deadline:
            shorter = data[:at] + data[at + size :]
            if type(attempt(target, shorter)) is kind:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def mutate(chooser: random.Random, pool: list[bytes], words: list[bytes]) -> bytes:
    """Return one of the pool, changed in one to six places."""
    data = bytearray(chooser.choice(pool))
    for _ in range(chooser.choice((1, 1, 2, 3, 4, 6))):
        at = chooser.randint(0, len(data))
        end = min(len(data), at + chooser.choice((1, 1, 2, 4, 16, 64)))
        kind = chooser.randrange(8)
        if kind == 0:
            data[at:at] = chooser.choice(words)
        elif kind == 1:
            data[at:end] = chooser.choice(words)
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = data[at:end] * chooser.choice((1, 2, 10))
        elif kind == 4 and at < len(data):
            data[at] ^= 1 << chooser.randrange(8)
        elif kind == 5 and at < len(data):
            data[at] = chooser.randrange(256)
        elif kind == 6:
            other = chooser.choice(pool)
            cut = chooser.randint(0, len(other))
            data[at:] = other[cut:]
        else:
            data[at:at] = chooser.randbytes(chooser.choice((1, 2, 8)))
    return bytes(data[:MAX_BYTES])
