"""A file system that is really frozen: every write to it waits in the kernel, and SIGKILL does not end who waits."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, request, running

pytestmark = [pytest.mark.process, pytest.mark.service, pytest.mark.slow]

DEADLINE = 60.0
SENDERS = 8


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which the test may freeze."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("fsfreeze", "mkfs.ext4", "mount"))):
        pytest.skip("freezing a file system needs root, fsfreeze, mkfs.ext4 and mount")
    image, mounted = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mounted.mkdir()
    if subprocess.run(["mount", "-o", "loop", image, mounted], check=False, capture_output=True).returncode:
        pytest.skip("this machine cannot mount an image")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-l", mounted], check=False)


def until_status(gateway: Gateway, status: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while request(gateway.admin_port, "GET", "/readyz").status != status:
        assert time.monotonic() < deadline, gateway.output()
        assert request(gateway.admin_port, "GET", "/metrics").status == 200
        time.sleep(0.1)


def test_the_admin_listener_answers_throughout_and_what_was_acknowledged_is_stored_once(
    tmp_path: Path, disk: Path
) -> None:
    settings = {"sink": {"dir": str(disk / "ingest")}, "server": {"worker_timeout": 7}}
    with running(tmp_path, workers=2, settings=settings) as gateway:
        acknowledged = ["before"]
        assert gateway.send([{"msg": "before"}]).status == 200

        def send(text: str) -> None:
            try:
                if gateway.send([{"msg": text}], timeout=DEADLINE).status == 200:
                    acknowledged.append(text)
            except (OSError, http.client.HTTPException):
                pass  # a worker that was killed: never acknowledged

        senders = [threading.Thread(target=send, args=(f"during {number}",)) for number in range(SENDERS)]
        subprocess.run(["fsfreeze", "-f", disk], check=True)
        try:
            for sender in senders:
                sender.start()
            until_status(gateway, 503)
            # Long enough for workers that hang to be killed, to be left behind by the kernel, and to be replaced.
            end = time.monotonic() + 12
            while time.monotonic() < end:
                assert request(gateway.admin_port, "GET", "/readyz").status == 503
                assert request(gateway.admin_port, "GET", "/healthz").status == 200
                time.sleep(0.2)
        finally:
            subprocess.run(["fsfreeze", "-u", disk], check=True)
        for sender in senders:
            sender.join(DEADLINE)
        until_status(gateway, 200)
        acknowledged.append("after")
        assert gateway.send([{"msg": "after"}]).status == 200
        lines = [line for path in (disk / "ingest").glob("*.ndjson") for line in path.read_text().splitlines()]
        stored = Counter(json.loads(line)["msg"] for line in lines)
        assert {text: stored[text] for text in acknowledged} == dict.fromkeys(acknowledged, 1)
        assert max(stored.values()) == 1
