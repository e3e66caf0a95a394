"""Starts each contender, on the gateway's core, in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import machine, servers
from tests.support.ports import free_port

START_TIMEOUT: Final = 20.0
PACKAGES: Final = (*machine.PACKAGES, "fastapi", "starlette", "uvicorn", "aiohttp", "blacksheep", "granian")

UVICORN: Final = ("uvicorn", "--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools", "--no-access-log")
GRANIAN: Final = (
    "granian", "--interface", "asgi", "--workers", "1", "--runtime-threads", "1", "--loop", "uvloop",
    "--no-access-log", "--log-level", "warning",
)  # fmt: skip

# What the table calls each pipeline.
PLAIN: Final = "written plainly"
GUARDED: Final = "plain, guarded"
SYNCED: Final = "plain, guarded, synced"
INSIDE: Final = "ours"
FACTORIES: Final = {"plain": PLAIN, "guarded": GUARDED, "synced": SYNCED, "ours": INSIDE}
"""Each by what an application's module calls it, which is also how a row's name ends."""
FRAMEWORK: Final = ("plain", "guarded", "ours")


@dataclass(frozen=True)
class Contender:
    """One row of the table."""

    name: str
    http: str
    pipeline: str
    words: tuple[str, ...] = ()
    """What follows ``python -m``, with {port}; none for our own command."""
    needs: str = ""
    """The package without which it cannot run."""
    mode: servers.Mode = "up"


def _peer(name: str, http: str, words: tuple[str, ...], factories: tuple[str, ...] = FRAMEWORK) -> list[Contender]:
    """One framework's rows; FACTORY in ``words`` is what each starts."""
    return [
        Contender(
            f"{name}-{factory}",
            http,
            FACTORIES[factory],
            tuple(word.replace("FACTORY", factory) for word in words),
            needs=name,
        )
        for factory in factories
    ]


OURS: Final = Contender("logops-up", "LogOps Fast, `up`", INSIDE)
SPLIT: Final = Contender("logops-split", "LogOps Fast, two processes", INSIDE, mode="split")
ALL: Final = (
    OURS,
    SPLIT,
    *_peer(
        "fastapi",
        "FastAPI, uvicorn",
        (*UVICORN, "--factory", "bench.peers.fastapi_app:FACTORY", "--port", "{port}", "--log-level", "warning"),
    ),
    *_peer("aiohttp", "aiohttp", ("bench.peers.aiohttp_app", "FACTORY", "{port}"), tuple(FACTORIES)),
    *_peer(
        "blacksheep",
        "BlackSheep, Granian",
        (*GRANIAN, "--factory", "bench.peers.blacksheep_app:FACTORY", "--port", "{port}"),
    ),
)


@contextmanager
def running(contender: Contender, folder: Path) -> Iterator[servers.Server]:
    """The contender, serving; ended with all its processes."""
    if not contender.words:
        with servers.running(folder, contender.mode) as server:
            yield server
        return
    port, files = free_port(), folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    words = [word.format(port=port) for word in contender.words]
    log = folder / "log"
    with log.open("wb") as output, machine.on_cores(machine.share_out(1).serve):
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "BENCH_DIR": str(files)},
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield servers.Server(contender.name, port, roots=[process.pid], files=files)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"not serving:\n{log.read_text('utf-8', 'replace')[-2000:]}")
