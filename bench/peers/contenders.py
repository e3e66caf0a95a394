"""Starts each contender, on the gateway's core, in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import machine, servers
from bench.peers import programs
from tests.support.ports import free_port

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
    with programs.serving([sys.executable, "-m", *words], port, log, {"BENCH_DIR": str(files)}) as pid:
        yield servers.Server(contender.name, port, roots=[pid], files=files)
