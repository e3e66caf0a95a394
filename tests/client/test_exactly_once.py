"""A gateway killed and restarted while records are logged: each is stored exactly once."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from logops_fast.client.handler import LogOpsHandler
from tests.support.gateway import KEY, SECRET, Gateway, running, start, wait_ready

pytestmark = [pytest.mark.process, pytest.mark.fault, pytest.mark.slow]


@pytest.mark.parametrize("records", [15_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_each_record_is_stored_once_though_the_gateway_is_killed_meanwhile(tmp_path: Path, records: int) -> None:
    with running(tmp_path) as first:
        settings = {"authgw": {"port": first.auth_port}, "ingest": {"port": first.ingest_port}}
        url = f"http://127.0.0.1:{first.auth_port}/ingest"
        handler = LogOpsHandler(url, KEY, SECRET, flush_interval=0.05, batch_size=200, timeout=3.0, close_timeout=30.0)
        logger = logging.Logger("shop")
        logger.addHandler(handler)
        written, killed_twice = threading.Event(), threading.Event()

        def log_all() -> None:
            for number in range(records):
                logger.info("record", extra={"number": number})
                if number % 500 == 0:
                    time.sleep(0.02)
                if number == records * 2 // 3:
                    killed_twice.wait(60)  # however long a restart takes here, records come before and after
            written.set()

        application = threading.Thread(target=log_all)
        application.start()
        gateway = first
        kills = 0
        try:
            while not written.is_set() and kills < 3:
                time.sleep(0.5)
                kill(gateway)
                kills += 1
                if kills == 2:
                    killed_twice.set()
                gateway = start(tmp_path, settings=settings, wait=False)
                wait_ready(gateway, gateway.auth_port)
            application.join(60)
            handler.flush(30.0)
            handler.close()
            assert kills >= 2
            assert handler.dropped == Counter()
            found = Counter(event["number"] for event in gateway.stored())
            assert len(found) == records
            assert set(found.values()) == {1}
            assert handler.delivered == records
        finally:
            kill(gateway)


def kill(gateway: Gateway) -> None:
    """kill -9 of supervisor and workers, and wait until they are gone: they hold the port and the state's lock."""
    workers = gateway.workers()
    with suppress(ProcessLookupError):
        os.killpg(gateway.process.pid, signal.SIGKILL)
    gateway.process.wait(60)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)
