"""Real services for tests: found on this machine, started for one test, gone after it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ports import free_port

START_DEADLINE = 60.0


def require_service(name: str) -> str:
    """The path of a program; skips the test where it is missing, or fails it under LOGOPS_REQUIRE_SERVICES=1."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("LOGOPS_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{name} is not installed, and LOGOPS_REQUIRE_SERVICES=1 asks for it")
        pytest.skip(f"{name} is not installed")
    return path


class RedisServer:
    """A redis-server without persistence, on a port of its own that it keeps over a restart."""

    def __init__(self, program: str, directory: Path, env: Mapping[str, str] | None = None) -> None:
        self._program = program
        self._directory = directory
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                self._program,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                *("--dir", str(self._directory), "--loglevel", "warning"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._env,
        )
        deadline = time.monotonic() + START_DEADLINE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                pytest.fail(f"redis-server ended with {self._process.returncode}")
            try:
                if self.ask(b"PING") == b"+PONG\r\n":
                    return
            except OSError:
                time.sleep(0.01)
        self.kill()
        pytest.fail("redis-server did not start")

    def ask(self, line: bytes) -> bytes:
        """Send one inline command and return the beginning of its answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(line + b"\r\n")
            return connection.recv(65536)

    def kill(self) -> None:
        """End it at once; everything it held is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Stop it where it is: connections stay open and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(env: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """A running RedisServer, or a skip where there is none to run."""
    program = require_service("redis-server")
    with tempfile.TemporaryDirectory(prefix="logops-redis-") as directory:
        server = RedisServer(program, Path(directory), env)
        server.start()
        try:
            yield server
        finally:
            server.kill()
