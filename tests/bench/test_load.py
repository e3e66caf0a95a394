"""The load generator counts every request that was due, whatever became of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice

import pytest

from bench import corpus, load
from tests.support.signing import signed

BODY = load.Body.of(b'[{"msg":"a"},{"msg":"b"}]', 2)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LIMITED = b'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 35\r\n\r\n{"error":"rate_limited","detail":""}'


class _Server(asyncio.Protocol):
    """Answers each request (one body of a known length) with what ``reply`` gives: None is silence, b"" a hang-up."""

    def __init__(self, reply: Callable[[], bytes | None]) -> None:
        self._reply = reply
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def abort(self) -> None:
        self._transport.abort()  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._data.endswith(BODY.data):
            return
        self._data = b""
        answer = self._reply()
        if answer == b"":
            self.abort()
        elif answer is not None:
            self._transport.write(answer)  # type: ignore[attr-defined]


@contextmanager
def serving(reply: Callable[[], bytes | None]) -> Iterator[int]:
    """A server in a thread; its port."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def serve() -> None:
        loop, stop, connections = asyncio.get_running_loop(), asyncio.Event(), list[_Server]()

        def connection() -> _Server:
            connections.append(_Server(reply))
            return connections[-1]

        async with await loop.create_server(connection, "127.0.0.1", 0) as server:
            started.set_result((loop, stop, server.sockets[0].getsockname()[1]))
            await stop.wait()
            for one in connections:
                one.abort()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, stop, port = started.result(5)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)


def plan(port: int, **more: object) -> load.Plan:
    return load.Plan(port, [BODY], seconds=0.2, rate=500.0, connections=4, **more)  # type: ignore[arg-type]


def test_every_request_that_was_due_is_counted_whether_it_could_be_sent_or_not() -> None:
    with serving(lambda: OK) as port:
        for rate in (500.0, 50.0, 5.0):  # a busy machine may not keep up with the first
            result = load.run(load.Plan(port, [BODY], seconds=0.2, rate=rate, connections=4))
            assert result.answered + result.unsent == result.due == rate * 0.2
            assert result.unanswered == 0
            assert result.events_accepted == 2 * result.answered > 0
            assert len(result.latencies) == result.latency.get_total_count() == result.due
            if not result.unsent:
                break
    assert result.unsent == 0


def test_a_gateway_that_never_answers_costs_every_request_its_whole_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SETTLE_SECONDS", 0.0)
    with serving(lambda: None) as port:
        result = load.run(plan(port))
    assert (result.due, result.answered, result.unanswered, result.unsent) == (100, 0, 4, 96)
    assert len(result.latencies) == 100
    # The first was due 0.2 s before the end: later ones waited in its shadow, and none is left out.
    assert max(result.latencies) >= 0.19
    assert result.achieved_eps == 0


def test_refusals_are_counted_by_status_and_reason() -> None:
    with serving(lambda: LIMITED) as port:
        result = load.run(plan(port))
    assert result.answered + result.unsent == 100
    assert result.refused == {"429 rate_limited": result.answered}
    assert result.events_accepted == 0


def test_connections_that_are_cut_are_lost_requests() -> None:
    with serving(lambda: b"") as port:
        result = load.run(plan(port))
    assert (result.unanswered, result.unsent, result.due) == (4, 96, 100)


def test_closed_loop_keeps_each_connection_busy() -> None:
    with serving(lambda: OK) as port:
        for seconds in (0.1, 1.0, 10.0):
            result = load.run(load.Plan(port, [BODY], seconds=seconds, connections=2))
            assert result.due == result.answered
            assert not result.unsent
            if result.answered > 2:
                break
    assert result.answered > 2


def test_heads_are_signed_as_the_contract_says() -> None:
    body = load.Body.of(corpus.bodies(1, 3)[0], 3)
    made = list(islice(load.signed_requests(load.Plan(8081, [body], key=b"k", secret=b"s")), 3))
    nonces = set()
    for head, sent in made:
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
        nonces.add(fields["X-Nonce"])
        expected = signed("k", "s", sent.data, timestamp=fields["X-Timestamp"], nonce=fields["X-Nonce"])
        assert expected.items() <= fields.items()
    assert len(nonces) == 3


def test_without_a_key_nothing_is_signed() -> None:
    ((head, _),) = islice(load.signed_requests(load.Plan(8081, [BODY], key=None)), 1)
    assert b"X-" not in head
    assert head.endswith(b"\r\n\r\n")
