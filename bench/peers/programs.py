"""Starts a program that is measured, on the gateway's core, and ends it with all its processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench import machine

START_TIMEOUT: Final = 60.0


@contextmanager
def serving(
    words: Sequence[str], port: int, log: Path, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[int]:
    """Run a command until the block ends; yields its process id once it listens.

    Raises RuntimeError, with its output, if it does not.
    """
    with log.open("wb") as output, machine.on_cores(machine.share_out(1).serve):
        process = subprocess.Popen(
            words,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
        )
    try:
        _await_port(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"not serving:\n{log.read_text('utf-8', 'replace')[-2000:]}")
