"""A Redis server that refuses: no memory, no permission, no master, or settings that could lose nonces."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from logops_fast.state.interface import ClaimKind, NonceVerdict
from logops_fast.state.redis_check import check_policy
from logops_fast.state.redis_store import RedisStore
from tests.state.redis_steps import recover, refused
from tests.state.support import Asker, soon
from tests.support.services import RedisServer, redis_server

pytestmark = [pytest.mark.service, pytest.mark.slow]


def test_a_full_server_is_said_in_its_own_words_and_noticed_when_it_has_room(
    server: RedisServer, remote: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    assert remote.insert(b"web\0before", soon()) is NonceVerdict.FRESH
    server.ask(b"CONFIG SET maxmemory 1")
    for number in range(20):
        assert remote.insert(b"web\0%d" % number, soon()) is NonceVerdict.UNAVAILABLE
    refused(remote, "OOM")
    assert len([record for record in caplog.records if "OOM" in record.getMessage()]) == 1
    server.ask(b"CONFIG SET maxmemory 0")
    recover(remote)  # with no request at all: /readyz is 503, so none may come
    assert remote.insert(b"web\0after", soon()) is NonceVerdict.FRESH


def test_a_refused_permission_is_said_too(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 1)
    server.ask(b"ACL SETUSER default -evalsha")
    assert remote.insert(b"web\0nonce", soon()) is NonceVerdict.UNAVAILABLE
    refused(remote, "evalsha")
    server.ask(b"ACL SETUSER default +evalsha")
    recover(remote)


def test_a_demoted_server_is_left_and_its_address_looked_up_again(server: RedisServer, remote: Asker) -> None:
    """What a failover does: the address leads to a replica at first, and to a primary again a moment later."""
    assert remote.insert(b"web\0before", soon()) is NonceVerdict.FRESH
    connections = server.ask(b"INFO stats").partition(b"total_connections_received:")[2].partition(b"\r")[0]
    with redis_server() as primary:
        server.ask(b"REPLICAOF 127.0.0.1 %d" % primary.port)
        assert remote.insert(b"web\0nonce", soon()) is NonceVerdict.UNAVAILABLE
        refused(remote, "cannot be written to")
        assert remote.begin("web", "b").kind is ClaimKind.UNAVAILABLE
        server.ask(b"REPLICAOF NO ONE")
        recover(remote)
    assert remote.insert(b"web\0nonce", soon()) is NonceVerdict.FRESH
    later = server.ask(b"INFO stats").partition(b"total_connections_received:")[2].partition(b"\r")[0]
    assert int(later) > int(connections)


def test_after_a_failover_behind_one_address_nothing_old_is_let_in(server: RedisServer, remote: Asker) -> None:
    """The replica may lack the last nonces: what was signed before the failover is refused."""
    remote.take(b"web", 1)
    old = time.time() + 301
    with redis_server() as replica:
        replica.ask(b"REPLICAOF 127.0.0.1 %d" % server.port)
        deadline = time.monotonic() + 60
        while b"master_link_status:up" not in replica.ask(b"INFO replication"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        remote.runner.run(asyncio.sleep(1.1))
        port, replica_port = server.port, replica.port
        server.kill()
        replica.ask(b"REPLICAOF NO ONE")
        proxy = Forward(port, replica_port)
        with proxy:
            while (verdict := remote.insert(b"web\0old", old)) is NonceVerdict.UNAVAILABLE:
                recover(remote)
            assert verdict is NonceVerdict.FORGOTTEN
            assert remote.insert(b"web\0new", soon()) is NonceVerdict.FRESH


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


def test_a_server_that_may_evict_nonces_is_not_used(server: RedisServer, remote: Asker) -> None:
    remote.take(b"web", 1)
    server.ask(b"CONFIG SET maxmemory-policy allkeys-lru")
    refused(remote, "maxmemory-policy is allkeys-lru")
    assert remote.insert(b"web\0nonce", soon()) is NonceVerdict.UNAVAILABLE
    server.ask(b"CONFIG SET maxmemory-policy noeviction")
    recover(remote)


def test_unless_the_operator_accepts_it(server: RedisServer) -> None:
    server.ask(b"CONFIG SET maxmemory-policy volatile-ttl")
    remote = Asker(RedisStore(server.url, 300, allow_eviction=True))
    assert remote.insert(b"web\0nonce", soon()) is NonceVerdict.FRESH
    remote.close()


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
