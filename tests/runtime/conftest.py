"""The supervised script as a real process, its events read line by line."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

WAIT = 20.0  # for one event; far more than any takes


class Supervised:
    """A running ``worker_script`` in a process group of its own."""

    def __init__(self, workers: int, *behaviour: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.worker_script", str(workers), *behaviour],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.events: list[list[str]] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._err: list[str] = []
        self._threads = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for thread in self._threads:
            thread.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._err.append(line)

    def wait_for(self, event: str, times: int = 1) -> list[list[str]]:
        """The words of the next ``times`` events of this name."""
        found: list[list[str]] = []
        while len(found) < times:
            line = self._lines.get(timeout=WAIT)
            assert line is not None, f"ended without {event}: {self.events} {self._err}"
            words = line.split()
            self.events.append(words)
            if words[0] == event:
                found.append(words[1:])
        return found

    def signal(self, number: signal.Signals, pid: int = 0) -> None:
        os.kill(pid or self.pid, number)

    def exit_code(self) -> int:
        """Wait for the end of the supervisor and of all that holds its stdout: all workers."""
        code = self.process.wait(WAIT)
        for thread in self._threads:
            thread.join(WAIT)
            assert not thread.is_alive(), "a worker outlived its supervisor"
        while (line := self._lines.get_nowait()) is not None:
            self.events.append(line.split())
        return code

    def log(self, message: str) -> list[dict[str, Any]]:
        """The log's lines that hold ``message``."""
        lines = [json.loads(line) for line in self._err[:]]
        return [line for line in lines if message in line["msg"]]

    def wait_for_log(self, message: str) -> dict[str, Any]:
        """The first line of the log that holds ``message``, once it is there."""
        deadline = time.monotonic() + WAIT
        while not (lines := self.log(message)):
            assert time.monotonic() < deadline, f"never logged {message}: {self._err}"
            time.sleep(0.01)
        return lines[0]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(WAIT)
        for thread in self._threads:
            thread.join(WAIT)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def supervised() -> Iterator[Callable[..., Supervised]]:
    running: list[Supervised] = []

    def start(workers: int, *behaviour: str) -> Supervised:
        running.append(Supervised(workers, *behaviour))
        return running[-1]

    yield start
    for process in running:
        process.close()
