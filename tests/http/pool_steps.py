"""Servers for the tests of the pool, and its failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from logops_fast.http.pool import HttpPool, PoolStats
from logops_fast.http.response_reader import ClientError, ClientResponse
from tests.support.scripted_server import Peer, ScriptedServer, answer, run

Results = list[ClientResponse | ClientError]


async def echo(peer: Peer) -> None:
    """Answer every request with its body."""
    while True:
        _, body = await peer.request()
        await peer.write(answer(body))


async def silence(peer: Peer) -> None:
    """Read, never answer."""
    await peer.gone()


async def failure(pool: HttpPool, **options: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await pool.request(b"POST", b"/", b"", b"x", **options)
    return caught.value


async def settled(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # sockets move outside of any event here
            await asyncio.sleep(0.001)


def with_server(
    loop: str, script: Callable[[Peer], Awaitable[None]], test: Callable[..., Awaitable[None]], **options: Any
) -> None:
    """Run ``test(pool, server)``; afterwards the pool closes and must leave nothing behind."""

    async def main() -> None:
        async with ScriptedServer(script) as server:
            pool = HttpPool(server.url, **options)
            try:
                await test(pool, server)
            finally:
                await pool.aclose()
            assert pool.stats == PoolStats(0, 0, 0, 0)

    run(loop, main)
