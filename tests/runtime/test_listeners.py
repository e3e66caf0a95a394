"""The listening sockets that the supervisor owns."""

from __future__ import annotations

import socket

import pytest

from logops_fast.errors import StartupError
from logops_fast.runtime.listeners import bind_listeners


def reserve_port(host: str, port: int) -> socket.socket:
    (sock,) = bind_listeners(host, port, 1)
    return sock


def test_a_port_in_use_is_a_readable_start_up_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"port {port} on 127.0.0.1 is in use: "):
            reserve_port("127.0.0.1", port)


def test_a_port_of_another_gateway_is_in_use_even_though_it_could_be_shared() -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(StartupError, match="is in use"):
            reserve_port("127.0.0.1", listener.getsockname()[1])


def test_a_held_port_is_in_use_for_others_and_free_for_its_own_workers() -> None:
    with reserve_port("127.0.0.1", 0) as held:
        address = held.getsockname()
        with pytest.raises(StartupError, match="is in use"):
            reserve_port(*address)
        workers = [socket.create_server(address, reuse_port=True) for _ in range(2)]
        for worker in workers:
            worker.close()


def test_connections_only_ever_go_to_those_who_listen() -> None:
    with reserve_port("127.0.0.1", 0) as held, socket.create_server(held.getsockname(), reuse_port=True) as worker:
        worker.settimeout(5)
        for _ in range(20):
            with socket.create_connection(held.getsockname(), timeout=5):
                worker.accept()[0].close()


def test_a_port_whose_connections_are_in_time_wait_can_be_taken_again() -> None:
    with reserve_port("127.0.0.1", 0) as held:
        address = held.getsockname()
        with socket.create_server(address, reuse_port=True) as worker, socket.create_connection(address) as client:
            accepted = worker.accept()[0]
            accepted.close()  # the server closes first: the TIME_WAIT is on its side
            assert client.recv(1) == b""
    reserve_port(*address).close()


def test_hosts_that_are_not_ours_are_readable_start_up_errors() -> None:
    with pytest.raises(StartupError, match=r"192\.0\.2\.1 is not an address of this machine"):
        reserve_port("192.0.2.1", 0)
    with pytest.raises(StartupError, match="cannot be resolved"):
        reserve_port("no such host", 0)
