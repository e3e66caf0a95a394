"""Steps of the tests of the Redis store."""

from __future__ import annotations

import asyncio
import time

from tests.state.support import Asker

TIMEOUT = 1.5


def healthy(asker: Asker) -> str | None:
    seen: list[str | None] = []
    asker.on_loop(lambda: seen.append(asker.store.healthy()))
    return seen[0]


def recover(asker: Asker) -> None:
    """Wait until the store has found its server again by itself."""
    deadline = time.monotonic() + 60
    while healthy(asker) is not None:
        assert time.monotonic() < deadline
        asker.runner.run(asyncio.sleep(0.02))


def refused(asker: Asker, why: str) -> None:
    """Wait until the store says why it cannot be used."""
    deadline = time.monotonic() + 60
    while why not in (said := str(healthy(asker))):
        assert time.monotonic() < deadline, said
        asker.runner.run(asyncio.sleep(0.02))
