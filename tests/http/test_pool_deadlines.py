"""What a pool waits for, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from logops_fast.http.pool import HttpPool, PoolStats
from logops_fast.http.response_reader import ClientError
from tests.http.pool_steps import Results, echo, failure, settled, silence, with_server
from tests.support.scripted_server import LOOPS, Peer, ScriptedServer, answer, run

pytestmark = pytest.mark.parametrize("loop", sorted(LOOPS))


def test_a_late_answer_never_reaches_another_request(loop: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 0:
            await peer.gone()
            await peer.write(answer(b"late"))
        else:
            await peer.write(answer(b"mine"))
            await peer.gone()

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        error = await failure(pool)
        assert (error.kind, error.sent) == ("read_timeout", True)
        assert (await pool.request(b"POST", b"/", b"", b"x")).body == b"mine"
        assert server.connections == 2

    with_server(loop, script, test, read_timeout=0.05)


def test_a_shorter_timeout_is_not_held_up_by_longer_ones(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        results: Results = []
        pool.send(b"POST", b"/", b"", b"x", results.append)
        assert (await failure(pool, timeout=0.05)).kind in ("read_timeout", "connect_timeout")
        assert results == []

    with_server(loop, silence, test)


def test_a_reused_connection_times_out_like_a_fresh_one(loop: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(answer())
        await peer.gone()

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        await pool.request(b"GET", b"/")
        async with asyncio.timeout(6):  # the timer is set to the first request's seven seconds
            error = await failure(pool, timeout=0.03)
        assert (error.kind, server.connections) == ("read_timeout", 1)

    with_server(loop, script, test)


def test_a_request_that_found_no_free_connection_in_time_was_not_sent(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        results: Results = []
        pool.send(b"POST", b"/", b"", b"x", results.append)
        await settled(lambda: pool.stats.open == 1)
        error = await failure(pool, timeout=0.05)
        assert (error.kind, error.sent) == ("connect_timeout", False)
        assert results == []

    with_server(loop, silence, test, max_connections=1)


def test_a_connection_that_is_never_established_times_out(loop: str) -> None:
    async def main() -> None:
        async with ScriptedServer(silence) as server:  # says nothing to a TLS hello
            pool = HttpPool(server.url.replace("http:", "https:"), connect_timeout=0.05)
            error = await failure(pool)
            assert (error.kind, error.sent) == ("connect_timeout", False)
            await pool.aclose()

    run(loop, main)


def test_unused_connections_are_closed_after_their_time(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        await asyncio.gather(*(pool.request(b"GET", b"/") for _ in range(4)))
        assert pool.stats.open == 4
        await settled(lambda: server.open == 0)
        assert pool.stats == PoolStats(0, 0, 0, 0)
        assert (await pool.request(b"GET", b"/")).status == 200

    with_server(loop, echo, test, idle_timeout=0.03)


@pytest.mark.interpreted
def test_the_timer_is_set_per_timeout_and_not_per_request(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[float] = []
    arm = HttpPool._arm

    def counting(pool: HttpPool, deadline: float, now: float) -> None:
        armed.append(deadline)
        arm(pool, deadline, now)

    monkeypatch.setattr(HttpPool, "_arm", counting)

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        for _ in range(100):
            await pool.request(b"GET", b"/")
        assert 1 <= len(armed) <= 3

    with_server(loop, echo, test)


def test_closing_ends_everything_once_and_for_good(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        results: Results = []
        for _ in range(3):
            pool.send(b"POST", b"/", b"", b"x", results.append)
        await settled(lambda: pool.stats.open == 1)
        await pool.aclose()
        pool.send(b"POST", b"/", b"", b"x", results.append)
        await settled(lambda: len(results) == 4)
        assert {r.kind for r in results if isinstance(r, ClientError)} == {"closed"}
        assert sorted(r.sent for r in results if isinstance(r, ClientError)) == [False, False, False, True]

    with_server(loop, silence, test, max_connections=1)


def test_closing_while_connecting_ends_the_request(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        results: Results = []
        pool.send(b"POST", b"/", b"", b"x", results.append)
        await pool.aclose()
        await settled(lambda: len(results) == 1)
        assert isinstance(results[0], ClientError)
        assert results[0].kind == "closed"

    with_server(loop, silence, test)
