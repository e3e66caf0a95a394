"""A `logops ship` of a test: a real process, with its secret in a file, in a directory without a gateway."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from logops_fast.shipper.entries import rfc3339_ns
from tests.loki.server import ThreadedLoki
from tests.shipper.world import day
from tests.support.ports import free_port

DEADLINE = 60.0  # s
PROGRAM = (sys.executable, "-m", "logops_fast")


class Ship:
    """A shipper as a process. ``program`` may be another one that runs the command."""

    def __init__(self, folder: Path, server: ThreadedLoki, token: Path, program: Sequence[str] = PROGRAM) -> None:
        self.folder = folder
        self.log = folder / "ship.log"
        (folder / "ingest").mkdir()
        ship = {
            "url": server.url, "token_file": str(token), "machine": server.machine, "start": "beginning",
            "poll_interval": 0.05,
        }  # fmt: skip
        settings = {"sink": {"dir": "ingest"}, "ship": ship, "admin": {"port": free_port()}}
        (folder / "logops.yaml").write_text(yaml.safe_dump(settings))
        command = [*program, "--config", "logops.yaml", "ship"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)

    @classmethod
    @contextmanager
    def running(
        cls, folder: Path, server: ThreadedLoki, token: Path, program: Sequence[str] = PROGRAM
    ) -> Iterator[Ship]:
        """Run one, and see that it ends cleanly."""
        ship = cls(folder, server, token, program)
        try:
            ship.logged("shipping ingest")
            yield ship
        finally:
            if ship.process.poll() is None:
                ship.process.terminate()
            assert ship.process.wait(DEADLINE) == 0, ship.log.read_text()

    def reload(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `logops reload` for it."""
        command = [*PROGRAM, "--config", "logops.yaml", "reload", "--pid", str(self.process.pid), *options]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE, check=False)

    def children(self) -> list[int]:
        """The processes that were started by the process."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def put(self, text: str) -> None:
        """Store a line as a gateway that is gone has left it."""
        now = time.time()
        line = {"ts": rfc3339_ns(int(now * 1e9)), "level": "INFO", "emitter": "web", "msg": text}
        with (self.folder / "ingest" / f"{day(now)}.ndjson").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def logged(self, text: str) -> None:
        """Wait until the log has a text."""
        self.until(lambda: text in self.log.read_text())
