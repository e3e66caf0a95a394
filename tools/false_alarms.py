#!/usr/bin/env python3
"""How often an identifier or a time is masked though it is none of the kinds: the table of docs/privacy.md.

tools/false_alarms.py [COUNT] [SEED]    print it (200000 of each, seed 1)
"""

from __future__ import annotations

import random
import sys
import uuid
from collections.abc import Callable
from typing import Final

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_lines

COUNT: Final = 200_000
CHUNK: Final = 128
# Around 2020 to 2030, in seconds.
FIRST: Final = 1_577_836_800
LAST: Final = 1_893_456_000
TICKS_AT_EPOCH: Final = 621_355_968_000_000_000  # 100 ns since the year 1, as .NET counts
DISCORD_EPOCH_MS: Final = 1_420_070_400_000
X_EPOCH_MS: Final = 1_288_834_974_657
SONYFLAKE_EPOCH_10MS: Final = 140_952_960_000


def seconds(rng: random.Random) -> float:
    return rng.uniform(FIRST, LAST)


KINDS: Final[dict[str, Callable[[random.Random], int | str]]] = {
    "epoch, ms": lambda rng: int(seconds(rng) * 1e3),
    "epoch, us": lambda rng: int(seconds(rng) * 1e3) * 1000 + rng.randrange(1000),
    "epoch, ns": lambda rng: int(seconds(rng) * 1e3) * 1_000_000 + rng.randrange(1_000_000),
    ".NET ticks": lambda rng: TICKS_AT_EPOCH + int(seconds(rng) * 1e3) * 10_000 + rng.randrange(10_000),
    "Discord snowflakes": lambda rng: (int(seconds(rng) * 1e3) - DISCORD_EPOCH_MS) << 22 | rng.getrandbits(22),
    "X snowflakes": lambda rng: (int(seconds(rng) * 1e3) - X_EPOCH_MS) << 22 | rng.getrandbits(22),
    "Mastodon ids": lambda rng: int(seconds(rng) * 1e3) << 16 | rng.getrandbits(16),
    "Sonyflake ids": lambda rng: (int(seconds(rng) * 1e2) - SONYFLAKE_EPOCH_10MS) << 24 | rng.getrandbits(24),
    "random 64-bit numbers": lambda rng: rng.getrandbits(64),
    "random 63-bit numbers": lambda rng: rng.getrandbits(63),
    "random 64-bit, hex": lambda rng: f"{rng.getrandbits(64):016x}",
    "trace ids (128-bit, hex)": lambda rng: f"{rng.getrandbits(128):032x}",
    "UUIDs": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "git hashes": lambda rng: f"{rng.getrandbits(160):040x}",
    "MAC addresses": lambda rng: ":".join(f"{rng.getrandbits(8):02x}" for _ in range(6)),
}


def changed(values: list[int | str], masker: Masker) -> int:
    """How many of the values are masked, each as the member of an event of its own."""
    count = 0
    for at in range(0, len(values), CHUNK):
        events = [{"id": value} for value in values[at : at + CHUNK]]
        before = to_lines(events)
        after = masker.mask_lines(before, events, {})
        count += sum(old != new for old, new in zip(before.split(b"\n"), after.split(b"\n"), strict=True))
    return count


def main() -> int:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    masker = Masker()
    print(f"| of {count:,} each, seed {seed} | as a JSON value | in a text |\n|---|---|---|")
    for name, make in KINDS.items():
        rng = random.Random(seed)
        values = [make(rng) for _ in range(count)]
        alone = changed(values, masker)
        in_text = changed([f"request {value} took 12 ms" for value in values], masker)
        print(f"| {name} | {alone / count:.2%} | {in_text / count:.2%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
