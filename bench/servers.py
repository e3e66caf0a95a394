"""The gateways under test: started by their real command in a folder of their own, or somewhere else already."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from bench.machine import Usage, on_cores, share_out, tree, usage
from tests.support import gateway

Mode = Literal["up", "split"]

CLIENTS: Final[dict[str, dict[str, Any]]] = {"bench": {"secrets": ["bench-secret"], "emitter": "bench"}}
# What is measured is the gateway, not its limits: they are checked for each request, and none is ever reached.
UNLIMITED: Final = {"unit": "events", "per_emitter": {"capacity": 10**12, "refill_per_sec": 1e12}}


@dataclass
class Server:
    """Something that takes signed batches and appends lines to files."""

    name: str
    port: int
    host: str = "127.0.0.1"
    target: bytes = b"/ingest"
    metrics_port: int | None = None
    roots: Sequence[int] = ()
    files: Path | None = None
    """The directory of the NDJSON files; None where they are out of reach."""
    marker: bytes = b"\n"
    """What the files have once for each event."""
    _pids: list[int] = field(default_factory=list)
    _counted: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def usage(self) -> Usage:
        """CPU and memory of all its processes."""
        if not self._pids:
            self._pids = tree(self.roots)
        return usage(self._pids)

    def lines_stored(self) -> int:
        """Lines (or other markers) in the files so far; only what is new is read."""
        total, marker = 0, self.marker
        for path in sorted(self.files.glob("*.ndjson")) if self.files is not None else ():
            at, lines = self._counted.get(path, (0, 0))
            with path.open("rb") as file:
                file.seek(at)
                kept = b""  # a marker may lie across two pieces
                while piece := file.read(1 << 20):
                    lines += (kept + piece).count(marker)
                    at += len(piece)
                    kept = (kept + piece)[len(kept + piece) - len(marker) + 1 :]
                at -= len(kept)
            self._counted[path] = (at, lines)
            total += lines
        return total


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A folder on a real disk (in ``build/`` by default), gone afterwards with the gigabytes in it."""
    parent = parent or Path("build/bench")
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings(durability: str = "fsync", auth: bool = True, mask: bool = True) -> dict[str, Any]:
    """The configuration of a benchmark: the defaults, without limits that would be reached."""
    return {
        "auth": {"mode": "hmac" if auth else "none"},
        "ratelimit": {**UNLIMITED, "overrides": {}},
        "sink": {"durability": durability},
        "pii": {"mask": mask},
        "state": {"max_request_rate": 20_000},  # the default; the tests' gateways have room for fewer nonces
        "logging": {"level": "warning"},
        "housekeeping": {"autorun": False},
    }


@contextmanager
def running(
    folder: Path,
    mode: Mode = "up",
    *,
    workers: int = 1,
    durability: str = "fsync",
    auth: bool = True,
    env: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[Server]:
    """Our gateways on cores of their own: both in one process (``up``), or two with HTTP in between (``split``).

    ``env`` are more variables of their environment, ``extra`` more sections of their settings.
    """
    base = settings(durability, auth) | dict(extra or {})
    with ExitStack() as stack:

        def start(where: Path, command: str, **more: Any) -> gateway.Gateway:
            options = {"settings": base | more, "clients": CLIENTS, "workers": workers, "env": env}
            return stack.enter_context(gateway.running(where, command, **options))

        with on_cores(share_out(workers).serve):
            if mode == "up":
                behind, front = folder, start(folder, "up")
                server = Server("up", front.auth_port, metrics_port=front.auth_port, roots=[front.process.pid])
            else:
                behind = folder / "ingest"
                ingest = start(behind, "ingest")
                forward = {"url": f"http://127.0.0.1:{ingest.ingest_port}/v1/logs"}
                front = start(folder / "auth", "authgw", forward=forward)
                roots = [front.process.pid, ingest.process.pid]
                server = Server("split", front.auth_port, metrics_port=ingest.ingest_port, roots=roots)
        server.files = behind / "data" / "ingest"
        yield server
