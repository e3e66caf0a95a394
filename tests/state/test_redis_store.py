"""What is Redis's own: it goes away, hangs, forgets, and its clock is not ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from logops_fast.state.interface import BatchClaim, ClaimKind, NonceVerdict
from logops_fast.state.redis_check import check_policy
from logops_fast.state.redis_store import RedisStore
from tests.state.support import Asker
from tests.support.clock_shim import ClockShim
from tests.support.services import RedisServer, redis_server

pytestmark = [pytest.mark.service, pytest.mark.slow]

TIMEOUT = 1.5


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
    deadline = time.monotonic() + 60
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
        async with asyncio.timeout(60):
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
    deadline = time.monotonic() + 60
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
    deadline = time.monotonic() + 60
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
        verdicts: list[NonceVerdict] = []
        server.hang()
        store.nonces.insert(b"a", soon(), verdicts.append)
        await asyncio.sleep(0)
        await store.close()
        assert verdicts == [NonceVerdict.UNAVAILABLE]
        store.nonces.insert(b"b", soon(), verdicts.append)
        assert verdicts == [NonceVerdict.UNAVAILABLE] * 2

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
    assert len(names) == 6  # with the tally of the client's nonces
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


# A server that refuses.


def refused(asker: Asker, why: str) -> None:
    """Wait until the store says why it cannot be used."""
    deadline = time.monotonic() + 60
    while why not in (said := str(healthy(asker))):
        assert time.monotonic() < deadline, said
        asker.runner.run(asyncio.sleep(0.02))


def test_a_full_server_is_said_in_its_own_words_and_noticed_when_it_has_room(
    server: RedisServer, asker: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    assert asker.insert(b"web\0before", soon()) is NonceVerdict.FRESH
    server.ask(b"CONFIG SET maxmemory 1")
    for number in range(20):
        assert asker.insert(b"web\0%d" % number, soon()) is NonceVerdict.UNAVAILABLE
    refused(asker, "OOM")
    assert len([record for record in caplog.records if "OOM" in record.getMessage()]) == 1
    server.ask(b"CONFIG SET maxmemory 0")
    recover(asker)  # with no request at all: /readyz is 503, so none may come
    assert asker.insert(b"web\0after", soon()) is NonceVerdict.FRESH


def test_a_refused_permission_is_said_too(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 1)
    server.ask(b"ACL SETUSER default -evalsha")
    assert asker.insert(b"web\0nonce", soon()) is NonceVerdict.UNAVAILABLE
    refused(asker, "evalsha")
    server.ask(b"ACL SETUSER default +evalsha")
    recover(asker)


def test_a_demoted_server_is_left_and_its_address_looked_up_again(server: RedisServer, asker: Asker) -> None:
    """What a failover does: the address leads to a replica at first, and to a primary again a moment later."""
    signed_before = time.time() + 301
    assert asker.insert(b"web\0before", signed_before) is NonceVerdict.FRESH
    connections = server.ask(b"INFO stats").partition(b"total_connections_received:")[2].partition(b"\r")[0]
    with redis_server() as primary:
        server.ask(b"REPLICAOF 127.0.0.1 %d" % primary.port)
        assert asker.insert(b"web\0nonce", soon()) is NonceVerdict.UNAVAILABLE
        refused(asker, "cannot be written to")
        assert asker.begin("web", "b").kind is ClaimKind.UNAVAILABLE
        server.ask(b"REPLICAOF NO ONE")
        recover(asker)
    assert asker.insert(b"web\0nonce", soon()) is NonceVerdict.FRESH
    later = server.ask(b"INFO stats").partition(b"total_connections_received:")[2].partition(b"\r")[0]
    assert int(later) > int(connections)


def test_after_a_failover_behind_one_address_nothing_old_is_let_in(server: RedisServer, asker: Asker) -> None:
    """The replica may lack the last nonces: what was signed before the failover is refused."""
    asker.take(b"web", 1)
    old = time.time() + 301
    with redis_server() as replica:
        replica.ask(b"REPLICAOF 127.0.0.1 %d" % server.port)
        deadline = time.monotonic() + 60
        while b"master_link_status:up" not in replica.ask(b"INFO replication"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        asker.runner.run(asyncio.sleep(1.1))
        port, replica_port = server.port, replica.port
        server.kill()
        replica.ask(b"REPLICAOF NO ONE")
        proxy = Forward(port, replica_port)
        with proxy:
            while (verdict := asker.insert(b"web\0old", old)) is NonceVerdict.UNAVAILABLE:
                recover(asker)
            assert verdict is NonceVerdict.FORGOTTEN
            assert asker.insert(b"web\0new", soon()) is NonceVerdict.FRESH


class Forward:
    """The address of a dead server, leading to another one."""

    def __init__(self, port: int, to: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._to = to
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)


def test_a_server_that_may_evict_nonces_is_not_used(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 1)
    server.ask(b"CONFIG SET maxmemory-policy allkeys-lru")
    refused(asker, "maxmemory-policy is allkeys-lru")
    assert asker.insert(b"web\0nonce", soon()) is NonceVerdict.UNAVAILABLE
    server.ask(b"CONFIG SET maxmemory-policy noeviction")
    recover(asker)


def test_unless_the_operator_accepts_it(server: RedisServer) -> None:
    server.ask(b"CONFIG SET maxmemory-policy volatile-ttl")
    asker = Asker(RedisStore(server.url, 300, allow_eviction=True))
    assert asker.insert(b"web\0nonce", soon()) is NonceVerdict.FRESH
    asker.close()


def test_an_evicting_server_is_refused_before_the_start(server: RedisServer) -> None:
    server.ask(b"CONFIG SET maxmemory-policy allkeys-lfu")
    said: list[str] = []
    with pytest.raises(ValueError, match=r"allkeys-lfu; set it to noeviction, or set state.redis_allow_"):
        check_policy(server.url, allow_eviction=False, log=said.append)
    assert said == []
    check_policy(server.url, allow_eviction=True, log=said.append)
    assert len(said) == 1
    assert "allkeys-lfu" in said[0]


def test_a_server_that_is_away_or_refuses_is_no_reason_not_to_start(server: RedisServer) -> None:
    server.ask(b"CONFIG SET requirepass right")
    check_policy(server.url, allow_eviction=False)
    server.kill()
    check_policy(server.url, allow_eviction=False)


# Who holds the memory.


def test_of_a_server_that_is_nearly_full_the_largest_holder_is_refused(server: RedisServer, asker: Asker) -> None:
    server.ask(b"SETRANGE filler 20000000 x")
    for number in range(300):
        assert asker.insert(b"greedy\0%d" % number, soon()) is NonceVerdict.FRESH
    assert asker.insert(b"small\0first", soon()) is NonceVerdict.FRESH
    used = int(server.ask(b"INFO memory").partition(b"used_memory:")[2].partition(b"\r")[0])
    server.ask(b"CONFIG SET maxmemory %d" % int(used / 0.95))
    deadline = time.monotonic() + 60
    while (verdict := asker.insert(b"greedy\0%f" % time.time(), soon())) is not NonceVerdict.CROWDED:
        assert verdict is NonceVerdict.FRESH
        assert time.monotonic() < deadline
    assert asker.insert(b"small\0second", soon()) is NonceVerdict.FRESH
    assert asker.insert(b"new\0first", soon()) is NonceVerdict.FRESH
    assert asker.insert(b"greedy\0%d" % 5, soon() - 1) is NonceVerdict.REPLAY
    assert healthy(asker) is None


# The server's clock.


@pytest.fixture
def stepping(tmp_path: Path) -> Iterator[tuple[RedisServer, ClockShim]]:
    shim = ClockShim(tmp_path)
    with redis_server(shim.env) as server:
        yield server, shim


@pytest.mark.parametrize("step", [-300, -5, 5, 3600])
def test_a_step_of_the_server_s_clock_freezes_no_bucket(stepping: tuple[RedisServer, ClockShim], step: float) -> None:
    server, shim = stepping
    asker = Asker(RedisStore(server.url, 300, timeout=30))  # a busy machine is no server that is down
    assert asker.take(b"web", 10, rate=2).allowed
    assert not asker.take(b"web", 10, rate=2).allowed
    shim.set(step)
    deadline = time.monotonic() + 60
    while not asker.take(b"web", 10, rate=2).allowed:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    asker.close()


@pytest.mark.parametrize("step", [-3600, -300, 3600, 86_400])
def test_a_step_of_the_server_s_clock_refuses_what_was_signed_before_and_nothing_after(
    stepping: tuple[RedisServer, ClockShim], step: float
) -> None:
    """A clock that jumps ahead makes the server drop all nonces at once: none of them may be good again."""
    server, shim = stepping
    # A busy machine is no server that is down.
    with contextlib.closing(Asker(RedisStore(server.url, 300, timeout=30))) as asker:
        # The horizon is set, by the first contact, before the nonce is signed that lies just over it.
        assert asker.insert(b"web\0first", soon()) is NonceVerdict.FRESH
        used = time.time() + 301
        assert asker.insert(b"web\0used", used) is NonceVerdict.FRESH
        asker.runner.run(asyncio.sleep(1.1))
        shim.set(step)
        assert asker.insert(b"web\0used", used) in (NonceVerdict.FORGOTTEN, NonceVerdict.REPLAY)
        assert asker.insert(b"web\0used", used) in (NonceVerdict.FORGOTTEN, NonceVerdict.REPLAY)
        for number in range(5):
            expiry = soon()
            assert asker.insert(b"web\0new-%d" % number, expiry) is NonceVerdict.FRESH
            assert asker.insert(b"web\0new-%d" % number, expiry) is NonceVerdict.REPLAY


def test_one_step_is_corrected_once_however_many_gateways_see_it(stepping: tuple[RedisServer, ClockShim]) -> None:
    server, shim = stepping
    one, other = Asker(RedisStore(server.url, 300)), Asker(RedisStore(server.url, 300))
    for asker in (one, other):
        asker.insert(b"web\0first", soon())
    shim.set(3600)
    for round_ in range(3):
        for asker in (one, other):
            assert asker.insert(b"web\0%d-%d" % (round_, id(asker)), soon()) is NonceVerdict.FRESH
    skew = float(server.ask(b"HGET logops:horizon skew").split(b"\r\n")[1])
    assert skew == pytest.approx(3600, abs=5)
    assert server.ask(b"HGET logops:horizon gen").split(b"\r\n")[1] == b"2"
    one.close()
    other.close()


def test_a_claim_lasts_as_long_as_it_is_renewed_and_no_longer(server: RedisServer) -> None:
    one = Asker(RedisStore(server.url, 300, claim_ttl=4, timeout=30))
    other = Asker(RedisStore(server.url, 300, claim_ttl=60, timeout=30))
    deadline = time.monotonic() + 100
    for number in range(100):  # again if this process was not scheduled for so long that a renewal came late
        kept, left = f"kept{number}", f"left{number}"
        assert one.begin("web", kept).kind is ClaimKind.NEW
        renewed, gap = time.monotonic(), 0.0
        assert one.begin("web", left).kind is ClaimKind.NEW
        while other.begin("web", left).kind is not ClaimKind.NEW:
            assert time.monotonic() < deadline
            one.renew("web", kept)
            gap, renewed = max(gap, time.monotonic() - renewed), time.monotonic()
        if gap < 2:
            break
    assert other.begin("web", kept).kind is ClaimKind.IN_PROGRESS
    assert not one.renew("web", left), "another gateway has it now"
    server.kill()
    assert not other.renew("web", left), "a server that does not answer confirms nothing"
    one.close()
    other.close()


def test_a_server_whose_clock_is_an_hour_ahead_from_the_start_refuses_nothing(
    stepping: tuple[RedisServer, ClockShim],
) -> None:
    server, shim = stepping
    shim.set(3600)
    asker = Asker(RedisStore(server.url, 300))
    expiry = soon()
    assert asker.insert(b"web\0nonce", expiry) is NonceVerdict.FRESH
    assert asker.insert(b"web\0nonce", expiry) is NonceVerdict.REPLAY
    asker.close()


# Batches of the version before.


def test_batches_that_version_0_4_stored_are_still_known(server: RedisServer, asker: Asker) -> None:
    asker.take(b"web", 1)
    server.ask(b'SET "logops:batch:web\\x00old" "Danswer"')
    server.ask(b'SET "logops:batch:web\\x00claimed" "P123-abc"')
    assert asker.begin("web", "old") == BatchClaim(ClaimKind.DONE, b"answer")
    assert asker.begin("web", "claimed").kind is ClaimKind.IN_PROGRESS
    asker.finish("web", "claimed", b"new")
    assert asker.begin("web", "claimed") == BatchClaim(ClaimKind.DONE, b"new")


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
