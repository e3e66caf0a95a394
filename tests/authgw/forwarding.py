"""A forwarder in a world of its own: a pool that answers what the test says, a clock, a loop."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from logops_fast.authgw.circuit_breaker import CircuitBreaker, SenderBreakers
from logops_fast.authgw.forwarder import Forwarder
from logops_fast.authgw.retry import RetryBudget
from logops_fast.backoff import Backoff
from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.http.response_reader import ClientError, ClientResponse, ErrorKind, OnResponse

STORED = b'{"accepted":97,"rejected":3}'
BATCH = Batch(b'[{"msg":"x"}]', Format.JSON, "web", "checkout", "b-1", True, 0.0)


class Sent(NamedTuple):
    """One try, as the pool saw it."""

    at: float
    target: bytes
    headers: bytes
    body: bytes
    timeout: float | None


def respond(status: int, body: bytes = b"{}", **headers: str) -> ClientResponse:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return ClientResponse(status, fields, body)


def refuse(status: int, reason: str, **headers: str) -> ClientResponse:
    return respond(status, orjson.dumps({"error": reason, "detail": "d"}), **headers)


def fail(kind: ErrorKind, *, sent: bool = True) -> ClientError:
    return ClientError(kind, "scripted", sent=sent)


Step = ClientResponse | ClientError | None


class World:
    """Fake time, a scripted pool (each step an answer; None never answers before its timeout), and a forwarder."""

    def __init__(self, *script: Step, latency: float = 0.01, **options: Any) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.script = list(script)
        self.latency = latency
        self.tries: list[Sent] = []
        self.outcomes: list[str] = []
        self.replies: list[Reply] = []
        knobs = options.pop("breaker", {})
        self.breakers = SenderBreakers(lambda: CircuitBreaker(clock=self.mono, **knobs), clock=self.mono)
        self.breaker = self.breakers.common
        self.forwarder = Forwarder(
            self,
            self.breakers,
            target=b"/v1/logs",
            clock=self.mono,
            call_later=self.call_later,
            on_attempt=self.outcomes.append,
            backoff=options.pop("backoff", None) or Backoff(random=lambda: 1.0),
            budget=options.pop("budget", None) or RetryBudget(clock=self.mono),
            **options,
        )

    def mono(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (self.now + delay, next(self.order), callback))

    def send(
        self,
        method: bytes,
        target: bytes,
        headers: bytes,
        body: bytes | Sequence[bytes],
        done: OnResponse,
        *,
        timeout: float | None = None,
    ) -> None:
        assert method == b"POST"
        assert isinstance(body, bytes)
        self.tries.append(Sent(self.now, target, headers, body, timeout))
        step = self.script.pop(0) if self.script else respond(200, STORED)
        limit = 5.0 if timeout is None else min(5.0, timeout)
        if step is None or self.latency > limit:
            self.call_later(limit, lambda: done(fail("read_timeout")))
        else:
            self.call_later(self.latency, lambda: done(step))

    def run(self) -> None:
        while self.timers:
            self.now, _, callback = heapq.heappop(self.timers)
            callback()

    def forward(self, batch: Batch = BATCH) -> Reply:
        self.forwarder.send(batch, self.replies.append)
        self.run()
        assert self.forwarder.inflight == 0
        (reply,) = self.replies
        return reply

    def forward_again(self) -> Reply:
        self.replies.clear()
        return self.forward()


def reason(reply: Reply) -> str | None:
    return reply.reason


def detail(reply: Reply) -> str:
    return str(orjson.loads(reply.body)["detail"])
