"""The HTTP layer: a head, and a whole request through a connection over a transport that keeps nothing."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any

import pytest

from bench import corpus, load
from bench.micro.conftest import Stage
from logops_fast.http.budget import Budget
from logops_fast.http.exchange import Request, Response, render
from logops_fast.http.head import parse_head
from logops_fast.http.limits import HttpLimits
from logops_fast.http.refusal import Refusal
from logops_fast.http.server import HttpServer
from logops_fast.runtime.wiring import SINGLE_FIELDS

ANSWER = Response(200, b'{"accepted":100}', headers=((b"x-ratelimit-limit", b"1000000"),))


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4711) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


class Trivial:
    """Reads the body and answers at once."""

    def handle(self, request: Request) -> None:
        request.accept_body(_Swallow(request))

    def refused(self, refusal: Refusal, peer: str) -> None:
        raise AssertionError(refusal)


class _Swallow:
    def __init__(self, request: Request) -> None:
        self._request = request

    def feed(self, data: bytes) -> None:
        pass

    def end(self) -> None:
        self._request.respond(ANSWER)

    def abort(self, reason: str) -> None:
        raise AssertionError(reason)


def one_request(size: int) -> tuple[bytes, bytes]:
    """Head and body of a signed request."""
    body = load.Body.of(corpus.bodies(1, size)[0], size)
    ((head, _),) = islice(load.signed_requests(load.Plan(8081, [body])), 1)
    return head, body.data


def test_head(stage: Stage) -> None:
    head, _ = one_request(1)
    parsed = stage("http: request head", parse_head, head, HttpLimits(), SINGLE_FIELDS)
    assert parsed.path == b"/ingest"


def test_render(stage: Stage) -> None:
    date = b"date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    data = stage("http: answer", lambda: render(ANSWER, date, head_only=False, version="1.1", close=False))
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_request(stage: Stage, size: int) -> None:
    async def run() -> None:
        limits = HttpLimits()
        server = HttpServer(Trivial(), limits, Budget(limits), single=SINGLE_FIELDS)
        connection, transport = server.connection(), Transport()
        connection.connection_made(transport)  # type: ignore[arg-type]
        data = b"".join(one_request(size))
        stage("http: whole request, trivial answer", connection.data_received, data)
        assert transport.written

    asyncio.run(run())
