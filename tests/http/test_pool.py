"""The pool against real servers on real sockets, under both event loops."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from logops_fast.http.pool import HttpPool, PoolStats
from logops_fast.http.response_reader import ClientError, ClientResponse
from tests.http.pool_steps import Results, echo, failure, settled, silence, with_server
from tests.support.certificates import make_certificates
from tests.support.scripted_server import LOOPS, Peer, ScriptedServer, answer, run

pytestmark = pytest.mark.parametrize("loop", sorted(LOOPS))


def test_requests_one_after_another_share_one_connection(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        for i in range(5):
            assert (await pool.request(b"POST", b"/", b"", b"%d" % i)).body == b"%d" % i
        assert server.connections == 1
        assert pool.stats == PoolStats(open=1, idle=1, connecting=0, waiting=0)

    with_server(loop, echo, test)


def test_the_request_goes_out_as_it_was_built(loop: str) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            heads.append(head)
            await peer.write(answer(body))

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        response = await pool.request(b"POST", b"/v1/logs?a=b", b"x-a: 1\r\nx-b: 2\r\n", [b"one", b"", b"two"])
        assert response.body == b"onetwo"
        host = b"host: 127.0.0.1:%d\r\n" % server.port
        assert heads.pop() == (
            b"POST /v1/logs?a=b HTTP/1.1\r\n" + host + b"x-a: 1\r\nx-b: 2\r\ncontent-length: 6\r\n\r\n"
        )
        await pool.request(b"POST", b"/")
        assert heads.pop() == b"POST / HTTP/1.1\r\n" + host + b"content-length: 0\r\n\r\n"
        await pool.request(b"GET", b"/")
        assert heads.pop() == b"GET / HTTP/1.1\r\n" + host + b"\r\n"

    with_server(loop, script, test)


def test_the_answer_to_head_leaves_the_connection_usable(loop: str) -> None:
    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            await peer.write(answer(b"ok")[:-2] if head.startswith(b"HEAD") else answer(b"ok"))

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        assert (await pool.request(b"HEAD", b"/")).body == b""
        assert (await pool.request(b"GET", b"/")).body == b"ok"
        assert server.connections == 1

    with_server(loop, script, test)


def test_large_bodies_pass_both_ways(loop: str) -> None:
    body = bytes(range(256)) * 12_000

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        assert (await pool.request(b"POST", b"/", b"", body)).body == body

    with_server(loop, echo, test)


def test_many_at_once_stay_under_the_bound_and_each_gets_its_own_answer(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        bodies = [b"%d" % i for i in range(200)]
        answers = await asyncio.gather(*(pool.request(b"POST", b"/", b"", body) for body in bodies))
        assert [a.body for a in answers] == bodies
        assert server.most_open <= 3
        assert pool.stats == PoolStats(open=3, idle=3, connecting=0, waiting=0)

    with_server(loop, echo, test, max_connections=3)


def test_a_full_queue_refuses_at_once_but_never_inside_the_call(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        results: Results = []
        for _ in range(5):
            pool.send(b"POST", b"/", b"", b"x", results.append)
        assert results == []
        await settled(lambda: len(results) == 2)
        assert [(r.kind, r.sent) for r in results if isinstance(r, ClientError)] == [("pool_full", False)] * 2

    with_server(loop, silence, test, max_connections=1, max_waiting=3)


def test_an_idle_connection_closed_by_the_server_is_not_used_again(loop: str) -> None:
    async def one(peer: Peer) -> None:
        _, body = await peer.request()
        await peer.write(answer(body))

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        for i in range(3):
            assert (await pool.request(b"POST", b"/", b"", b"%d" % i)).body == b"%d" % i
            await settled(lambda: pool.stats.open == 0)
        assert server.connections == 3

    with_server(loop, one, test)


def test_a_connection_on_its_way_out_is_not_used_and_not_kept(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        await pool.request(b"GET", b"/")
        (closing,) = pool._idle
        assert closing.transport is not None
        closing.transport.close()
        results: Results = []
        pool.send(b"GET", b"/", b"", b"", results.append)
        assert pool.stats == PoolStats(open=0, idle=0, connecting=1, waiting=1)
        await settled(lambda: len(results) == 1)
        assert isinstance(results[0], ClientResponse)
        assert server.connections == 2

    with_server(loop, echo, test)


def test_a_keep_alive_race_is_closed_and_sent(loop: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(answer())
        await peer.reader.readexactly(1)  # the next request arrives, and is dropped

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        await pool.request(b"GET", b"/")
        error = await failure(pool)
        assert (error.kind, error.sent) == ("closed", True)
        assert (await pool.request(b"GET", b"/")).status == 200
        assert server.connections == 2

    with_server(loop, script, test)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nconte",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf",
    ],
    ids=["silent", "head", "fixed", "chunked"],
)
def test_an_answer_cut_off_is_closed(loop: str, part: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(part)

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        error = await failure(pool)
        assert (error.kind, error.sent) == ("closed", True)
        await settled(lambda: pool.stats.open == 0)

    with_server(loop, script, test)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"220 mail.example.com ESMTP\r\n", "protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x50" * 3, "protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 4000, "too_large"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", "too_large"),
    ],
    ids=["smtp", "tls alert", "head", "body"],
)
def test_an_answer_that_is_none_costs_the_connection(loop: str, reply: bytes, kind: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(reply)
        await peer.gone()

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        error = await failure(pool)
        assert (error.kind, error.sent) == (kind, True)
        await settled(lambda: server.open == 0)

    with_server(loop, script, test, max_body=4999)


def test_a_refused_connection_is_reported_to_each_request(loop: str) -> None:
    async def main() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            pool = HttpPool(f"http://127.0.0.1:{unused.getsockname()[1]}/", max_connections=2)
            results: Results = []
            for _ in range(7):
                pool.send(b"POST", b"/", b"", b"x", results.append)
            await settled(lambda: len(results) == 7)
            assert {(r.kind, r.sent) for r in results if isinstance(r, ClientError)} == {("connect", False)}
            assert pool.stats == PoolStats(0, 0, 0, 0)
            await pool.aclose()

    run(loop, main)


def test_interim_answers_are_passed_over(loop: str) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await peer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(b"final"))

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        for _ in range(2):
            assert (await pool.request(b"GET", b"/")).body == b"final"
        assert server.connections == 1

    with_server(loop, script, test)


@pytest.mark.parametrize(
    "last",
    [
        answer(fields=b"connection: close\r\n"),
        answer().replace(b"1.1", b"1.0"),
        b"HTTP/1.1 200 OK\r\n\r\nok",
        answer() + b"HTTP/1.1 200 OK\r\n",
    ],
    ids=["close", "HTTP/1.0", "no length", "surplus"],
)
def test_a_connection_that_may_not_be_used_again_is_not(loop: str, last: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(last)
        if b"length" in last:
            await peer.gone()

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        for _ in range(2):
            assert (await pool.request(b"GET", b"/")).body == b"ok"
        assert server.connections == 2

    with_server(loop, script, test)


def test_waiting_requests_outlive_connections_that_serve_one_each(loop: str) -> None:
    async def script(peer: Peer) -> None:
        _, body = await peer.request()
        await peer.write(answer(body, fields=b"connection: close\r\n"))
        await peer.gone()

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        bodies = [b"%d" % i for i in range(5)]
        answers = await asyncio.gather(*(pool.request(b"POST", b"/", b"", body) for body in bodies))
        assert [a.body for a in answers] == bodies
        assert server.connections == 5

    with_server(loop, script, test, max_connections=1)


def test_an_early_refusal_is_read_while_the_body_is_still_going_out(loop: str) -> None:
    body = b"x" * 30_000_000  # more than the sockets' buffers hold

    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        if b"content-length: 30000000" in head:
            await peer.write(answer(b"no", b"413 Content Too Large"))
            await peer.reader.read(1)
        else:
            await peer.write(answer())
            await peer.gone()

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        assert (await pool.request(b"POST", b"/", b"", body)).status == 413
        assert (await pool.request(b"GET", b"/")).status == 200
        assert server.connections == 2

    with_server(loop, script, test)


def test_no_more_connections_rest_than_may(loop: str) -> None:
    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        await asyncio.gather(*(pool.request(b"GET", b"/") for _ in range(4)))
        await settled(lambda: server.open == 1)
        assert pool.stats == PoolStats(open=1, idle=1, connecting=0, waiting=0)

    with_server(loop, echo, test, max_idle=1)


def test_a_cancelled_request_spoils_nothing(loop: str) -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await release.wait()
        await peer.write(answer(b"first"))
        await echo(peer)

    async def test(pool: HttpPool, server: ScriptedServer) -> None:
        task = asyncio.create_task(pool.request(b"GET", b"/"))
        await settled(lambda: pool.stats.open == 1)
        task.cancel()
        await asyncio.wait([task])
        release.set()
        assert (await pool.request(b"POST", b"/", b"", b"second")).body == b"second"
        assert server.connections == 1

    with_server(loop, script, test, max_connections=1)


def test_ipv6_hosts_are_bracketed(loop: str) -> None:
    async def script(peer: Peer) -> None:
        head, _ = await peer.request()
        await peer.write(answer(head.split(b"\r\n")[1]))

    async def main() -> None:
        try:
            server = await ScriptedServer(script, host="::1").__aenter__()
        except OSError:
            pytest.skip("no IPv6 on this machine")
        pool = HttpPool(server.url)
        assert (await pool.request(b"GET", b"/")).body == b"host: [::1]:%d" % server.port
        await pool.aclose()
        await server.__aexit__(None, None, None)

    run(loop, main)


def server_certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A context for a server at 127.0.0.1, and one for clients that trust it."""
    make_certificates(directory)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "server.pem", directory / "server.key")
    return server, ssl.create_default_context(cafile=str(directory / "ca.pem"))


def test_https_is_verified_and_kept_alive(loop: str, tmp_path: Path) -> None:
    server_context, client_context = server_certificate(tmp_path)

    async def main() -> None:
        async with ScriptedServer(echo, tls=server_context) as server:
            pool = HttpPool(server.url, ssl=client_context)
            body = b"b" * 300_000
            for _ in range(3):
                assert (await pool.request(b"POST", b"/", b"", [body, b"end"])).body == body + b"end"
            assert server.connections == 1
            await pool.aclose()
            stranger = HttpPool(server.url)
            error = await failure(stranger)
            assert (error.kind, error.sent) == ("connect", False)
            assert "certificate" in str(error).lower()
            await stranger.aclose()

    run(loop, main)


def test_a_url_that_cannot_be_used_is_refused(loop: str) -> None:
    with pytest.raises(ValueError, match="port 0"):
        HttpPool("http://h:0/")
