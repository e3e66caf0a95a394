"""The load generator: signed batches over keep-alive connections, closed-loop or at an offered rate.

At an offered rate the timetable is fixed: a request is due whether or not earlier ones were answered, and its
latency counts from the moment it was due, so that a stall is felt by all who would have sent during it
(no coordinated omission). Requests that were due and never sent or answered count with the time they have waited.
One process, one thread; heads are signed beforehand, so that it costs a fraction of what the gateway does.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import hmac
import re
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from hdrh.histogram import HdrHistogram

MAX_LATENCY_US: Final = 120_000_000
TICK_SECONDS: Final = 0.001
SETTLE_SECONDS: Final = 10.0
MAX_PRESIGNED: Final = 200_000  # about 90 MB; past it requests are signed as they go
MAX_PRESIGNED_AGE: Final = 60.0  # s; timestamps are good for five minutes
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_REASON: Final = re.compile(rb'"error": ?"([a-z0-9_]{1,40})"')


@dataclass(frozen=True)
class Body:
    """A body with what signing it needs: hashed once, since hashing is the gateway's work to be measured."""

    data: bytes
    events: int
    digest: bytes

    @classmethod
    def of(cls, data: bytes, events: int) -> Body:
        return cls(data, events, hashlib.sha256(data).hexdigest().encode())


@dataclass(frozen=True)
class Plan:
    """What to send: to whom, signed by whom, how fast. ``rate`` is in requests a second; None is closed-loop."""

    port: int
    bodies: Sequence[Body]
    content_type: bytes = b"application/json"
    key: bytes | None = b"bench"
    secret: bytes = b"bench-secret"
    target: bytes = b"/ingest"
    host: str = "127.0.0.1"
    connections: int = 32
    rate: float | None = None
    seconds: float = 5.0
    batch_ids: bool = False
    spin: bool = False
    """Watch the clock without a pause: exact to microseconds, for a generator with a core of its own."""


@dataclass
class Result:
    """What became of the requests that were due. Latencies are in microseconds in the histogram."""

    seconds: float = 0.0
    due: int = 0
    answered: int = 0
    events_accepted: int = 0
    events_in_time: int = 0
    """Of these, answered before the last second of the timetable was over: what the rate is made of."""
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    unsent: int = 0
    latency: HdrHistogram = field(default_factory=lambda: HdrHistogram(1, MAX_LATENCY_US, 3))
    latencies: array[float] = field(default_factory=lambda: array("d"))
    """The same in seconds, one by one."""

    @property
    def achieved_eps(self) -> float:
        """Events a second, accepted within the time."""
        return self.events_in_time / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Latency in seconds."""
        return float(self.latency.get_value_at_percentile(percent)) / 1e6

    def share_below(self, seconds: float) -> float:
        """Share of the requests that took at most ``seconds``; 1 where there were none."""
        if not self.latencies:
            return 1.0
        return sum(latency <= seconds for latency in self.latencies) / len(self.latencies)


def signed_requests(plan: Plan) -> Iterator[tuple[bytes, Body]]:
    """Endless signed requests of a plan, each with a nonce of its own, going round its bodies."""
    state = hmac.new(plan.secret, digestmod=hashlib.sha256)
    run = f"{time.time_ns():x}"
    number = 0
    fields = b""
    while True:
        body = plan.bodies[number % len(plan.bodies)]
        if plan.key is not None:
            stamp = b"%d" % time.time()
            nonce = f"{run}-{number:x}".encode()
            mac = state.copy()
            mac.update(b"POST\n%b\n%b\n%b\n%b" % (plan.target, body.digest, stamp, nonce))
            fields = (
                b"X-Api-Key: %b\r\nX-Timestamp: %b\r\nX-Nonce: %b\r\nX-Content-SHA256: %b\r\nX-Signature: %b\r\n"
                % (plan.key, stamp, nonce, body.digest, base64.b64encode(mac.digest()))
            )
        yield (
            b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n"
            % (
                plan.target,
                plan.host.encode(),
                plan.content_type,
                len(body.data),
                fields,
                f"X-Batch-Id: {run}-{number:x}\r\n".encode() if plan.batch_ids else b"",
            ),
            body,
        )
        number += 1


class _Connection(asyncio.Protocol):
    """One request at a time; answers are read by their Content-Length."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._transport: Any = None
        self.due = 0.0
        self.body: Body | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, head: bytes, body: Body, due: float) -> None:
        self.body, self.due = body, due
        self._transport.write(head + body.data)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head >= 0:
            length = _LENGTH.search(buffer, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(buffer) >= end:
                self._buffer = b""
                body, self.body = self.body, None
                if body is not None:
                    self._run.answered(self, buffer, body)
                return
        self._buffer = buffer

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(self)

    def close(self) -> None:
        self._transport.abort()


class _Run:
    """One measurement."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.result = Result()
        self._requests = signed_requests(plan)
        self._presigned: deque[tuple[bytes, Body]] = deque()
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()
        self._late: deque[float] = deque()
        self._end = 0.0
        self._sending = True

    async def run(self) -> Result:
        plan, result = self.plan, self.result
        loop = asyncio.get_running_loop()
        if plan.rate is not None and plan.seconds <= MAX_PRESIGNED_AGE:
            count = min(MAX_PRESIGNED, int(plan.rate * plan.seconds) + 1)
            self._presigned.extend(islice(self._requests, count))
        for _ in range(plan.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), plan.host, plan.port)
            self._idle.append(connection)
        start = time.perf_counter()
        self._end = start + plan.seconds
        if plan.rate is None:
            while self._idle:
                self._send(time.perf_counter())
            await asyncio.sleep(plan.seconds)
        else:
            await self._keep_timetable(start, plan.rate)
        self._sending = False
        result.seconds = plan.seconds
        await self._settle()
        return result

    async def _keep_timetable(self, start: float, rate: float) -> None:
        pause = 0.0 if self.plan.spin else TICK_SECONDS
        total, number, due = round(rate * self.plan.seconds), 0, start
        late, idle = self._late, self._idle
        while (now := time.perf_counter()) < self._end:
            while due <= now and number < total:
                late.append(due)
                number += 1
                due = start + number / rate
            while late and idle:
                self._send(late.popleft())
            await asyncio.sleep(pause)
        while number < total:  # those of the last turn
            late.append(start + number / rate)
            number += 1
        while late and idle:
            self._send(late.popleft())
        self.result.due = total

    async def _settle(self) -> None:
        """Wait for what was sent; what was not answered has waited until now, at least."""
        result = self.result
        deadline = time.perf_counter() + SETTLE_SECONDS
        while self._busy and time.perf_counter() < deadline:  # noqa: ASYNC110 - an event costs each answer, a look none
            await asyncio.sleep(0.002)
        now = time.perf_counter()
        result.unanswered += len(self._busy)
        result.unsent = len(self._late)
        result.latencies.extend(now - connection.due for connection in self._busy)
        result.latencies.extend(now - due for due in self._late)
        connections = (*self._busy, *self._idle)
        self._busy.clear()  # what is cut from here on was cut by us
        for connection in connections:
            connection.close()
        record = result.latency.record_value
        for latency in result.latencies:
            record(min(MAX_LATENCY_US, max(1, int(latency * 1e6))))
        await asyncio.sleep(0)

    def _send(self, due: float) -> None:
        connection = self._idle.popleft()
        head, body = self._presigned.popleft() if self._presigned else next(self._requests)
        self._busy.add(connection)
        if self.plan.rate is None:
            self.result.due += 1
        connection.send(head, body, due)

    def answered(self, connection: _Connection, answer: bytes, body: Body) -> None:
        now = time.perf_counter()
        result = self.result
        result.answered += 1
        result.latencies.append(now - connection.due)
        if answer[9:12] in (b"200", b"204"):  # 204 is Loki's
            result.events_accepted += body.events
            if now <= self._end:
                result.events_in_time += body.events
        else:
            reason = _REASON.search(answer)
            result.refused[f"{answer[9:12].decode()} {reason[1].decode() if reason else 'other'}"] += 1
        self._busy.discard(connection)
        self._idle.append(connection)
        if self._sending:
            if self.plan.rate is None:
                self._send(now)
            elif self._late:
                self._send(self._late.popleft())

    def lost(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        elif connection in self._busy:
            self._busy.discard(connection)
            self.result.latencies.append(time.perf_counter() - connection.due)
            self.result.unanswered += 1


def run(plan: Plan) -> Result:
    """Carry out ``plan`` on a loop of its own. The collector sleeps meanwhile: its pauses would count as latency."""
    import uvloop

    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Run(plan).run())
    finally:
        gc.enable()
