from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from logops_fast.http.exchange import Request, Response
from logops_fast.http.flow_control import READ_IN_A_TURN, FlowControl
from tests.http.support import Collector, Echo, FakeTransport, Wire, make_server

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
FULL = b"x" * READ_IN_A_TURN


class Flow:
    """A flow control, its transport and what it has scheduled."""

    def __init__(self) -> None:
        self.scheduled: list[Callable[[], None]] = []
        self.control = FlowControl(self.scheduled.append)
        self.transport = FakeTransport({})
        self.control.attach(self.transport)

    def turn(self) -> None:
        self.scheduled.pop()()


def test_a_rest_ends_with_the_turn() -> None:
    flow = Flow()
    flow.control.rest()
    flow.control.rest()
    assert not flow.transport.reading
    assert len(flow.scheduled) == 1
    flow.turn()
    assert flow.transport.reading


def test_a_rest_does_not_end_a_pause_nor_a_pause_a_rest() -> None:
    flow = Flow()
    flow.control.rest()
    flow.control.pause_reading()
    flow.turn()
    assert not flow.transport.reading, "still paused"
    flow.control.rest()
    assert not flow.scheduled, "it rests already"
    flow.control.resume_reading()
    assert flow.transport.reading

    flow.control.rest()
    flow.control.pause_reading()
    flow.control.resume_reading()
    assert not flow.transport.reading, "still at rest"
    flow.turn()
    assert flow.transport.reading


def test_a_transport_that_closes_meanwhile_is_left_alone() -> None:
    flow = Flow()
    flow.control.rest()
    flow.transport.close()
    flow.turn()
    assert not flow.transport.reading


def test_a_connection_that_has_sent_much_is_read_from_again_in_the_next_turn() -> None:
    wire = Wire()
    wire.connection.data_received(HEAD % (2 * len(FULL)) + FULL)
    assert not wire.transport.reading
    wire.turn()
    assert wire.transport.reading
    wire.connection.data_received(FULL[1:])
    assert wire.transport.reading, "that was less"
    wire.send(b"x")
    assert wire.statuses == [200]


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_others_are_read_from_after_each_piece_of_a_large_body(factory: Any) -> None:
    """libuv reads on while its buffer comes back full: a body of 4 MB held the loop until its end."""
    log: list[str] = []

    class Notes(Echo):
        def handle(self, request: Request) -> None:
            request.accept_body(Pieces(self, request))

    class Pieces(Collector):
        def feed(self, data: bytes) -> None:
            log.append("piece")
            asyncio.get_running_loop().call_soon(log.append, "turn")

        def end(self) -> None:
            self.request.respond(Response(200, b"{}"))

    async def run() -> None:
        server = make_server(Notes())
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(server.connection, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(HEAD % (4 << 20) + bytes(4 << 20))
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        listening.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run())
    pieces = [at for at, what in enumerate(log) if what == "piece"]
    assert len(pieces) > 10
    assert all(log[at + 1] == "turn" for at in pieces[:-1])
