"""What the children of multiprocessing log just before they end is delivered, however they are started."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.client.test_handler import accept, serving

pytestmark = [pytest.mark.process, pytest.mark.slow]

PROGRAM = """
import logging, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from logops_fast.client.handler import LogOpsHandler

def begin():
    handler = LogOpsHandler(sys.argv[1], "k", "s" * 8, flush_interval=600, close_timeout=60)
    logging.getLogger().addHandler(handler)

def work(kind):
    for number in range(3):
        logging.warning("%s %d", kind, number)

def begin_and_work(kind):
    begin()
    work(kind)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    forks = sys.argv[2] == "fork"
    if forks:
        begin()
        logging.warning("parent")
    process = context.Process(target=work if forks else begin_and_work, args=("process",))
    process.start()
    process.join()
    pool = context.Pool(1, initializer=None if forks else begin)
    pool.map(work, ["pool"])
    pool.close()
    pool.join()
    with ProcessPoolExecutor(1, mp_context=context, initializer=None if forks else begin) as executor:
        executor.submit(work, "executor").result()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_last_records_of_children_are_delivered(tmp_path: Path, method: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with serving(accept) as server:
        # -W ignore: from Python 3.12 on a fork beside threads is warned of
        command = [sys.executable, "-W", "ignore", str(program), server.url, method]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        found = Counter(event["msg"] for event in server.stored)
    expected = {f"{kind} {number}" for kind in ("process", "pool", "executor") for number in range(3)}
    assert found == Counter(expected | ({"parent"} if method == "fork" else set()))
    assert done.stderr == ""
