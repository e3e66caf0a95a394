"""Slow and greedy clients against the real process: bounded memory, a clear answer, no one else refused.

The peak RSS of the worker and the 95th percentile of a well-behaved client's batches are printed as a table. The times
are not asserted: attackers, gateway and the well-behaved client share the machine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.greedy_bodies import (
    at_signs,
    deeply_nested,
    duplicate_keys,
    empty_arrays,
    escaped_quotes,
    events_below_the_limit,
    five_million_objects_in_one_event,
    gzip_bomb,
    half_addresses_in_keys,
    huge_integers,
    invalid_utf8,
    lone_surrogates,
    many_gzip_members,
    mebibyte_strings,
    million_fields,
    million_nested_items,
    million_numbers,
    nested_below_the_limit,
    nested_objects,
    one_long_line,
    quadratic_csv,
    structured_data,
    zstd_bomb,
    zstd_bomb_of_unknown_size,
    zstd_with_a_huge_window,
)
from tests.process.conftest import TABLES
from tests.support.gateway import KEY, SECRET, Gateway, request, running
from tests.support.signing import signed

pytestmark = [pytest.mark.process, pytest.mark.slow]

MIB = 1 << 20
IN_FLIGHT = 32 * MIB
PEAK = 256 * MIB
LASTS = 0.5  # s that an attack lasts at least: it is repeated until then
SETTINGS: dict[str, Any] = {
    "auth": {"failures": {"capacity": 1_000_000, "refill_per_sec": 100_000}},
    "server": {
        "max_inflight_bytes": IN_FLIGHT,
        "header_timeout": 1,
        "body_grace": 1,
        "first_byte_timeout": 2,
        "idle_timeout": 2,
        "drain_timeout": 3,
    },
    "ratelimit": {"overrides": {"batch": {"capacity": 10_000_000, "refill_per_sec": 1_000_000}}},
}

Attack = Callable[[Gateway], Counter[str]]
"""Does it, and counts the answers: a status, or ``cut`` where the gateway closed without one."""


@dataclass
class Result:
    """One line of the table."""

    name: str
    idle_rss: int
    peak_rss: int
    idle_p95: float
    p95: float
    served: int
    answers: Counter[str]

    def cells(self) -> tuple[str, ...]:
        answered = ", ".join(f"{n} x {what}" for what, n in sorted(self.answers.items()))
        return (
            self.name,
            f"{self.idle_rss / MIB:.0f}",
            f"{self.peak_rss / MIB:.0f}",
            f"{self.idle_p95 * 1000:.1f}",
            f"{self.p95 * 1000:.1f}",
            str(self.served),
            answered,
        )


HEADER = ("attack", "RSS idle MiB", "peak", "others' p95 idle ms", "under attack", "served", "answers")


@pytest.fixture
def results(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """The lines of the table that is printed when the tests have run."""
    tables: dict[str, list[tuple[str, ...]]] = request.config.stash.setdefault(TABLES, {})
    return tables.setdefault("slow and greedy clients", [HEADER])


class Bystander(threading.Thread):
    """A client that behaves: a signed batch every few milliseconds over one connection."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.stopping = threading.Event()
        self.body = json.dumps([{"msg": f"a line of an honest client {i}"} for i in range(20)]).encode()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.auth_port, timeout=60)
        used = False
        while not self.stopping.wait(0.005):
            headers = signed(KEY, SECRET, self.body) | {"Content-Type": "application/json"}
            start = time.monotonic()
            try:
                connection.request("POST", "/ingest", self.body, headers)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # A connection that was kept may be closed for being idle at the moment it is used again: on a busy
                # machine this thread can pause for longer than `idle_timeout`. Every client opens another one then.
                if not used:
                    self.failures.append(repr(error))
                used = False
                continue
            used = True
            self.seconds.append(time.monotonic() - start)
            if response.status != 200:
                self.failures.append(f"{response.status} {text!r}")
        connection.close()


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.95)] if seconds else 0.0


def memory(pid: int, field: str) -> int:
    """``VmRSS`` or ``VmHWM`` of a process, bytes."""
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{field}:")[1].split()[0]) * 1024


# The attacks.


def connect(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.auth_port), timeout=10)


def head(body: bytes = b"", *, length: int | None = None, headers: dict[str, str] | None = None) -> bytes:
    """A signed head, for ``body`` or for one that says it is ``length`` bytes."""
    fields = signed(KEY, SECRET, body) | {"Host": "x", "X-Emitter": "batch"} | (headers or {})
    if length is not None:
        fields["Content-Length"] = str(length)
    return ("POST /ingest HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n").encode()


def collect(sockets: list[socket.socket], timeout: float) -> Counter[str]:
    """Read all to their ends; what is still open then counts as ``open``."""
    answers: Counter[str] = Counter()
    begun: dict[socket.socket, bytes] = dict.fromkeys(sockets, b"")
    poller = select.epoll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poller.register(fd, select.EPOLLIN | select.EPOLLHUP)
    deadline = time.monotonic() + timeout
    while by_fd and time.monotonic() < deadline:
        for fd, _ in poller.poll(0.1):
            sock = by_fd[fd]
            try:
                piece = sock.recv(65_536)
            except OSError:
                piece = b""
            if piece:
                begun[sock] += piece[: max(0, 64 - len(begun[sock]))]
                continue
            poller.unregister(fd)
            del by_fd[fd]
            answers[begun[sock][9:12].decode() or "cut"] += 1
    poller.close()
    if by_fd:
        answers["open"] += len(by_fd)
    for sock in sockets:
        sock.close()
    return answers


def many(gateway: Gateway, n: int, first: bytes) -> list[socket.socket]:
    sockets = []
    for _ in range(n):
        sock = connect(gateway)
        sockets.append(sock)
        if first:
            with contextlib.suppress(OSError):
                sock.sendall(first)
    return sockets


def drip(sockets: list[socket.socket], byte: bytes, seconds: float) -> None:
    """A byte to each, again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.send(byte)
        time.sleep(0.1)


def slow_headers(gateway: Gateway) -> Counter[str]:
    sockets = many(gateway, 500, b"POST /ingest HTTP/1.1\r\nHost: x\r\nX-A: ")
    drip(sockets, b"a", 2.0)
    return collect(sockets, 8)


def slow_body(gateway: Gateway) -> Counter[str]:
    sockets = [connect(gateway) for _ in range(300)]
    for sock in sockets:
        sock.sendall(head(length=100_000))
    drip(sockets, b" ", 2.0)
    return collect(sockets, 8)


def idle(gateway: Gateway) -> Counter[str]:
    return collect(many(gateway, 1000, b""), 8)


def half_closed(gateway: Gateway) -> Counter[str]:
    sockets = many(gateway, 500, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    sockets += many(gateway, 500, b"GET /healthz HTTP/1.1\r\nHo")
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
    return collect(sockets, 8)


def ten_thousand_connections(gateway: Gateway) -> Counter[str]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return collect(many(gateway, min(10_050, soft - 200), b""), 15)


def answers_never_read(gateway: Gateway) -> Counter[str]:
    sockets = many(gateway, 100, b"")
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
    ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200
    end = time.monotonic() + LASTS
    while time.monotonic() < end:
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.send(ask)
        time.sleep(0.05)
    for sock in sockets:
        sock.close()
    return Counter({"never read": len(sockets)})


def chunked_gibibyte(gateway: Gateway) -> Counter[str]:
    with connect(gateway) as sock:
        sock.sendall(head(headers={"Transfer-Encoding": "chunked"}))
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 1 << 30:
                sock.sendall(chunk)
                sent += 65_536
        assert sent < 64 * MIB, "the gateway went on reading what it had refused"
        try:
            status = sock.recv(65_536)[9:12].decode()
        except OSError:
            status = ""
        return Counter({status or "cut": 1})


def bodies(*made: Callable[[], tuple[bytes, dict[str, str]]], repeat: int = 2) -> Attack:
    """Send each body, signed as it should be, a few times."""

    def attack(gateway: Gateway) -> Counter[str]:
        answers: Counter[str] = Counter()
        for make in made:
            body, headers = make()
            for _ in range(repeat):
                answer = gateway.send(body, headers={"X-Emitter": "batch", **headers}, timeout=30)
                answers[str(answer.status) + ("" if answer.status == 200 else f" {answer.reason}")] += 1
        return answers

    return attack


ATTACKS: list[tuple[str, Attack, set[str]]] = [
    ("slow headers x 500", slow_headers, {"408"}),
    ("slow bodies x 300", slow_body, {"408"}),
    ("silent connections x 1000", idle, {"cut"}),
    ("half-closed x 1000", half_closed, {"200", "cut"}),
    ("10,000 connections", ten_thousand_connections, {"cut", "503"}),
    ("answers never read x 100", answers_never_read, {"never read"}),
    ("1 GiB chunked", chunked_gibibyte, {"413", "cut"}),
    ("gzip bomb", bodies(gzip_bomb), {"413 too_large"}),
    ("zstd bombs", bodies(zstd_bomb, zstd_bomb_of_unknown_size), {"413 too_large"}),
    ("zstd, 128 MiB window", bodies(zstd_with_a_huge_window), {"400 malformed"}),
    ("200,000 gzip members", bodies(many_gzip_members), {"400 malformed"}),
    ("nested 2,000,000 deep", bodies(deeply_nested, nested_objects), {"422 no_valid_events"}),
    ("nested 900 deep x 2000", bodies(nested_below_the_limit, repeat=2), {"422 no_valid_events"}),
    ("1,000,000 numbers", bodies(million_numbers), {"413 too_many_items"}),
    ("380,000 fields", bodies(million_fields), {"422 no_valid_events"}),
    ("1,000,000 objects in one event", bodies(million_nested_items), {"422 no_valid_events"}),
    ("1 MiB strings", bodies(mebibyte_strings), {"422 no_valid_events"}),
    ("huge integers", bodies(huge_integers), {"200"}),
    ("invalid UTF-8", bodies(invalid_utf8), {"422 no_valid_events"}),
    ("lone surrogates", bodies(lone_surrogates), {"422 no_valid_events"}),
    ("300,000 duplicate keys", bodies(duplicate_keys), {"422 no_valid_events"}),
    ("unclosed CSV quote", bodies(quadratic_csv), {"422 no_valid_events"}),
    ("one line of 4 MiB", bodies(one_long_line), {"422 no_valid_events"}),
    ("open structured data", bodies(structured_data), {"200"}),
    ("escaped quotes in structured data", bodies(escaped_quotes), {"422 no_valid_events"}),
    ("@ x 4 MiB", bodies(at_signs), {"200"}),
    ("half addresses in keys", bodies(half_addresses_in_keys), {"200", "422 no_valid_events"}),
    ("16 MiB of empty arrays", bodies(empty_arrays), {"413 too_many_items"}),
    ("5,000,000 objects in one event", bodies(five_million_objects_in_one_event), {"422 no_valid_events"}),
    ("16 MiB of events", bodies(events_below_the_limit), {"200"}),
]


@pytest.mark.parametrize(("name", "attack", "expected"), ATTACKS, ids=[name for name, _, _ in ATTACKS])
def test_a_greedy_client_costs_bounded_memory_and_no_other_clients_requests(
    tmp_path: Path, results: list[tuple[str, ...]], name: str, attack: Attack, expected: set[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with running(tmp_path, settings=SETTINGS) as gateway:
            (worker,) = gateway.workers()
            quiet = Bystander(gateway)
            quiet.start()
            time.sleep(0.3)
            quiet.stopping.set()
            quiet.join()
            idle_rss = memory(worker, "VmRSS")
            bystander = Bystander(gateway)
            bystander.start()
            end = time.monotonic() + LASTS
            answers = attack(gateway)
            while time.monotonic() < end:
                answers += attack(gateway)
            bystander.stopping.set()
            bystander.join()
            peak = memory(worker, "VmHWM")
            result = Result(
                name, idle_rss, peak, p95(quiet.seconds), p95(bystander.seconds), len(bystander.seconds), answers
            )
            results.append(result.cells())
            assert gateway.workers() == [worker], "the worker did not survive"
            assert set(answers) <= expected
            assert not bystander.failures
            assert bystander.seconds
            assert peak < PEAK
            assert request(gateway.auth_port, "GET", "/readyz").status == 200
            assert gateway.send([{"msg": "after"}]).status == 200
            for line in gateway.lines():
                json.loads(line)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
