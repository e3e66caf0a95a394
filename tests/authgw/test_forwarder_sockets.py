"""The forwarder over real sockets, and how it drains."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from logops_fast.authgw.circuit_breaker import CircuitBreaker, SenderBreakers
from logops_fast.authgw.forwarder import Forwarder
from logops_fast.backoff import Backoff
from logops_fast.formats.batch import Reply
from logops_fast.http.pool import HttpPool
from tests.authgw.forwarding import BATCH, STORED
from tests.support.scripted_server import LOOPS, Peer, ScriptedServer, answer, run
from tests.support.values import values


def over_sockets(loop: str, script: Any, test: Any, **options: Any) -> None:
    async def main() -> None:
        async with ScriptedServer(script) as server:
            pool = HttpPool(server.url, read_timeout=0.2)
            outcomes: list[str] = []
            forwarder = Forwarder(
                pool,
                SenderBreakers(CircuitBreaker),
                target=pool.endpoint.target,
                backoff=Backoff(0.001, 0.001),
                on_attempt=outcomes.append,
                **options,
            )
            await test(forwarder, server, outcomes)
            await pool.aclose()

    run(loop, main)


async def forward(forwarder: Forwarder) -> Reply:
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    forwarder.send(BATCH, future.set_result)
    return await future


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_a_batch_goes_through_a_real_connection_and_comes_back_as_its_answer(loop: str) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.request())
            await peer.write(answer(STORED))

    async def test(forwarder: Forwarder, server: ScriptedServer, outcomes: list[str]) -> None:
        for _ in range(3):
            assert values(await forward(forwarder)) == values(Reply(200, STORED, (), 100))
        assert (server.connections, outcomes) == (1, ["ok"] * 3)
        head, body = seen[0]
        assert head.startswith(b"POST /v1/logs HTTP/1.1\r\n")
        assert b"\r\nx-batch-id: b-1\r\n" in head
        assert body == BATCH.body

    over_sockets(loop, script, test)


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_a_connection_dropped_after_the_request_is_repaired_by_a_retry(loop: str) -> None:
    ids: list[bytes] = []

    async def script(peer: Peer) -> None:
        head, _ = await peer.request()
        ids.append(head[head.index(b"x-batch-id") :])
        if peer.number == 1:
            await peer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-le")
        elif peer.number == 2:
            await peer.write(answer(STORED))
            await peer.gone()

    async def test(forwarder: Forwarder, server: ScriptedServer, outcomes: list[str]) -> None:
        assert (await forward(forwarder)).status == 200
        assert outcomes == ["closed", "closed", "ok"]
        assert len(ids) == 3
        assert len(set(ids)) == 1

    over_sockets(loop, script, test)


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_a_downstream_that_says_nothing_ends_in_a_504(loop: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    async def test(forwarder: Forwarder, server: ScriptedServer, outcomes: list[str]) -> None:
        reply = await forward(forwarder)
        assert (reply.status, reply.reason) == (504, "downstream_timeout")
        assert outcomes == ["timeout"]

    over_sockets(loop, script, test, deadline=0.05)


async def drained(forwarder: Forwarder, seconds: float) -> bool:
    try:
        await asyncio.wait_for(forwarder.emptied().wait(), seconds)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_draining_waits_for_what_is_in_flight_and_no_longer_than_told(loop: str) -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await release.wait()
        await peer.write(answer(STORED))
        await peer.gone()

    async def test(forwarder: Forwarder, server: ScriptedServer, outcomes: list[str]) -> None:
        assert await drained(forwarder, 0.01)
        task = asyncio.create_task(forward(forwarder))
        await asyncio.sleep(0)
        assert forwarder.inflight == 1
        assert not await drained(forwarder, 0.01)
        release.set()
        assert await drained(forwarder, 5)
        assert forwarder.inflight == 0
        assert (await task).status == 200

    over_sockets(loop, script, test)
