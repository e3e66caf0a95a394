"""kill -9 of a process that appends, again and again: every batch is in the file exactly once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.ingest.sink.appender import line_count

pytestmark = [pytest.mark.slow, pytest.mark.fault]

KILLS = 20


def run_and_kill(directory: Path, first: int, again: list[int], after: float) -> tuple[set[int], set[int]]:
    """Start, kill -9 ``after`` seconds from the first acknowledgement; the batches tried and those acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ingest.sink.appender", str(directory), str(first), ",".join(map(str, again))],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    tried: set[int] = set()
    acknowledged: set[int] = set()
    killer: threading.Timer | None = None
    for line in process.stdout:
        word, number = line.split()
        (acknowledged if word == b"ack" else tried).add(int(number))
        if killer is None and word == b"ack":
            killer = threading.Timer(after, process.kill)
            killer.start()
    process.wait(10)
    process.stdout.close()
    assert killer is not None, "it never got as far as an acknowledgement"
    killer.join()
    assert process.returncode == -9
    return tried, acknowledged


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    chooser = random.Random(20)
    tried: set[int] = set()
    acknowledged: set[int] = set()
    torn = 0
    for _ in range(KILLS):
        again = sorted(tried - acknowledged)
        new_tried, new_acknowledged = run_and_kill(
            tmp_path, max(tried, default=0) + 1, again, chooser.uniform(0.0, 0.12)
        )
        tried |= new_tried
        acknowledged |= new_acknowledged
        torn += sum(path.stat().st_size for path in tmp_path.glob("*.torn"))
    # One more start, which is let be until what was open is acknowledged.
    again = sorted(tried - acknowledged)
    while again:
        new_tried, new_acknowledged = run_and_kill(tmp_path, max(tried) + 1, again, 0.3)
        acknowledged |= new_acknowledged
        tried |= new_tried & set(again)
        again = sorted(set(again) - acknowledged)
    seen: Counter[tuple[int, int]] = Counter()
    for path in tmp_path.glob("*.ndjson"):
        whole, _, rest = path.read_bytes().rpartition(b"\n")
        del rest  # the last run was killed too; its torn end is the next start's business
        for line in whole.split(b"\n"):
            event = json.loads(line)
            seen[event["b"], event["i"]] += 1
    expected = {(n, i) for n in acknowledged for i in range(line_count(n))}
    assert {key for key in expected if seen[key] != 1} == set()
    assert [key for key, count in seen.items() if count != 1] == []
    assert torn > 0, "no kill ever hit a write: the test tests nothing"
