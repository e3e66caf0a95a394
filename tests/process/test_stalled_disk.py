"""A disk that does not answer, under the real command: what waits, what is served, what is stored."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.faults.slow_disk import SlowDisk
from tests.support.gateway import Answer, Gateway, request, running

pytestmark = [pytest.mark.process, pytest.mark.slow]

PROMPT = 4.0  # s; generous for a busy machine, and shorter than the disk stalls


def disk_of(folder: Path) -> SlowDisk:
    (folder / "data" / "ingest").mkdir(parents=True)
    return SlowDisk(folder / "control", folder / "data" / "ingest")


def settings_of(folder: Path) -> dict[str, dict[str, object]]:
    return {
        "auth": {"failures": {"capacity": 1_000_000, "refill_per_sec": 100_000}},
        "sink": {"dir": str(folder / "data" / "ingest")},
        "server": {"drain_timeout": 5},
    }


class Sender(threading.Thread):
    """Sends one batch and waits for its answer."""

    def __init__(self, gateway: Gateway, batch: str) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.batch = batch
        self.answer: Answer | None = None

    def run(self) -> None:
        self.answer = self.gateway.send([{"msg": self.batch}], headers={"X-Batch-Id": self.batch}, timeout=60)


def until(condition: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


@pytest.mark.parametrize("mode", ["hang_write", "freeze"])
def test_only_storing_waits_for_a_disk_that_stalls(tmp_path: Path, mode: str) -> None:
    disk = disk_of(tmp_path)
    with running(tmp_path, settings=settings_of(tmp_path), env=disk.environment) as gateway:
        assert gateway.send([{"msg": "before"}]).status == 200
        disk.set(mode)
        senders = [Sender(gateway, f"b-{n}") for n in range(3)]
        for sender in senders:
            sender.start()
        # The request for the metrics is in flight as well.
        until(lambda: gateway.metric("logops_inflight") >= 4, "the batches are not in flight")
        until(lambda: disk.met() >= 1, "nothing waits for the disk")
        seen: list[str] = []

        def stalled() -> bool:
            answers = [request(gateway.auth_port, "GET", path, timeout=PROMPT) for path in ("/healthz", "/readyz")]
            assert answers[0].status == 200
            assert gateway.send([{"msg": "x"}], secret="wrong", timeout=PROMPT).reason == "bad_signature"
            assert b"logops_inflight" in request(gateway.ingest_port, "GET", "/metrics", timeout=PROMPT).body
            seen.append("" if answers[1].status == 200 else answers[1].reason)
            return seen[-1] != ""

        until(stalled, "/readyz never said so")
        assert seen[-1] == "sink_stalled"
        repeated = gateway.send([{"msg": "b-0"}], headers={"X-Batch-Id": "b-0"}, timeout=PROMPT)
        assert (repeated.status, repeated.reason) == (503, "batch_in_progress")
        assert [sender.answer for sender in senders] == [None] * 3
        disk.set()
        for sender in senders:
            sender.join(30)
        assert [sender.answer.status for sender in senders if sender.answer] == [200] * 3
        until(lambda: request(gateway.auth_port, "GET", "/readyz").status == 200, "/readyz did not recover")
        assert gateway.send([{"msg": "b-0"}], headers={"X-Batch-Id": "b-0"}).status == 200
        assert sorted(event["msg"] for event in gateway.stored()) == ["b-0", "b-1", "b-2", "before"]
        assert gateway.stop() == 0


def test_a_gateway_whose_disk_stalls_at_the_start_can_be_stopped(tmp_path: Path) -> None:
    disk = disk_of(tmp_path)
    disk.set("hang_open")
    with running(tmp_path, settings=settings_of(tmp_path), env=disk.environment, wait=False) as gateway:
        until(lambda: disk.met() >= 1, "the worker did not come to its files")
        assert gateway.stop(30) == 1, gateway.output()
    disk.set()
    with running(tmp_path, settings=settings_of(tmp_path), env=disk.environment) as gateway:
        assert gateway.send([{"msg": "after"}]).status == 200


def test_a_drain_does_not_wait_for_ever_for_a_disk(tmp_path: Path) -> None:
    disk = disk_of(tmp_path)
    with running(tmp_path, settings=settings_of(tmp_path), env=disk.environment) as gateway:
        assert gateway.send([{"msg": "before"}]).status == 200
        disk.set("hang_write")

        def send() -> None:
            with suppress(OSError, HTTPException):  # the connection ends with the process
                gateway.send([{"msg": "lost"}])

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        until(lambda: disk.met() >= 1, "the batch is not being written")
        assert gateway.stop(30) == 1
        sender.join(20)
    disk.set()
    with running(tmp_path, settings=settings_of(tmp_path), env=disk.environment) as gateway:
        assert [event["msg"] for event in gateway.stored()][:1] == ["before"]
        assert gateway.send([{"msg": "after"}]).status == 200
