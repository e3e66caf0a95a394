from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvloop

from logops_fast.http.budget import Budget
from logops_fast.http.exchange import Response
from logops_fast.http.limits import HttpLimits
from logops_fast.http.server import HttpServer
from logops_fast.http.tls import server_context
from tests.http.support import Collector, Echo, Parked, make_server, post, read_answers
from tests.support.certificates import make_certificates

Listen = Callable[..., Awaitable[int]]
Run = Callable[[Callable[[Listen], Awaitable[None]]], None]
HOST = "127.0.0.1"


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test on either event loop; what the loop would only log fails the test."""

    def runner(main: Callable[[Listen], Awaitable[None]]) -> None:
        complaints: list[object] = []
        servers: list[HttpServer] = []

        async def listen(server: HttpServer, port: int = 0, *, reuse_port: bool = False) -> int:
            servers.append(server)
            return await server.listen(HOST, port, reuse_port=reuse_port)

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            try:
                async with asyncio.timeout(120):
                    await main(listen)
            finally:  # uvloop hangs when it is closed with a server on it
                for server in servers:
                    await server.drain(0)

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(watched())
        assert complaints == []

    return runner


async def talk(port: int, data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Sends everything and reads until the server hangs up."""
    reader, writer = await asyncio.open_connection(
        HOST, port, ssl=context, server_hostname="localhost" if context else None
    )
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (conditions of the server, which sets no event for tests)
            await asyncio.sleep(0.005)


LAST = post(b"last", b"Connection: close")


def test_requests_are_answered_over_a_real_socket(run: Run) -> None:
    async def main(listen: Listen) -> None:
        server = make_server(Echo())
        port = await listen(server)
        data = await talk(port, post(b"x" * 1_000_000) + post(b"y") + LAST)
        assert [status for status, _, _ in read_answers(data)] == [200, 200, 200]
        assert len(read_answers(data)[0][2]) > 1_000_000
        await until(lambda: server.connections == 0)
        assert server.budget.inflight_bytes == 0
        assert await server.drain(1)

    run(main)


def test_a_client_in_the_middle_of_a_refused_body_still_reads_the_answer(run: Run) -> None:
    class Refusing(Parked):
        def handle(self, request):  # type: ignore[no-untyped-def]
            request.respond(Response(413, b'{"error":"too_large_hdr"}'))

    async def main(listen: Listen) -> None:
        server = make_server(Refusing())
        port = await listen(server)
        for _ in range(5):
            data = await talk(port, post(b"x" * 4_000_000))
            assert [status for status, _, _ in read_answers(data)] == [413]
        assert await server.drain(5)

    run(main)


def test_a_half_closed_client_is_answered(run: Run) -> None:
    async def main(listen: Listen) -> None:
        app = Parked()
        server = make_server(app)
        port = await listen(server)
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(post(b""))
        writer.write_eof()
        await until(lambda: len(app.requests) == 1)
        await asyncio.sleep(0.02)
        app.requests[0].respond(Response(200, b"{}"))
        assert [status for status, _, _ in read_answers(await reader.read())] == [200]
        writer.close()
        assert await server.drain(1)

    run(main)


def test_a_client_that_resets_is_noticed(run: Run) -> None:
    async def main(listen: Listen) -> None:
        app = Parked()
        server = make_server(app)
        port = await listen(server)
        client = socket.create_connection((HOST, port))
        client.sendall(post(b""))
        await until(lambda: len(app.requests) == 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        await until(lambda: app.requests[0].closed)
        app.requests[0].respond(Response(200, b"{}"))
        assert server.connections == 0
        assert await server.drain(1)

    run(main)


def test_a_client_that_never_reads_holds_a_bounded_number_of_answers(run: Run) -> None:
    class Large(Echo):
        def answer(self, request, body):  # type: ignore[no-untyped-def]
            request.respond(Response(200, bytes(100_000)))

    async def main(listen: Listen) -> None:
        app = Large()
        server = make_server(app)
        port = await listen(server)
        client = socket.create_connection((HOST, port))
        client.setblocking(False)
        client.send(post(b"") * 500)
        await until(lambda: len(app.requests) > 3)
        await asyncio.sleep(0.1)
        assert len(app.requests) < 400
        client.close()
        await server.drain(0.2)

    run(main)


def test_a_port_in_use_is_an_os_error(run: Run) -> None:
    async def main(listen: Listen) -> None:
        server = make_server(Echo())
        port = await listen(server)
        with pytest.raises(OSError, match="in use"):
            await listen(make_server(Echo()), port)
        assert await server.drain(1)

    run(main)


def test_two_servers_share_a_port_if_both_say_so(run: Run) -> None:
    async def main(listen: Listen) -> None:
        first, second = make_server(Echo()), make_server(Echo())
        port = await listen(first, reuse_port=True)
        assert await listen(second, port, reuse_port=True) == port
        assert read_answers(await talk(port, LAST))[0][0] == 200
        assert await first.drain(1)
        assert read_answers(await talk(port, LAST))[0][0] == 200
        assert await second.drain(1)

    run(main)


def test_a_drain_lets_busy_requests_finish_and_takes_no_new_ones(run: Run) -> None:
    async def main(listen: Listen) -> None:
        app = Parked()
        server = make_server(app)
        port = await listen(server)
        idle_reader, idle_writer = await asyncio.open_connection(HOST, port)
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(post(b"body"))
        await until(lambda: len(app.requests) == 1 and server.connections == 2)
        draining = asyncio.ensure_future(server.drain(10))
        assert await idle_reader.read() == b""
        with pytest.raises(OSError):  # noqa: PT011 (refused or reset, as the system likes)
            await asyncio.open_connection(HOST, port)
        assert not draining.done()
        app.requests[0].accept_body(Collector(app, app.requests[0]))
        ((status, headers, _),) = read_answers(await reader.read())
        assert (status, headers[b"connection"]) == (200, b"close")
        writer.close()
        idle_writer.close()
        assert await draining
        assert server.connections == 0

    run(main)


def test_a_drain_out_of_time_cuts_what_is_left_and_says_so(run: Run) -> None:
    async def main(listen: Listen) -> None:
        app = Parked()
        server = make_server(app)
        port = await listen(server)
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(post(b""))
        await until(lambda: len(app.requests) == 1)
        assert not await server.drain(0.05)
        assert app.requests[0].closed
        assert server.connections == 0
        assert await reader.read() == b""
        writer.close()

    run(main)


def test_a_client_that_has_its_answer_but_stays_does_not_spoil_a_drain(run: Run) -> None:
    async def main(listen: Listen) -> None:
        server = make_server(Echo())
        port = await listen(server)
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(LAST)
        await reader.read()
        assert server.connections == 1
        assert await server.drain(0.05)
        assert server.connections == 0
        writer.close()

    run(main)


def test_deadlines_run_on_the_loop_by_themselves(run: Run) -> None:
    async def main(listen: Listen) -> None:
        server = make_server(Echo(), HttpLimits(header_timeout=0.05), sweep_interval=0.02)
        port = await listen(server)
        assert read_answers(await talk(port, b"GET / HT"))[0][0] == 408
        assert await server.drain(1)

    run(main)


def test_an_application_that_fails_in_a_sweep_does_not_end_the_sweeps(run: Run) -> None:
    class Rude(Echo):
        def refused(self, refusal, peer):  # type: ignore[no-untyped-def]
            super().refused(refusal, peer)
            raise LookupError

    async def main(listen: Listen) -> None:
        app = Rude()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        server = make_server(app, HttpLimits(header_timeout=0.05), sweep_interval=0.02)
        port = await listen(server)
        for _ in range(2):
            assert read_answers(await talk(port, b"GET / HT"))[0][0] == 408
        assert len(app.refusals) == 2
        assert await server.drain(1)

    run(main)


def test_a_thousand_clients_with_half_a_request_each_stay_under_the_cap(run: Run) -> None:
    class Watching(Echo):
        peak = 0

        def handle(self, request):  # type: ignore[no-untyped-def]
            super().handle(request)
            self.peak = max(self.peak, budget.inflight_bytes)

        def refused(self, refusal, peer):  # type: ignore[no-untyped-def]
            super().refused(refusal, peer)
            self.peak = max(self.peak, budget.inflight_bytes)

    limits = HttpLimits(max_inflight_bytes=2_000_000)
    budget = Budget(limits)

    async def main(listen: Listen) -> None:
        app = Watching()
        server = HttpServer(app, limits, budget)
        port = await listen(server)
        half = post(b"x" * 20_000)[:-10_000]
        clients: list[socket.socket] = []
        for _ in range(1000):
            client = closing.enter_context(socket.create_connection((HOST, port)))
            client.sendall(half)
            clients.append(client)
            if len(clients) % 50 == 0:
                # Not `server.connections`: one that was refused ends by itself after a while.
                await until(lambda: len(app.requests) + len(app.refusals) == len(clients))
        assert (len(app.requests), len(app.refusals)) == (200, 800)
        assert 1_900_000 <= app.peak <= 2_000_000
        assert {refusal.reason for refusal in app.refusals} == {"overloaded"}
        # Refused before the application saw them, but answered.
        clients[-1].setblocking(False)
        assert b" 503 " in await asyncio.get_running_loop().sock_recv(clients[-1], 1000)
        for client in clients:
            client.close()
        await until(lambda: server.connections == 0)
        assert (budget.inflight_bytes, budget.inflight_requests, budget.connections) == (0, 0, 0)
        assert await server.drain(1)

    with ExitStack() as closing:
        run(main)


# -- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a server's and a client's certificate, and a client's of another CA."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def client_context(certificates: Path, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


def tls_of(certificates: Path, client_ca: str = "") -> ssl.SSLContext:
    path = str(certificates / client_ca) if client_ca else ""
    return server_context(str(certificates / "server.pem"), str(certificates / "server.key"), path)


def test_requests_are_answered_over_tls(run: Run, certificates: Path) -> None:
    async def main(listen: Listen) -> None:
        server = make_server(Echo(), tls=tls_of(certificates))
        port = await listen(server)
        data = await talk(port, post(b"x" * 500_000) + LAST, client_context(certificates))
        assert [status for status, _, _ in read_answers(data)] == [200, 200]
        assert await server.drain(2)

    run(main)


def test_mtls_lets_in_only_clients_of_its_ca(run: Run, certificates: Path) -> None:
    async def main(listen: Listen) -> None:
        app = Echo()
        server = make_server(app, tls=tls_of(certificates, "ca.pem"))
        port = await listen(server)
        assert read_answers(await talk(port, LAST, client_context(certificates, "client")))[0][0] == 200
        for name in ("", "stranger"):
            # In TLS 1.3 a client learns of it when it reads, and uvloop's only that the connection has ended.
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                assert await talk(port, LAST, client_context(certificates, name)) == b""
        assert app.bodies == [b"last"]
        assert await server.drain(2)

    run(main)


def test_tls_older_than_1_2_is_refused(certificates: Path) -> None:
    assert tls_of(certificates).minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "words"),
    [
        ("missing.pem", "server.key", "", "certificate file .*missing.pem.* cannot be read: No such file"),
        ("server.pem", "missing.key", "", "private key file .*missing.key.* cannot be read: No such file"),
        ("server.pem", "client.key", "", "server.pem and key .*client.key cannot be used: key values mismatch"),
        ("server.pem", "server.pem", "", "cannot be used"),
        ("server.pem", "server.locked", "", "pass phrase"),
        ("server.pem", "server.key", "missing.pem", "client CA file .*missing.pem.* cannot be read"),
        ("server.pem", "server.key", "server.key", "client CA .*server.key cannot be used"),
        ("server.pem", "server.key", "server.pem", "client CA .*server.pem holds no CA certificate"),
    ],
)
def test_a_bad_file_is_named_in_a_sentence(certificates: Path, cert: str, key: str, client_ca: str, words: str) -> None:
    path = str(certificates / client_ca) if client_ca else ""
    with pytest.raises(ValueError, match=words):
        server_context(str(certificates / cert), str(certificates / key), path)


def test_plain_http_on_a_tls_port_gets_nothing(run: Run, certificates: Path) -> None:
    async def main(listen: Listen) -> None:
        app = Echo()
        server = make_server(app, tls=tls_of(certificates))
        port = await listen(server)
        try:
            data = await talk(port, LAST)
        except ConnectionError:
            data = b""
        assert not data.startswith(b"HTTP/")
        assert app.requests == []
        assert await server.drain(2)

    run(main)


def test_over_tls_the_caps_come_before_the_handshake(run: Run, certificates: Path) -> None:
    """A peer over a cap costs no handshake, and one that is in its handshake counts."""

    async def main(listen: Listen) -> None:
        app = Echo()
        server = make_server(app, HttpLimits(max_connections_per_address=3), tls=tls_of(certificates))
        port = await listen(server)
        silent = [await asyncio.open_connection(HOST, port) for _ in range(3)]
        await until(lambda: server.budget.connections == 3)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert await talk(port, LAST, client_context(certificates)) == b""
        assert [refusal.reason for refusal in app.refusals] == ["too_many_connections"]
        for _, writer in silent:
            writer.write(b"no handshake")
            writer.close()
        await until(lambda: server.budget.connections == 0)
        assert read_answers(await talk(port, LAST, client_context(certificates)))[0][0] == 200
        await until(lambda: server.budget.connections == 0)
        assert await server.drain(2)

    run(main)
