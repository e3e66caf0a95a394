"""What the state of a batch costs Redis: nonce, bucket, claim and end of a batch id, by the gateway's own scripts.

    python -m bench.redis_rate --batches 50000

CPU seconds of the server's process, and the memory that it has more of at the end. Needs redis-server or valkey-server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Final, NamedTuple

from logops_fast.runtime.loop import new_event_loop
from logops_fast.state.interface import BucketVerdict, NonceVerdict
from logops_fast.state.redis_store import RedisStore
from tests.support.ports import free_port

OPERATIONS: Final = 4
WINDOW: Final = 256
"""Batches under way at once."""
TOLERANCE: Final = 300.0  # s


class Figures(NamedTuple):
    """Batches, CPU seconds of the server, and bytes of memory that each batch has taken."""

    batches: int
    cpu: float
    memory: float

    def text(self) -> str:
        """Return the figures for people."""
        rate = self.batches / self.cpu
        return (
            f"{self.batches:,} batches: {rate:,.0f} a CPU second of the server, "
            f"{rate * OPERATIONS:,.0f} operations; {self.memory:.0f} bytes of memory a batch"
        )


async def _batch(store: RedisStore, number: int) -> None:
    loop = asyncio.get_running_loop()
    nonce: asyncio.Future[NonceVerdict] = loop.create_future()
    # Signed a minute ahead: what was signed before the store was first reached is refused.
    expires = time.time() + 60 + TOLERANCE
    store.nonces.insert(b"web-1\0" + secrets.token_hex(16).encode(), expires, nonce.set_result)
    if (verdict := await nonce) is not NonceVerdict.FRESH:
        raise RuntimeError(f"a nonce was refused: {verdict}")
    bucket: asyncio.Future[BucketVerdict] = loop.create_future()
    store.buckets.take(b"web", 1, 1e9, 1e9, bucket.set_result)
    await bucket
    claim: asyncio.Future[object] = loop.create_future()
    store.batch_ids.begin("web", f"b-{number}", number, claim.set_result)
    await claim
    store.batch_ids.finish("web", f"b-{number}", b"x" * 150, number)


async def _all(url: str, batches: int) -> None:
    store = RedisStore(url, TOLERANCE, timeout=30)
    try:
        for first in range(0, batches, WINDOW):
            await asyncio.gather(*(_batch(store, number) for number in range(first, min(first + WINDOW, batches))))
        await asyncio.sleep(1)  # the last ends of batch ids have no answer to wait for
    finally:
        await store.close()


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(batches: int) -> Figures:
    """Run so many batches against a server of its own."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise SystemExit("bench.redis_rate needs valkey-server or redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            _await_port(port)
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(_all(f"redis://127.0.0.1:{port}/0", 1000))
                cpu, memory = _cpu(server.pid), _memory(server.pid)
                runner.run(_all(f"redis://127.0.0.1:{port}/0", batches))
                return Figures(batches, _cpu(server.pid) - cpu, (_memory(server.pid) - memory) / batches)
        finally:
            server.terminate()
            server.wait(10)


def main() -> int:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=50_000)
    print(measure(parser.parse_args().batches).text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
