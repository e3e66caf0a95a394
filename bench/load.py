"""The load generator: signed batches over keep-alive connections, closed-loop or at an offered rate.

At an offered rate the timetable is fixed: a request is due whether or not earlier ones were answered, and its
latency counts from the moment it was due, so that a stall is felt by all who would have sent during it
(no coordinated omission). One process, one thread; signing included it costs about a fifth of what the gateway does.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hdrh.histogram import HdrHistogram

MAX_LATENCY_US: Final = 120_000_000
TICK_SECONDS: Final = 0.001


@dataclass(frozen=True)
class Body:
    """A body with what signing it needs: hashed once, since hashing is the gateway's work to be measured."""

    data: bytes
    events: int
    digest: bytes

    @classmethod
    def of(cls, data: bytes, events: int) -> Body:
        return cls(data, events, hashlib.sha256(data).hexdigest().encode())


@dataclass
class Result:
    """What became of the requests. Latencies are in microseconds in the histogram."""

    seconds: float = 0.0
    sent: int = 0
    answered: int = 0
    events_accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    latency: HdrHistogram = field(default_factory=lambda: HdrHistogram(1, MAX_LATENCY_US, 3))

    def percentile(self, percent: float) -> float:
        """Latency in seconds."""
        return float(self.latency.get_value_at_percentile(percent)) / 1e6


@dataclass(frozen=True)
class Plan:
    """What to send: to whom, signed by whom, how fast. ``rate`` is in requests a second; None is closed-loop."""

    port: int
    bodies: Sequence[Body]
    content_type: bytes = b"application/json"
    key: bytes | None = b"bench"
    secret: bytes = b"bench-secret"
    target: bytes = b"/ingest"
    connections: int = 32
    rate: float | None = None
    seconds: float = 5.0
    warmup: float = 0.5
    batch_ids: bool = False


class _Sender:
    """Makes signed requests, cheaply: the head is a template, the key state is copied."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._next = 0
        self._mac = hmac.new(plan.secret, digestmod=hashlib.sha256)
        self._run = f"{time.time_ns():x}"

    def make(self) -> tuple[bytes, Body]:
        plan = self._plan
        number = self._next
        self._next = number + 1
        body = plan.bodies[number % len(plan.bodies)]
        fields = b""
        if plan.key is not None:
            stamp = b"%d" % time.time()
            nonce = f"{self._run}-{number:x}".encode()
            mac = self._mac.copy()
            mac.update(b"POST\n%s\n%s\n%s\n%s" % (plan.target, body.digest, stamp, nonce))
            fields = (
                b"X-Api-Key: %s\r\nX-Timestamp: %s\r\nX-Nonce: %s\r\nX-Content-SHA256: %s\r\nX-Signature: %s\r\n"
                % (
                    plan.key,
                    stamp,
                    nonce,
                    body.digest,
                    base64.b64encode(mac.digest()),
                )
            )
        if plan.batch_ids:
            fields += f"X-Batch-Id: {self._run}-{number:x}\r\n".encode()
        head = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n" % (
            plan.target,
            plan.content_type,
            len(body.data),
            fields,
        )
        return head + body.data, body


class _Connection(asyncio.Protocol):
    """One request at a time; answers are read by their Content-Length."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._due = 0.0
        self._body: Body | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self, data: bytes, body: Body, due: float) -> None:
        self._body, self._due = body, due
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            self._buffer = buffer
            return
        lower = buffer[:head].lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 : lower.find(b"\r", at) if lower.find(b"\r", at) >= 0 else head]) if at >= 0 else 0
        if len(buffer) < head + 4 + length:
            self._buffer = buffer
            return
        self._buffer = buffer[head + 4 + length :]
        body, self._body = self._body, None
        if body is not None:
            self._run.answered(self, int(buffer[9:12]), buffer[head + 4 : head + 4 + length], body, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(self, self._body is not None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Run:
    """One measurement."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.result = Result()
        self._sender = _Sender(plan)
        self._idle: deque[_Connection] = deque()
        self._all: list[_Connection] = []
        self._late: deque[float] = deque()
        self._measuring = False
        self._sending = True
        self._busy = 0

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        for _ in range(self.plan.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.plan.port)
            self._all.append(connection)
            self._idle.append(connection)
        start = time.perf_counter()
        begin, end = start + self.plan.warmup, start + self.plan.warmup + self.plan.seconds
        if self.plan.rate is None:
            while self._idle:
                self._send(time.perf_counter())
        due, step = start, 1.0 / self.plan.rate if self.plan.rate else 0.0
        while (now := time.perf_counter()) < end:
            self._measuring = now >= begin
            while step and due <= now:
                self._late.append(due)
                due += step
            while self._late and self._idle:
                self._send(self._late.popleft())
            await asyncio.sleep(TICK_SECONDS if step else 0.02)
        self.result.seconds = time.perf_counter() - begin
        self._measuring = self._sending = False
        deadline = time.perf_counter() + 10
        while self._busy and time.perf_counter() < deadline:
            await asyncio.sleep(0.005)
        self.result.unanswered = self._busy + len(self._late)
        for connection in self._all:
            connection.close()
        await asyncio.sleep(0)
        return self.result

    def _send(self, due: float) -> None:
        data, body = self._sender.make()
        if self._measuring:
            self.result.sent += 1
        self._busy += 1
        self._idle.popleft().send(data, body, due)

    def answered(self, connection: _Connection, status: int, payload: bytes, body: Body, due: float) -> None:
        now = time.perf_counter()
        self._busy -= 1
        self._idle.append(connection)
        if self._measuring:
            result = self.result
            result.answered += 1
            if status == 200:
                result.events_accepted += body.events
            else:
                result.refused[f"{status} {payload[:60].decode('latin-1')}"] += 1
            result.latency.record_value(min(MAX_LATENCY_US, max(1, int((now - due) * 1e6))))
        if self._sending:
            if self.plan.rate is None:
                self._send(now)
            elif self._late:
                self._send(self._late.popleft())

    def lost(self, connection: _Connection, busy: bool) -> None:
        if busy:
            self._busy -= 1
            if self._sending:
                self.result.refused["connection lost"] += 1
        if connection in self._idle:
            self._idle.remove(connection)


def run(plan: Plan) -> Result:
    """Carry out ``plan`` on a loop of its own."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Run(plan).run())
