"""What a worker holds of syslog connections: frames that are not complete, and handshakes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from logops_fast.authgw.syslog import server as server_module
from logops_fast.authgw.syslog.connection import GRACE, MIN_RATE, SMALL, SyslogConnection
from logops_fast.authgw.syslog.server import MAX_UNFINISHED, SyslogServer
from logops_fast.authgw.syslog.sources import Sources
from logops_fast.http.budget import Budget
from logops_fast.http.limits import HttpLimits
from logops_fast.http.tls import server_context
from logops_fast.http.tls_accept import TlsListener
from tests.authgw.syslog.test_lane import Way
from tests.support.certificates import make_certificates

LIMIT = 262_144


class Transport:
    """A connection of 127.0.0.1 that is never written to."""

    def __init__(self) -> None:
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 5000) if name == "peername" else None

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...

    resume_reading = pause_reading


class Server:
    """A server without sockets, over a clock and a downstream of the test's."""

    def __init__(self, allow: str = "127.0.0.0/8", **limits: int) -> None:
        self.way = Way()
        self.now = 0.0
        self.budget = Budget(HttpLimits(**limits))
        self.server = SyslogServer(Sources([allow], {}, "web"), self.way.shared, self.budget, LIMIT)
        self.server._schedule_sweep = lambda: None  # type: ignore[method-assign]  # no loop; the test sweeps

    def connect(self) -> tuple[SyslogConnection, Transport]:
        server = self.server
        made = SyslogConnection(LIMIT, server._made, server._lost, server._grown, lambda: self.now)
        transport = Transport()
        made.connection_made(transport)  # type: ignore[arg-type]
        return made, transport

    def dropped(self, reason: str, transport: str = "tcp") -> float:
        return self.way.dropped().get((transport, reason), 0)

    def sweep(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1.0
            self.server.sweep(self.now)


def test_unfinished_frames_of_all_connections_are_bounded_and_the_largest_have_to_go() -> None:
    server = Server()
    small = [server.connect() for _ in range(20)]
    for connection, _ in small:
        connection.data_received(b"<34>the beginning of a line")
    large = [server.connect() for _ in range(MAX_UNFINISHED // 200_000 + 30)]
    for connection, _ in large:
        connection.data_received(b"250000 <34>" + b"x" * 200_000)
        assert server.server._unfinished <= MAX_UNFINISHED
    assert server.server._unfinished == sum(connection.unfinished for connection, _ in [*small, *large])
    closed = sum(transport.closed for _, transport in large)
    assert 30 <= closed <= len(large) // 2
    assert server.dropped("overloaded") == closed
    assert not any(transport.closed for _, transport in small)
    for connection, _ in [*small, *large]:
        connection.connection_lost(None)
    assert server.server._unfinished == 0
    assert server.budget.connections == 0


def test_a_frame_that_arrives_too_slowly_is_cut_and_its_connection_closed() -> None:
    server = Server()
    slow, slow_transport = server.connect()
    steady, steady_transport = server.connect()
    short, short_transport = server.connect()
    short.data_received(b"<34>" + b"x" * (SMALL - 4))
    for connection in (slow, steady):
        connection.data_received(b"200000 <34>" + b"x" * SMALL)
    for _ in range(60):
        slow.data_received(b"x" * (MIN_RATE // 2))
        steady.data_received(b"x" * (2 * MIN_RATE))
        server.sweep(1)
        if slow_transport.closed:
            break
    assert slow_transport.closed
    assert server.now > GRACE
    assert server.dropped("frame_timeout") == 1
    server.sweep(200)
    assert steady_transport.closed
    assert not short_transport.closed, "the beginning of a line may take any time"
    assert server.dropped("frame_timeout") == 2


def test_no_time_runs_while_it_is_the_gateway_that_does_not_read() -> None:
    server = Server()
    connection, transport = server.connect()
    connection.data_received(b"200000 <34>" + b"x" * (2 * SMALL))
    connection.hold(True)
    server.sweep(600)
    assert not transport.closed
    connection.hold(False)
    server.sweep(GRACE - 1)
    assert not transport.closed
    server.sweep(5)
    assert transport.closed


def test_another_frame_has_time_of_its_own() -> None:
    server = Server()
    connection, transport = server.connect()
    frame = b"8192 <34>" + b"x" * 8188
    for _ in range(30):
        # The end of one and the beginning of the next, for longer than one of them may take.
        connection.data_received(frame[6000:] + frame[:6000] if server.now else frame[:6000])
        server.sweep(5)
    assert not transport.closed


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(("allow", "reason"), [("10.0.0.0/8", "not_allowed"), ("127.0.0.0/8", "too_many_connections")])
def test_over_tls_the_allow_list_and_the_caps_come_before_the_handshake(
    certificates: Path, allow: str, reason: str
) -> None:
    server = Server(allow, max_connections_per_address=2)
    context = server_context(str(certificates / "server.pem"), str(certificates / "server.key"))
    shaken: list[object] = []
    context.sni_callback = lambda *_: shaken.append(None)  # called in the middle of each handshake

    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        listener = TlsListener(
            sock,
            context,
            server.server.admit,
            server.server.give_up,
            backlog=10,
            handshake_timeout=10.0,
            shutdown_timeout=1.0,
        )
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        async with asyncio.timeout(20):
            if reason == "too_many_connections":
                while server.budget.connections < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            client = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
            for _, writer in silent:
                writer.close()
            while server.budget.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            if reason == "too_many_connections":
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost")
                writer.close()
                while server.budget.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        listener.close()

    asyncio.run(main())
    assert server.dropped(reason, "tls") == (3 if reason == "not_allowed" else 1)
    assert len(shaken) == (0 if reason == "not_allowed" else 1)


def test_the_deadline_is_looked_at_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[float] = []

    async def main() -> None:
        server = Server()
        del server.server._schedule_sweep
        monkeypatch.setattr(server_module, "_SWEEP", 0.001)
        monkeypatch.setattr(SyslogServer, "sweep", lambda self, now: swept.append(now))
        connection, _ = server.connect()
        async with asyncio.timeout(20):
            while len(swept) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        connection.connection_lost(None)
        while server.server._sweeper is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    asyncio.run(main())
