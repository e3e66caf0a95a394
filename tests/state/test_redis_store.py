"""What is Redis's own: it goes away, hangs, forgets, and its clock is not ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from logops_fast.state.interface import BatchClaim, ClaimKind, NonceVerdict
from logops_fast.state.redis_store import RedisStore
from tests.state.support import Asker
from tests.support.services import RedisServer, redis_server

pytestmark = [pytest.mark.service, pytest.mark.slow]

TIMEOUT = 0.2


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def asker(server: RedisServer) -> Iterator[Asker]:
    asker = Asker(RedisStore(server.url, 300, timeout=TIMEOUT))
    yield asker
    asker.close()


def healthy(asker: Asker) -> str | None:
    seen: list[str | None] = []
    asker.on_loop(lambda: seen.append(asker.store.healthy()))
    return seen[0]


def recover(asker: Asker) -> None:
    """Wait until the store has found its server again by itself."""
    deadline = time.monotonic() + 10
    while healthy(asker) is not None:
        assert time.monotonic() < deadline
        asker.runner.run(asyncio.sleep(0.02))


def soon() -> float:
    """An expiry that is past the horizon even if the store begins a moment later."""
    return time.time() + 305


def test_a_killed_server_is_unavailable_at_once_and_found_again_when_it_is_back(
    server: RedisServer, asker: Asker
) -> None:
    assert asker.insert(b"before", soon()) is NonceVerdict.FRESH
    server.kill()
    assert asker.insert(b"a", soon()) is NonceVerdict.UNAVAILABLE
    assert not asker.take(b"web", 1).available
    assert asker.begin("web", "b").kind is ClaimKind.UNAVAILABLE
    assert "Redis" in str(healthy(asker))
    server.start()
    recover(asker)
    assert asker.insert(b"b", soon()) is NonceVerdict.FRESH
    assert asker.take(b"web", 1).allowed


def test_a_server_that_lost_its_memory_lets_no_earlier_request_in(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 1)  # connects
    signed = time.time()
    assert asker.insert(b"key", signed + 301) is NonceVerdict.FRESH
    server.kill()
    asker.runner.run(asyncio.sleep(1.1))
    server.start()
    asker.take(b"web", 1)
    recover(asker)
    assert asker.insert(b"key", signed + 301) is NonceVerdict.FORGOTTEN
    assert asker.insert(b"new", soon()) is NonceVerdict.FRESH


def test_a_flushed_server_lets_no_earlier_request_in_and_gets_its_scripts_again(
    server: RedisServer, asker: Asker
) -> None:
    signed = time.time() - 2
    asker.insert(b"key", signed + 301)
    server.ask(b"FLUSHALL")
    server.ask(b"SCRIPT FLUSH")
    assert asker.insert(b"key", signed + 301) is NonceVerdict.FORGOTTEN
    assert asker.insert(b"new", soon()) is NonceVerdict.FRESH


def test_a_hung_server_is_unavailable_within_the_timeout_and_found_again(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 1)
    server.hang()

    async def ask_many() -> list[bool]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(600)]
        for future in futures:
            asker.store.buckets.take(b"web", 1, 10, 1, future.set_result)
        async with asyncio.timeout(3 * TIMEOUT):
            return [(await future).available for future in futures]

    assert set(asker.runner.run(ask_many())) == {False}
    assert healthy(asker) == f"Redis did not answer within {TIMEOUT} s"
    server.resume()
    recover(asker)
    assert asker.take(b"web", 1).available


def test_silence_is_noticed_without_any_request(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 1)
    assert healthy(asker) is None
    server.kill()
    deadline = time.monotonic() + 5
    while healthy(asker) is None:
        assert time.monotonic() < deadline
        asker.runner.run(asyncio.sleep(0.02))


def test_a_batch_stored_while_the_server_was_away_is_known_when_it_is_back(server: RedisServer, asker: Asker) -> None:
    assert asker.begin("web", "b").kind is ClaimKind.NEW
    server.kill()
    assert asker.begin("web", "c").kind is ClaimKind.UNAVAILABLE
    asker.finish("web", "b", b"answer")
    server.start()
    recover(asker)
    assert asker.begin("web", "b") == BatchClaim(ClaimKind.DONE, b"answer")


def test_a_batch_the_full_server_refused_to_note_is_noted_when_there_is_room(server: RedisServer, asker: Asker) -> None:
    assert asker.begin("web", "b").kind is ClaimKind.NEW
    server.ask(b"CONFIG SET maxmemory 1")
    asker.finish("web", "b", b"answer")
    assert asker.insert(b"key", soon()) is NonceVerdict.UNAVAILABLE
    assert asker.begin("web", "c").kind is ClaimKind.UNAVAILABLE
    server.ask(b"CONFIG SET maxmemory 0")
    deadline = time.monotonic() + 5
    while asker.begin("web", "b").kind is not ClaimKind.DONE:
        assert time.monotonic() < deadline
        asker.runner.run(asyncio.sleep(0.02))
    assert asker.begin("web", "c").kind is ClaimKind.NEW


def test_a_claim_that_timed_out_is_given_up_when_the_server_is_back(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 1)
    server.hang()
    assert asker.begin("web", "b").kind is ClaimKind.UNAVAILABLE
    server.resume()
    recover(asker)
    assert asker.begin("web", "b").kind is ClaimKind.NEW


def test_past_the_cap_on_commands_in_flight_the_next_is_refused_at_once(server: RedisServer) -> None:
    async def run() -> list[bool]:
        store = RedisStore(server.url, 300, max_inflight=5)
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(8)]
        for future in futures:
            store.buckets.take(b"web", 1, 10, 1, future.set_result)
        refused = [future.done() for future in futures]
        answers = [(await future).available for future in futures]
        await store.close()
        assert answers == [True] * 5 + [False] * 3
        return refused

    assert asyncio.run(run()) == [False] * 5 + [True] * 3


def test_closing_answers_what_is_under_way(server: RedisServer) -> None:
    async def run() -> None:
        store = RedisStore(server.url, 300)
        told: list[NonceVerdict] = []
        server.hang()
        store.nonces.insert(b"a", soon(), told.append)
        await asyncio.sleep(0)
        await store.close()
        assert told == [NonceVerdict.UNAVAILABLE]
        store.nonces.insert(b"b", soon(), told.append)
        assert told == [NonceVerdict.UNAVAILABLE] * 2

    asyncio.run(run())


def test_a_callback_that_fails_does_not_take_the_others_with_it(asker: Asker, caplog: pytest.LogCaptureFixture) -> None:
    def fail(verdict: object) -> None:
        raise RuntimeError("a bug elsewhere")

    asker.on_loop(lambda: asker.store.nonces.insert(b"a", soon(), fail))
    assert asker.take(b"web", 1).allowed
    assert "callback" in caplog.text


def test_a_gateway_whose_clock_is_behind_can_reopen_nothing(asker: Asker) -> None:
    """Its own clock check passes for an old request; the server, which forgot the nonce, says how late it is."""
    late = time.time() - 100
    assert asker.insert(b"key", late) is NonceVerdict.FORGOTTEN


def test_all_keys_but_the_horizon_end_by_themselves(server: RedisServer, asker: Asker) -> None:
    asker.insert(b"key", soon())
    asker.take(b"web", 5, rate=1)
    asker.begin("web", "b")
    asker.finish("web", "c", b"answer")
    names = [line for line in server.ask(b"KEYS *").split(b"\r\n") if line.startswith(b"logops:")]
    assert len(names) == 5
    endless = [name for name in names if b"\0" not in name and server.ask(b"TTL " + name) == b":-1\r\n"]
    assert endless == [b"logops:horizon"]


def test_a_full_bucket_leaves_no_key(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 5)
    asker.give(b"web", 5.0)
    asker.peek(b"web")
    asker.give(b"web", 5.0)
    asker.peek(b"web")
    assert server.ask(b"EXISTS logops:bucket:web") == b":0\r\n"


def test_a_wrong_password_is_said_without_showing_it(server: RedisServer) -> None:
    server.ask(b"CONFIG SET requirepass right")
    asker = Asker(RedisStore(server.url.replace("redis://", "redis://:wr0ng@"), 300, timeout=TIMEOUT))
    assert asker.insert(b"a", soon()) is NonceVerdict.UNAVAILABLE
    reason = str(healthy(asker))
    asker.close()
    assert "password" in reason
    assert "wr0ng" not in reason


def test_a_claim_lasts_as_long_as_it_is_renewed_and_no_longer(server: RedisServer) -> None:
    one = Asker(RedisStore(server.url, 300, claim_ttl=2))
    other = Asker(RedisStore(server.url, 300, claim_ttl=60))
    assert one.begin("web", "b").kind is ClaimKind.NEW
    assert one.begin("web", "c").kind is ClaimKind.NEW
    deadline = time.monotonic() + 20
    while other.begin("web", "c").kind is not ClaimKind.NEW:
        one.renew("web", "b")
        assert time.monotonic() < deadline
    assert other.begin("web", "b").kind is ClaimKind.IN_PROGRESS
    assert not one.renew("web", "c"), "another gateway has it now"
    server.kill()
    assert not other.renew("web", "c"), "a server that does not answer confirms nothing"
    one.close()
    other.close()


def test_two_gateways_share_one_server(server: RedisServer, asker: Asker) -> None:
    other = Asker(RedisStore(server.url, 300))
    expiry = soon()
    assert asker.insert(b"key", expiry) is NonceVerdict.FRESH
    assert other.insert(b"key", expiry) is NonceVerdict.REPLAY
    assert asker.begin("web", "b").kind is ClaimKind.NEW
    assert other.begin("web", "b").kind is ClaimKind.IN_PROGRESS
    other.abandon("web", "b")
    assert asker.begin("web", "b").kind is ClaimKind.IN_PROGRESS
    asker.abandon("web", "b")
    asker.peek(b"web")  # answered behind it
    assert other.begin("web", "b").kind is ClaimKind.NEW
    other.close()
