"""The admin listener on real sockets, driven step by step by a selector, as the supervisor does."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from logops_fast.http.exchange import Request, Response
from logops_fast.http.routes import Router
from logops_fast.runtime.admin import DEADLINE, MAX_CONNECTIONS, AdminListener
from logops_fast.runtime.listeners import bind_listener
from logops_fast.runtime.probes import AdminProbes, WorkerView
from logops_fast.runtime.watchdog import UNHEALTHY_AFTER

BIG = b"x" * 8_000_000  # more than the buffers of a connection hold


class Bench:
    """A listener with a clock that the test sets, and the workers it reports."""

    def __init__(self) -> None:
        self.now = 0.0
        self.unserved = 0.0
        self.workers = [WorkerView(0, "ready", "", 0.1), WorkerView(1, "ready", "", 0.1)]
        self.selector = selectors.DefaultSelector()
        router = Router(lambda _refusal, _peer: None)
        AdminProbes(lambda: self.workers, lambda: self.unserved, lambda _accept: (b"metrics", b"text/plain")).route(
            router
        )
        router.add("GET", b"/big", self.big)
        sock = bind_listener("127.0.0.1", 0)
        self.address = sock.getsockname()
        self.listener = AdminListener(sock, self.selector, router, clock=lambda: self.now, wall=lambda: 0.0)

    def big(self, request: Request) -> None:
        request.respond(Response(200, BIG, b"text/plain"))

    def step(self) -> None:
        for key, events in self.selector.select(0.01):
            key.data(events)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            self.step()

    def ask(self, data: bytes) -> bytes:
        """Send bytes and return everything up to the end of the connection."""
        with socket.create_connection(self.address) as sock:
            sock.sendall(data)
            return self.read(sock)

    def read(self, sock: socket.socket) -> bytes:
        sock.setblocking(False)
        received = bytearray()

        def ended() -> bool:
            try:
                piece = sock.recv(1 << 20)
            except BlockingIOError:
                return False
            received.extend(piece)
            return not piece

        self.until(ended)
        return bytes(received)

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        head, _, body = self.ask(f"{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.listener.close()
    made.selector.close()


def test_the_three_paths_answer_and_the_connection_ends(bench: Bench) -> None:
    assert bench.get("/healthz")[0] == 200
    status, body = bench.get("/readyz")
    assert status == 200
    assert json.loads(body) == {
        "status": "ready",
        "workers": [{"worker": n, "state": "ready", "heartbeat_age": 0.1} for n in (0, 1)],
    }
    assert bench.get("/metrics") == (200, b"metrics")
    assert bench.get("/metrics", "HEAD") == (200, b"")
    assert bench.get("/elsewhere")[0] == 404
    assert bench.get("/healthz", "POST")[0] == 405


def test_one_ready_worker_is_enough_and_the_states_of_all_are_named(bench: Bench) -> None:
    bench.workers[0] = WorkerView(0, "sink_failed", "No space left on device.", 0.2)
    status, body = bench.get("/readyz")
    assert status == 200
    assert [worker["state"] for worker in json.loads(body)["workers"]] == ["sink_failed", "ready"]
    bench.workers[1] = WorkerView(1, "loop_stalled", "", 7.0)
    status, body = bench.get("/readyz")
    assert status == 503
    answer = json.loads(body)
    assert answer["error"] == "sink_failed"
    assert answer["detail"] == (
        "No worker can take a batch (worker 0 is sink_failed, worker 1 is loop_stalled): No space left on device."
    )


def test_healthz_fails_once_no_worker_has_served_for_a_while(bench: Bench) -> None:
    bench.unserved = UNHEALTHY_AFTER - 0.1
    assert bench.get("/healthz")[0] == 200
    bench.unserved = UNHEALTHY_AFTER
    status, body = bench.get("/healthz")
    assert (status, json.loads(body)["error"]) == (503, "no_worker")


def test_a_head_byte_by_byte_a_bad_one_and_a_body_that_is_not_read(bench: Bench) -> None:
    with socket.create_connection(bench.address) as sock:
        for byte in b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n":
            sock.sendall(bytes([byte]))
            bench.step()
        assert bench.read(sock).startswith(b"HTTP/1.1 200")
    assert bench.ask(b"\x16\x03\x01").startswith(b"HTTP/1.1 400")
    assert bench.ask(b"GET /" + b"a" * 10_000).startswith(b"HTTP/1.1 414")
    assert bench.ask(b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400")
    body = b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000
    assert bench.ask(body).startswith(b"HTTP/1.1 405")


def test_an_answer_larger_than_the_buffers_arrives_whole(bench: Bench) -> None:
    assert bench.get("/big") == (200, BIG)


def test_a_client_that_sends_nothing_is_closed_at_the_deadline(bench: Bench) -> None:
    with socket.create_connection(bench.address) as sock:
        bench.until(lambda: "connections=1" in repr(bench.listener))
        bench.now = DEADLINE - 0.1
        bench.listener.sweep()
        assert "connections=1" in repr(bench.listener)
        bench.now = DEADLINE
        bench.listener.sweep()
        assert bench.read(sock) == b""


def test_past_the_limit_the_oldest_connection_makes_room(bench: Bench) -> None:
    idle = [socket.create_connection(bench.address) for _ in range(MAX_CONNECTIONS)]
    try:
        bench.until(lambda: f"connections={MAX_CONNECTIONS}" in repr(bench.listener))
        assert bench.get("/healthz")[0] == 200
        assert bench.read(idle[0]) == b""
    finally:
        for sock in idle:
            sock.close()


def test_clients_that_are_gone_are_no_error(bench: Bench) -> None:
    for data in (b"", b"GET /healthz HTT", b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n"):
        with socket.create_connection(bench.address) as sock:
            sock.sendall(data)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        bench.step()
    bench.until(lambda: "connections=0" in repr(bench.listener))
    assert bench.get("/healthz")[0] == 200
