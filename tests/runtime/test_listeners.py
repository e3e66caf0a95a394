"""The listening sockets that the supervisor owns."""

from __future__ import annotations

import socket

import pytest

from logops_fast.errors import StartupError
from logops_fast.runtime.listeners import PortName, bind_listener, bind_listeners, listen


def reserve_port(host: str, port: int) -> socket.socket:
    (sock,) = bind_listeners(host, port, 1)
    return sock


def test_a_port_in_use_is_a_readable_start_up_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"^port {port} on 127.0.0.1 is in use.*: stop .* choose another port$"):
            reserve_port("127.0.0.1", port)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (PortName("authgw.port", "--authgw-port"), "or choose another port with --authgw-port or authgw.port"),
        (PortName("admin.port"), "or set another admin.port"),
    ],
)
@pytest.mark.parametrize("owner", ["process 4711 (nginx)", None])
def test_a_port_in_use_names_its_setting_and_who_has_it(
    name: PortName, remedy: str, owner: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logops_fast.runtime.listeners.port_owner", lambda port, udp: owner)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError) as found:
            bind_listener("127.0.0.1", port, name=name)
    by = "" if owner is None else f" by {owner}"
    it = "the process that listens there" if owner is None else "it"
    assert str(found.value) == f"{name.setting}: port {port} on 127.0.0.1 is in use{by}: stop {it}, {remedy}"


def test_a_wrong_host_names_the_setting_of_the_host() -> None:
    with pytest.raises(StartupError, match=r"^authgw\.host: 192\.0\.2\.1 is not an address of this machine"):
        bind_listeners("192.0.2.1", 0, 1, name=PortName("authgw.port"))
    with pytest.raises(StartupError, match=r"^syslog\.tcp: host 'no such host' cannot be resolved"):
        bind_listeners("no such host", 0, 1, name=PortName("syslog.tcp"))


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
        worker.settimeout(60)
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


def test_a_port_below_1024_is_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logops_fast.runtime.listeners.socket.socket.bind", _denied, raising=False)
    with pytest.raises(StartupError, match=r"port 80 on 127\.0\.0\.1 is not permitted"):
        bind_listeners("127.0.0.1", 80, 1)


def _denied(_self: socket.socket, _address: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_the_sockets_of_all_places_share_a_port_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    found = bind_listeners("::1", 0, 3)
    try:
        assert len({sock.getsockname()[1] for sock in found}) == 1
        for sock in found:
            listen(sock)
        for _ in range(20):
            socket.create_connection(found[0].getsockname()[:2], timeout=5).close()
    finally:
        for sock in found:
            sock.close()


def test_a_single_listener_listens_at_once() -> None:
    with bind_listener("127.0.0.1", 0) as sock:
        socket.create_connection(sock.getsockname(), timeout=5).close()
        with pytest.raises(StartupError, match="in use"):
            bind_listener("127.0.0.1", sock.getsockname()[1])
