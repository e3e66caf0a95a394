"""In which order a parallel run takes its tests, so that no process ends with a long one while the others wait.

xdist gives each process an equal share of the list, in the order of the list, and lets idle ones take from the ends of
the others' shares (``--dist worksteal``). So the tests that take long are dealt out to the processes, those that take
longest first, and each share is filled up with short ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

SECONDS: Final = Path(__file__).with_name("seconds.txt")
UNKNOWN: Final = 1.5
"""Seconds assumed of a test that starts processes and is not in the file."""
BUILD: Final = 100.0
"""Seconds assumed of a test that installs or builds what a user gets."""


class Group(NamedTuple):
    """Tests that stay together: they share a fixture of their module."""

    seconds: float
    items: tuple[int, ...]


def recorded(text: str) -> dict[str, float]:
    """Return seconds by the id of a test, its parameters left out. Lines are ``SECONDS ID``."""
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(seconds) for seconds, name in lines}


def groups(keys: Iterable[str], seconds: Iterable[float]) -> Iterator[Group]:
    """Join neighbours of one key; ``seconds`` are those of each item."""
    held: list[int] = []
    total, before = 0.0, ""
    for at, (key, cost) in enumerate(zip(keys, seconds, strict=True)):
        if held and key != before:
            yield Group(total, tuple(held))
            held, total = [], 0.0
        held.append(at)
        total += cost
        before = key
    if held:
        yield Group(total, tuple(held))


def dealt(found: list[Group], processes: int) -> list[int]:
    """Return the order of the items for so many processes.

    Groups that take time are dealt out, the longest first; each share is filled up with those of no seconds. The
    shares are those of xdist: equal, and the last ones larger by one if it does not come out even.
    """
    count = sum(len(group.items) for group in found)
    shares: list[list[int]] = [[] for _ in range(processes)]
    loads = [(0.0, number) for number in range(processes)]
    for group in sorted((group for group in found if group.seconds), key=lambda group: -group.seconds):
        load, number = heapq.heappop(loads)
        shares[number] += group.items
        heapq.heappush(loads, (load + group.seconds, number))
    short = [item for group in found if not group.seconds for item in group.items]
    order: list[int] = []
    for number, share in enumerate(shares):
        room = max(0, (count + number) // processes - len(share))
        order += share + short[:room]
        del short[:room]
    return order + short
