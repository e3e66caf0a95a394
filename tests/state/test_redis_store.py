"""What is Redis's own: it goes away, hangs, forgets, and its clock is not ours."""

from __future__ import annotations

import asyncio
import time

import pytest

from logops_fast.state.interface import BatchClaim, ClaimKind, NonceVerdict
from logops_fast.state.redis_store import RedisStore
from tests.state.redis_steps import TIMEOUT, healthy, recover
from tests.state.support import Asker, soon
from tests.support.services import RedisServer

pytestmark = [pytest.mark.service, pytest.mark.slow]


def test_a_killed_server_is_unavailable_at_once_and_found_again_when_it_is_back(
    server: RedisServer, remote: Asker
) -> None:
    assert remote.insert(b"before", soon()) is NonceVerdict.FRESH
    server.kill()
    assert remote.insert(b"a", soon()) is NonceVerdict.UNAVAILABLE
    assert not remote.take(b"web", 1).available
    assert remote.begin("web", "b").kind is ClaimKind.UNAVAILABLE
    assert "Redis" in str(healthy(remote))
    server.start()
    recover(remote)
    assert remote.insert(b"b", soon()) is NonceVerdict.FRESH
    assert remote.take(b"web", 1).allowed


def test_a_server_that_lost_its_memory_lets_no_earlier_request_in(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 1)  # connects
    signed = time.time()
    assert remote.insert(b"key", signed + 301) is NonceVerdict.FRESH
    server.kill()
    remote.runner.run(asyncio.sleep(1.1))
    server.start()
    remote.take(b"web", 1)
    recover(remote)
    assert remote.insert(b"key", signed + 301) is NonceVerdict.FORGOTTEN
    assert remote.insert(b"new", soon()) is NonceVerdict.FRESH


def test_a_flushed_server_lets_no_earlier_request_in_and_gets_its_scripts_again(
    server: RedisServer, remote: Asker
) -> None:
    signed = time.time() - 2
    remote.insert(b"key", signed + 301)
    server.ask(b"FLUSHALL")
    server.ask(b"SCRIPT FLUSH")
    assert remote.insert(b"key", signed + 301) is NonceVerdict.FORGOTTEN
    assert remote.insert(b"new", soon()) is NonceVerdict.FRESH


def test_a_hung_server_is_unavailable_within_the_timeout_and_found_again(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 1)
    server.hang()

    async def ask_many() -> list[bool]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(600)]
        for future in futures:
            remote.store.buckets.take(b"web", 1, 10, 1, future.set_result)
        async with asyncio.timeout(60):
            return [(await future).available for future in futures]

    assert set(remote.runner.run(ask_many())) == {False}
    assert healthy(remote) == f"Redis did not answer within {TIMEOUT} s"
    server.resume()
    recover(remote)
    assert remote.take(b"web", 1).available


def test_silence_is_noticed_without_any_request(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 1)
    assert healthy(remote) is None
    server.kill()
    deadline = time.monotonic() + 60
    while healthy(remote) is None:
        assert time.monotonic() < deadline
        remote.runner.run(asyncio.sleep(0.02))


def test_a_batch_stored_while_the_server_was_away_is_known_when_it_is_back(server: RedisServer, remote: Asker) -> None:
    assert remote.begin("web", "b").kind is ClaimKind.NEW
    server.kill()
    assert remote.begin("web", "c").kind is ClaimKind.UNAVAILABLE
    remote.finish("web", "b", b"answer")
    server.start()
    recover(remote)
    assert remote.begin("web", "b") == BatchClaim(ClaimKind.DONE, b"answer")


def test_a_batch_the_full_server_refused_to_note_is_noted_when_there_is_room(
    server: RedisServer, remote: Asker
) -> None:
    assert remote.begin("web", "b").kind is ClaimKind.NEW
    server.ask(b"CONFIG SET maxmemory 1")
    remote.finish("web", "b", b"answer")
    assert remote.insert(b"key", soon()) is NonceVerdict.UNAVAILABLE
    assert remote.begin("web", "c").kind is ClaimKind.UNAVAILABLE
    server.ask(b"CONFIG SET maxmemory 0")
    deadline = time.monotonic() + 60
    while remote.begin("web", "b").kind is not ClaimKind.DONE:
        assert time.monotonic() < deadline
        remote.runner.run(asyncio.sleep(0.02))
    assert remote.begin("web", "c").kind is ClaimKind.NEW


def test_a_claim_that_timed_out_is_given_up_when_the_server_is_back(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 1)
    server.hang()
    assert remote.begin("web", "b").kind is ClaimKind.UNAVAILABLE
    server.resume()
    recover(remote)
    assert remote.begin("web", "b").kind is ClaimKind.NEW


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
        verdicts: list[NonceVerdict] = []
        server.hang()
        store.nonces.insert(b"a", soon(), verdicts.append)
        await asyncio.sleep(0)
        await store.close()
        assert verdicts == [NonceVerdict.UNAVAILABLE]
        store.nonces.insert(b"b", soon(), verdicts.append)
        assert verdicts == [NonceVerdict.UNAVAILABLE] * 2

    asyncio.run(run())


def test_a_callback_that_fails_does_not_take_the_others_with_it(
    remote: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(verdict: object) -> None:
        raise RuntimeError("a bug elsewhere")

    remote.on_loop(lambda: remote.store.nonces.insert(b"a", soon(), fail))
    assert remote.take(b"web", 1).allowed
    assert "callback" in caplog.text


def test_a_gateway_whose_clock_is_behind_can_reopen_nothing(remote: Asker) -> None:
    """Its own clock check passes for an old request; the server, which forgot the nonce, says how late it is."""
    late = time.time() - 100
    assert remote.insert(b"key", late) is NonceVerdict.FORGOTTEN


def test_all_keys_but_the_horizon_end_by_themselves(server: RedisServer, remote: Asker) -> None:
    remote.insert(b"key", soon())
    remote.take(b"web", 5, rate=1)
    remote.begin("web", "b")
    remote.finish("web", "c", b"answer")
    names = [line for line in server.ask(b"KEYS *").split(b"\r\n") if line.startswith(b"logops:")]
    assert len(names) == 6  # with the tally of the client's nonces
    endless = [name for name in names if b"\0" not in name and server.ask(b"TTL " + name) == b":-1\r\n"]
    assert endless == [b"logops:horizon"]


def test_a_full_bucket_leaves_no_key(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 5)
    remote.give(b"web", 5.0)
    remote.peek(b"web")
    remote.give(b"web", 5.0)
    remote.peek(b"web")
    assert server.ask(b"EXISTS logops:bucket:web") == b":0\r\n"


def test_a_wrong_password_is_said_without_showing_it(server: RedisServer) -> None:
    server.ask(b"CONFIG SET requirepass right")
    remote = Asker(RedisStore(server.url.replace("redis://", "redis://:wr0ng@"), 300, timeout=TIMEOUT))
    assert remote.insert(b"a", soon()) is NonceVerdict.UNAVAILABLE
    reason = str(healthy(remote))
    remote.close()
    assert "password" in reason
    assert "wr0ng" not in reason


# Who holds the memory.


def test_of_a_server_that_is_nearly_full_the_largest_holder_is_refused(server: RedisServer, remote: Asker) -> None:
    server.ask(b"SETRANGE filler 20000000 x")
    for number in range(300):
        assert remote.insert(b"greedy\0%d" % number, soon()) is NonceVerdict.FRESH
    assert remote.insert(b"small\0first", soon()) is NonceVerdict.FRESH
    used = int(server.ask(b"INFO memory").partition(b"used_memory:")[2].partition(b"\r")[0])
    server.ask(b"CONFIG SET maxmemory %d" % int(used / 0.95))
    deadline = time.monotonic() + 60
    while (verdict := remote.insert(b"greedy\0%f" % time.time(), soon())) is not NonceVerdict.CROWDED:
        assert verdict is NonceVerdict.FRESH
        assert time.monotonic() < deadline
    assert remote.insert(b"small\0second", soon()) is NonceVerdict.FRESH
    assert remote.insert(b"new\0first", soon()) is NonceVerdict.FRESH
    assert remote.insert(b"greedy\0%d" % 5, soon() - 1) is NonceVerdict.REPLAY
    assert healthy(remote) is None


# Batches of the version before.


def test_batches_that_version_0_4_stored_are_still_known(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 1)
    server.ask(b'SET "logops:batch:web\\x00old" "Danswer"')
    server.ask(b'SET "logops:batch:web\\x00claimed" "P123-abc"')
    assert remote.begin("web", "old") == BatchClaim(ClaimKind.DONE, b"answer")
    assert remote.begin("web", "claimed").kind is ClaimKind.IN_PROGRESS
    remote.finish("web", "claimed", b"new")
    assert remote.begin("web", "claimed") == BatchClaim(ClaimKind.DONE, b"new")


def test_a_pump_says_how_it_is(server: RedisServer) -> None:
    async def run() -> list[str]:
        store = RedisStore(server.url, 300)
        seen = [repr(store._pump)]
        done = asyncio.Event()
        store.buckets.peek(b"web", 1, 1, lambda verdict: done.set())
        seen.append(repr(store._pump))
        await done.wait()
        seen.append(repr(store._pump))
        await store.close()
        return seen

    assert asyncio.run(run()) == [
        "<RedisPump not connected: 0 queued, 0 sent>",
        "<RedisPump not connected: 1 queued, 0 sent>",
        "<RedisPump connected: 0 queued, 0 sent>",
    ]


def test_two_gateways_share_one_server(server: RedisServer, remote: Asker) -> None:
    other = Asker(RedisStore(server.url, 300))
    expiry = soon()
    assert remote.insert(b"key", expiry) is NonceVerdict.FRESH
    assert other.insert(b"key", expiry) is NonceVerdict.REPLAY
    assert remote.begin("web", "b").kind is ClaimKind.NEW
    assert other.begin("web", "b").kind is ClaimKind.IN_PROGRESS
    other.abandon("web", "b")
    assert remote.begin("web", "b").kind is ClaimKind.IN_PROGRESS
    remote.abandon("web", "b")
    remote.peek(b"web")  # answered after it
    assert other.begin("web", "b").kind is ClaimKind.NEW
    other.close()
