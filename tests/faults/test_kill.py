"""kill -9 under load: what was acknowledged is in the files, exactly once, and each line parses."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, running

pytestmark = [pytest.mark.process, pytest.mark.fault, pytest.mark.slow]

EVENTS_A_BATCH = 40


class Sender(threading.Thread):
    """Sends numbered batches until stopped; repeats each under its own id until it is acknowledged."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.gateway = gateway
        self.acknowledged: list[str] = []
        self.retries = 0
        self.stopping = threading.Event()
        self.unexpected: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            batch = f"{self.name}-{number}"
            events: list[Any] = [{"msg": f"{batch} " + "x" * 200, "key": f"{batch}.{i}"} for i in range(EVENTS_A_BATCH)]
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                try:
                    answer = self.gateway.send(events, headers={"X-Batch-Id": batch}, timeout=5)
                except (OSError, http.client.HTTPException):
                    self.retries += 1
                    time.sleep(0.02)
                    continue
                if answer.status == 200:
                    self.acknowledged += [f"{batch}.{i}" for i in range(EVENTS_A_BATCH)]
                    break
                if answer.status != 503:
                    self.unexpected.append(f"{answer.status} {answer.body!r}")
                    return
                self.retries += 1
                time.sleep(0.05)
            else:
                self.unexpected.append(f"{batch} was never acknowledged")
                return


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("workers", "kills"), [(2, 8), pytest.param(2, 20, marks=pytest.mark.long)])
def test_killed_workers_lose_and_double_nothing(tmp_path: Path, workers: int, kills: int) -> None:
    with running(tmp_path, workers=workers) as gateway:
        senders = [Sender(gateway, f"s{i}") for i in range(6)]
        for sender in senders:
            sender.start()
        chooser = random.Random(workers)
        killed = 0
        while killed < kills:
            time.sleep(chooser.uniform(0.15, 0.6))
            alive = gateway.workers()
            if not alive:
                continue
            os.kill(chooser.choice(alive), signal.SIGKILL)
            killed += 1
        time.sleep(1)
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join(60)
        assert gateway.stop() == 0
        assert [s.unexpected for s in senders if s.unexpected] == [], gateway.output()
        acknowledged = [key for sender in senders for key in sender.acknowledged]
        stored = Counter(event["key"] for event in gateway.stored())
        assert len(acknowledged) > kills * EVENTS_A_BATCH
        assert [key for key in acknowledged if stored[key] != 1] == []
        assert [key for key, n in stored.items() if n != 1] == []
        assert sum(s.retries for s in senders) > 0, "no kill interrupted a request: the test shows nothing"


def test_a_killed_supervisor_takes_its_workers_along_and_a_new_one_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as gateway:
        assert gateway.send([{"msg": "first"}], headers={"X-Batch-Id": "only-once"}).status == 200
        workers = gateway.workers()
        gateway.process.kill()
        gateway.process.wait(60)
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with running(tmp_path, workers=2) as again:
        assert again.send([{"msg": "first"}], headers={"X-Batch-Id": "only-once"}).status == 200
        assert len(again.stored()) == 1, "the batch id outlived both the workers and their supervisor"
        json.loads(again.lines()[0])
