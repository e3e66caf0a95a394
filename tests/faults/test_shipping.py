"""The way to Loki under faults: a real gateway, real clients, a real shipper, and a Loki that keeps Loki's rules.

At the end of each test every line of the files is in Loki, once, and every acknowledged event is among them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import faulty_process
from tests.faults.faulty_process import Control
from tests.faults.harness import BASE, merged
from tests.faults.load import EVENTS_A_BATCH, Load
from tests.loki.real import real_loki
from tests.loki.server import ThreadedLoki, loki
from tests.loki.store import Limits
from tests.support.gateway import Gateway, request, start
from tests.support.ports import free_port

pytestmark = pytest.mark.fault

FAR = 240.0  # s
DAY = 86_400  # s
# Blocks are cut after every 4 KiB, and three shards take turns: a line that is pushed twice is there twice.
HARD = Limits(block_size=4096, shards=3, query_ingesters_within=0)


class Way:
    """A gateway with load on it, a shipper, a Loki."""

    def __init__(self, folder: Path, server: ThreadedLoki, **options: Any) -> None:
        self.loki = server
        ship = {
            "url": server.url, "start": "beginning", "poll_interval": 0.05, "base_delay": 0.05, "max_delay": 0.2,
            "settle": 0.1 if real_loki() is None else 6.0, "batch_bytes": 16_384, "query_within": 0,
            "machine": server.machine, "timeout": 5,
        }  # fmt: skip
        self.gateway: Gateway = start(
            folder, settings=merged(BASE, {"ship": ship, "auth": {"clock_tolerance": DAY}}), workers=2, **options
        )
        self.admin = free_port()
        self.shipper: subprocess.Popen[bytes] | None = None
        self.log = folder / "ship.log"
        self.load = Load.start(self.gateway.auth_port, "ship", senders=2)

    def ship(self) -> None:
        """Start the shipper, in a session of its own."""
        with self.log.open("ab") as output:
            self.shipper = subprocess.Popen(
                [sys.executable, "-m", "logops_fast", "ship", "--config", self.gateway.config.name],
                cwd=self.gateway.dir,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LOGOPS_ADMIN__PORT": str(self.admin)},
                start_new_session=True,
            )

    def kill(self) -> None:
        assert self.shipper is not None
        os.killpg(self.shipper.pid, signal.SIGKILL)
        self.shipper.wait(10)

    def stop(self) -> int:
        assert self.shipper is not None
        self.shipper.terminate()
        return self.shipper.wait(60)

    def more(self, lines: int = 200) -> None:
        """Wait until so many lines more are in Loki."""
        wanted = self.loki.count() + lines
        self.until(lambda: self.loki.count() >= wanted)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + FAR
        while not condition():
            assert time.monotonic() < deadline, (
                f"{self.load.failures()}\n{self.log.read_text('utf-8', 'replace')[-3000:]}"
            )
            time.sleep(0.02 if real_loki() is None else 1.0)

    def readyz(self) -> str:
        """The reason of the shipper's /readyz; empty if it is ready, or does not answer."""
        try:
            answer = request(self.admin, "GET", "/readyz", timeout=5)
        except OSError:
            return ""
        return "" if answer.status == 200 else answer.reason

    def settle(self, *others: Path) -> None:
        """End the load; see that everything arrives, once."""
        self.load.stop()
        assert not self.load.unexpected()
        lines = Counter(
            line
            for path in [
                *self.gateway.sink.glob("*.ndjson"),
                *(self.gateway.sink / "rejected").glob("*.ndjson"),
                *others,
            ]
            for line in path.read_text("utf-8").split("\n")
            if line
        )
        total = sum(lines.values())
        self.until(lambda: self.loki.count() >= total)
        assert Counter(entry.line for entry in self.loki.entries()) == lines
        keys = Counter(json.loads(line).get("key") for line in lines)
        for batch in self.load.acknowledged():
            assert all(keys[f"{batch}.{number}"] == 1 for number in range(EVENTS_A_BATCH)), batch
        if not others:  # a renamed file and the one after it have the same places
            assert set(self.loki.seqs().values()) == {1}


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Callable[..., Way]]:
    made: list[Way] = []
    with loki(HARD) as server:

        def make(**options: Any) -> Way:
            made.append(Way(tmp_path, server, **options))
            made[-1].ship()
            return made[-1]

        yield make
        for one in made:
            one.load.stop()
            if one.shipper is not None and one.shipper.poll() is None:
                assert one.stop() == 0, one.log.read_text("utf-8", "replace")[-3000:]
            one.gateway.stop()


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_shipper_that_is_killed_again_and_again(way: Callable[..., Way], kills: int) -> None:
    one = way()
    one.more()
    for number in range(kills):
        one.kill()
        if number % 3 == 1:
            one.loki.server.faults.extend(["cut after", "500 after"])
        one.ship()
        one.more()
    assert one.stop() == 0
    one.ship()
    one.more()
    one.settle()


def test_a_loki_that_is_killed_slow_full_and_away(way: Callable[..., Way]) -> None:
    one = way()
    one.more()
    one.loki.away()
    one.until(lambda: one.readyz() == "loki_unreachable")
    one.loki.back()
    one.more()
    for fault in ("cut before", "cut after", "500 before", "500 after", "503", "429", "hang"):
        one.loki.server.faults.extend([fault, fault])
        one.more(50)
    one.loki.server.delay = 0.3
    one.more()
    one.loki.away()  # with pushes under way
    one.loki.server.delay = 0.0
    one.loki.back()
    one.more()
    one.until(lambda: one.readyz() == "")
    one.settle()


def test_files_rotated_and_groups_cut_away(way: Callable[..., Way], tmp_path: Path) -> None:
    control = Control(tmp_path / "control", create=True)
    environment = {faulty_process.VARIABLE: str(tmp_path / "control"), "PYTHONPATH": str(Path(__file__).parents[2])}
    one = way(program=(faulty_process.__file__,), env=environment)
    one.more()
    for disk in ("sync_eio", "write_short", "sync_eio"):
        control.set(disk=disk)
        failures = one.load.failures()["503 sink_failed"]
        one.until(lambda failures=failures: one.load.failures()["503 sink_failed"] > failures + 5)  # type: ignore[misc]
        control.set()
        one.more()
    moved = []
    for path in sorted(one.gateway.sink.glob("*.ndjson")):
        moved.append(path.with_name(path.name + ".1"))
        path.rename(moved[-1])
    days = {path.name[:8] for path in moved}
    one.until(lambda: any(one.gateway.sink.glob("*.ndjson")))
    one.more()
    # Past midnight.
    control.set(offset=DAY - time.time() % DAY + 1)
    one.until(lambda: any(path.name[:8] not in days for path in one.gateway.sink.glob("*.ndjson")))
    one.more()
    one.settle(*moved)


def test_gateway_killed_and_sigterm_under_load(way: Callable[..., Way]) -> None:
    one = way()
    one.more()
    for _ in range(2):
        assert one.stop() == 0
        one.ship()
        one.more()
    for worker in one.gateway.workers():
        os.kill(worker, signal.SIGKILL)
    one.more()
    positions = one.gateway.sink / "ship" / "positions.json"
    assert one.stop() == 0
    positions.write_bytes(positions.read_bytes()[:100])
    one.ship()
    one.more()
    one.settle()
