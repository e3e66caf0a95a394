"""The words for a missing answer, from real failures over sockets, in the blocking and the asyncio client."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from logops_fast.client.async_client import AsyncLogOpsClient
from logops_fast.client.failures import cause_of
from logops_fast.client.handler import LogOpsHandler
from logops_fast.http.response_reader import ClientError
from tests.support.certificates import make_certificates
from tests.support.ports import free_port
from tests.support.scripted_server import run
from tests.support.tables import each_of

Sender = Callable[..., Counter[str]]


@contextmanager
def listening(answer: bytes | None, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that sends ``answer`` to each connection and closes it; None: that reads and is silent."""
    ended = threading.Event()

    def attend(peer: socket.socket) -> None:
        with peer:
            try:
                secured = tls.wrap_socket(peer, server_side=True) if tls else peer
                if answer is None:
                    ended.wait(60)
                    return
                secured.recv(65_536)
                secured.sendall(answer)
                secured.close()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        attending: list[threading.Thread] = []

        def serve() -> None:
            while True:
                peer, _ = server.accept()
                if ended.is_set():
                    peer.close()
                    return
                attending.append(threading.Thread(target=attend, args=(peer,)))
                attending[-1].start()

        accepting = threading.Thread(target=serve)
        accepting.start()
        address = server.getsockname()
        try:
            yield address[1]
        finally:
            ended.set()
            socket.create_connection(address).close()  # wakes `accept`
            for thread in (accepting, *attending):
                thread.join()


def by_handler(url: str, **options: Any) -> Counter[str]:
    handler = LogOpsHandler(url, "k", "s" * 8, **{"flush_interval": 0.01, "retry_for": 0.0, **options})
    logger = logging.Logger("shop")
    logger.addHandler(handler)
    logger.info("lost")
    handler.flush(60)
    handler.close()
    return handler.dropped


def by_client(url: str, **options: Any) -> Counter[str]:
    async def main() -> Counter[str]:
        settings: dict[str, Any] = {"flush_interval": 0.01, "retry_for": 0.0, "close_timeout": 60.0, **options}
        async with AsyncLogOpsClient(url, "k", "s" * 8, **settings) as client:
            client.log({"msg": "lost"})
            await client.flush()
            return client.dropped

    found: Counter[str] = run("asyncio", main)
    return found


BOTH = pytest.mark.parametrize("dropped", [by_handler, by_client])


@BOTH
def test_a_closed_port(dropped: Sender) -> None:
    url = f"http://127.0.0.1:{free_port()}/ingest"
    assert dropped(url) == Counter({"retried_too_long: connection refused": 1})


@BOTH
def test_an_untrusted_certificate(dropped: Sender, tmp_path: Path) -> None:
    folder = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with listening(b"", context) as port:
        (reason,) = dropped(f"https://127.0.0.1:{port}/ingest")
    assert reason.startswith("retried_too_long: TLS: certificate verify failed: ")


@BOTH
def test_plain_http_where_tls_is_expected(dropped: Sender) -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        (reason,) = dropped(f"https://127.0.0.1:{port}/ingest")
    assert reason.startswith("retried_too_long: TLS: ")


@BOTH
def test_a_server_that_speaks_something_else_or_closes(dropped: Sender) -> None:
    with listening(b"SSH-2.0-OpenSSH\r\n\r\n") as port:
        assert dropped(f"http://127.0.0.1:{port}/") == Counter({"retried_too_long: not an HTTP answer": 1})
    with listening(b"") as port:
        assert dropped(f"http://127.0.0.1:{port}/") == Counter({"retried_too_long: connection closed by the peer": 1})


@BOTH
def test_silence(dropped: Sender) -> None:
    with listening(None) as port:
        reasons = dropped(f"http://127.0.0.1:{port}/", timeout=0.1)
    assert reasons == Counter({"retried_too_long: timed out": 1})


@each_of(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "host name not found"),
        (OSError(113, "Connect call failed ('10.0.0.1', 1)"), "no route to host"),
        (ClientError("pool_full", "64 requests wait", sent=False), "64 requests wait"),
        (ValueError("x"), "ValueError"),
    ],
)
def test_causes_that_a_test_cannot_make(error: Exception, words: str) -> None:
    assert cause_of(error) == words
