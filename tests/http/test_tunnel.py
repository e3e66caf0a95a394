"""Connections through a proxy that is really there: CONNECT, for http and https, on both loops."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from logops_fast.http.pool import HttpPool
from logops_fast.http.response_reader import ClientError
from logops_fast.http.tunnel import Proxy
from tests.support.certificates import make_certificates
from tests.support.scripted_server import Peer, ScriptedServer, answer, run

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


class TunnelProxy:
    """Opens tunnels, to wherever it is asked to."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self.refusal = refusal

    async def __call__(self, peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self.refusal:
            await peer.write(self.refusal)
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        await peer.write(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
        try:
            await asyncio.gather(self._copy(peer.reader, writer), self._copy(reader, peer.writer))
        finally:
            writer.close()

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.close()


async def echo(peer: Peer) -> None:
    while True:
        head, body = await peer.request()
        await peer.write(answer(head.split(b"\r\n")[0] + b"|" + body))


@LOOPS
@pytest.mark.parametrize("tls", [False, True])
def test_requests_go_through_one_tunnel(loop: str, tls: bool, tmp_path: Path) -> None:
    server_tls = client_tls = None
    if tls:
        make_certificates(tmp_path)
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
        client_tls = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    proxy = TunnelProxy()

    async def main() -> None:
        async with ScriptedServer(echo, tls=server_tls) as server, ScriptedServer(proxy) as between:
            pool = HttpPool(server.url, ssl=client_tls, proxy=f"http://me:p%40ss@127.0.0.1:{between.port}")
            for number in range(3):
                response = await pool.request(b"POST", b"/x", b"", b"%d" % number)
                assert response.body == b"POST /x HTTP/1.1|%d" % number
            assert server.connections == between.connections == 1
            target = f"127.0.0.1:{server.port}".encode()
            assert proxy.heads == [
                b"CONNECT %b HTTP/1.1\r\nhost: %b\r\nproxy-authorization: Basic bWU6cEBzcw==\r\n\r\n" % (target, target)
            ]
            await pool.aclose()

    run(loop, main)


@LOOPS
@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answered CONNECT with 407"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answered CONNECT with no status"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurprise", "bytes came through the proxy"),
        (b"x" * 20_000, "too long"),
        (b"HTTP/1.1 200", "closed the connection"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_is_no_connection(loop: str, refusal: bytes, words: str) -> None:
    async def main() -> None:
        async with ScriptedServer(TunnelProxy(refusal)) as between:
            pool = HttpPool("http://127.0.0.1:1/", proxy=f"http://127.0.0.1:{between.port}")
            with pytest.raises(ClientError, match=words) as failed:
                await pool.request(b"GET", b"/")
            assert (failed.value.kind, failed.value.sent) == ("connect", False)
            await pool.aclose()

    run(loop, main)


def test_proxies() -> None:
    assert Proxy.parse("http://proxy:8080") == Proxy("proxy", 8080, b"")
    assert Proxy.parse("http://proxy/") == Proxy("proxy", 3128, b"")
    for url in ("https://proxy:1", "proxy:1", "http://", "http://proxy:99999", "http://proxy/path"):
        with pytest.raises(ValueError, match=r"proxy|Port"):
            Proxy.parse(url)
