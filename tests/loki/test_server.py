"""The double itself: what it does when it goes away."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket

import pytest

from tests.loki.server import LokiServer
from tests.support.scripted_server import run


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_connection_that_comes_as_it_goes_away_is_reset(loop: str, turns: int) -> None:
    async def main() -> None:
        server = LokiServer()
        await server.start()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop()
            for _ in range(10):
                await asyncio.sleep(0)
            client.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
            assert not server._writers

    run(loop, main)
    gc.collect()  # what was not closed is a warning, and so a failure
