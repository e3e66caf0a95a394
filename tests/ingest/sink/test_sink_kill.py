"""kill -9 of a process that appends, again and again: every batch is in the file exactly once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.ingest.sink.appender import line_count, lines_of

pytestmark = [pytest.mark.slow, pytest.mark.fault]

MOST_KILLS = 200
LARGE = len(lines_of(7))


def watch(directory: Path, process: subprocess.Popen[bytes], fraction: float) -> None:
    """Kill the process as soon as a file is seen to have grown by a part of a large batch: in the middle of a write."""
    while process.poll() is None:
        # The size moves page by page while one write is copied, so a look in between hits it.
        sizes = {path: path.stat().st_size for path in directory.glob("*.ndjson")}
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            for path, size in sizes.items():
                if fraction * LARGE < path.stat().st_size - size:
                    process.kill()
                    return


def run_and_kill(directory: Path, first: int, again: list[int], fraction: float | None) -> tuple[set[int], set[int]]:
    """Start, and kill -9 in a large write (``fraction``), or once all of ``again`` is acknowledged (None).

    Return the batches tried and those acknowledged.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ingest.sink.appender", str(directory), str(first), ",".join(map(str, again))],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    tried: set[int] = set()
    acknowledged: set[int] = set()
    watcher: threading.Thread | None = None
    for line in process.stdout:
        word, number = line.split()
        (acknowledged if word == b"ack" else tried).add(int(number))
        if watcher is None and word == b"ack" and fraction is not None:
            watcher = threading.Thread(target=watch, args=(directory, process, fraction))
            watcher.start()
        if fraction is None and acknowledged.issuperset(again):
            process.kill()
    process.wait(60)
    process.stdout.close()
    if watcher is not None:
        watcher.join()
    assert process.returncode == -9
    return tried, acknowledged


@pytest.mark.timeout(300)
@pytest.mark.parametrize("least", [8, pytest.param(20, marks=pytest.mark.long)])
def test_kills_lose_nothing_and_double_nothing(tmp_path: Path, least: int) -> None:
    chooser = random.Random(20)
    tried: set[int] = set()
    acknowledged: set[int] = set()
    kills = 0
    torn = 0
    # A kill that must hit a write is repeated until one has: how many are needed depends on the machine.
    while kills < least or (torn == 0 and kills < MOST_KILLS):
        again = sorted(tried - acknowledged)
        new_tried, new_acknowledged = run_and_kill(
            tmp_path, max(tried, default=0) + 1, again, chooser.uniform(0.0, 0.9)
        )
        tried |= new_tried
        acknowledged |= new_acknowledged
        torn += sum(path.stat().st_size for path in tmp_path.glob("*.torn"))
        kills += 1
    again = sorted(tried - acknowledged)
    _, new_acknowledged = run_and_kill(tmp_path, max(tried) + 1, again, None)
    acknowledged |= new_acknowledged
    seen: Counter[tuple[int, int]] = Counter()
    for path in tmp_path.glob("*.ndjson"):
        whole, _, _torn = path.read_bytes().rpartition(b"\n")  # the last run was killed too; its torn end is the next's
        for line in whole.split(b"\n"):
            event = json.loads(line)
            seen[event["b"], event["i"]] += 1
    expected = {(n, i) for n in acknowledged for i in range(line_count(n))}
    assert {key for key in expected if seen[key] != 1} == set()
    assert [key for key, count in seen.items() if count != 1] == []
    assert torn > 0, f"none of {kills} kills hit a write: the test shows nothing"
