"""The Auth Gateway without sockets: stores that answer later, a request as its sender sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from logops_fast.authgw.backpressure import Backpressure
from logops_fast.authgw.gateway import AuthGateway
from logops_fast.authgw.hmac_auth import HmacAuth
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.nonce_store import NonceGuard
from logops_fast.authgw.token_auth import TokenAuth
from logops_fast.authgw.token_bucket import AuthFailureLimiter, EmitterBuckets, Limit
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.tokens import token_of
from logops_fast.formats.batch import Batch, Reply
from logops_fast.http.exchange import BodyConsumer, Request, Response
from logops_fast.http.head import Head
from logops_fast.state.interface import NonceVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import open_memory
from logops_fast.telemetry.registry import Registry
from tests.support.signing import signed

NOW = 1_800_000_000.0
BODY = json.dumps([{"msg": "x"}] * 3).encode()
TOKEN = "kX2vQ9bT7mLs4RzW8nYp3c"
CLIENTS = [
    Client("web-1", (b"secret-of-web-1",), "web", frozenset({"web", "batch"}), 1, (token_of(TOKEN.encode()),)),
    Client("app-2", (b"secret-of-app-2",), "app", frozenset({"app"})),
]
ROOMY = Limit(100, 0.001)
STORED = Reply(200, b'{"accepted":3,"rejected":0}', (), 3)


class Deferred:
    """Puts off the callbacks of a store; ``release`` lets them run, in their order."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.deferring = False

    def wrap(self, done: Callable[[Any], None]) -> Callable[[Any], None]:
        def later(answer: Any) -> None:
            if self.deferring:
                self.waiting.append(lambda: done(answer))
            else:
                done(answer)

        return later

    def release(self) -> int:
        waiting, self.waiting = self.waiting, []
        for answer in waiting:
            answer()
        return len(waiting)


class LateNonces:
    def __init__(self, inner: Any, deferred: Deferred) -> None:
        self.inner, self.deferred = inner, deferred
        self.inserted = 0
        self.removed = 0
        self.verdict: NonceVerdict | None = None

    def insert(self, key: bytes, expires_at: float, done: Callable[[NonceVerdict], None]) -> None:
        self.inserted += 1
        done = self.deferred.wrap(done)
        if self.verdict is not None:
            done(self.verdict)
        else:
            self.inner.insert(key, expires_at, done)

    def remove(self, key: bytes, expires_at: float) -> None:
        self.removed += 1
        self.inner.remove(key, expires_at)


class LateBuckets:
    def __init__(self, inner: Any, deferred: Deferred) -> None:
        self.inner, self.deferred = inner, deferred
        self.taken: list[tuple[bytes, float]] = []

    def take(self, key: bytes, cost: float, capacity: float, refill: float, done: Callable[[Any], None]) -> None:
        self.taken.append((key, cost))
        self.inner.take(key, cost, capacity, refill, self.deferred.wrap(done))

    def give(self, key: bytes, amount: float, capacity: float, refill: float) -> None:
        self.inner.give(key, amount, capacity, refill)

    def peek(self, key: bytes, capacity: float, refill: float, done: Callable[[Any], None]) -> None:
        self.inner.peek(key, capacity, refill, done)


class Wire:
    """The connection of one request, as the HTTP layer behaves towards it."""

    def __init__(self, *, private: bool = True) -> None:
        self.private = private
        self.responses: list[Response] = []
        self.consumer: BodyConsumer | None = None

    def answer(self, request: Request, response: Response) -> None:
        request.answered = True
        self.responses.append(response)

    def take_body(self, request: Request, consumer: BodyConsumer) -> None:
        self.consumer = consumer

    def is_private(self, request: Request) -> bool:
        return self.private


class Sending:
    """One request under way."""

    def __init__(
        self, headers: dict[str, str], body: bytes, peer: str, declared: int | None, *, private: bool = True
    ) -> None:
        head = Head()
        head.method, head.target, head.path, head.version = "POST", b"/ingest", b"/ingest", "1.1"
        head.headers = {name.lower().encode(): value.encode() for name, value in headers.items()}
        head.chunked = declared is None
        head.content_length = declared
        head.keep_alive, head.expect_continue = True, False
        self.body = body
        self.wire = Wire(private=private)
        self.request = Request(head, peer, time.monotonic(), self.wire)

    def deliver(self, pieces: int = 1) -> Sending:
        """The body arrives, if the gateway wants it."""
        consumer = self.wire.consumer
        if consumer is not None:
            size = -(-len(self.body) // pieces)
            for at in range(0, len(self.body), size):
                if self.request.answered:
                    return self
                consumer.feed(self.body[at : at + size])
            if not self.request.answered:
                consumer.end()
        return self

    def vanish(self, reason: str = "closed") -> Sending:
        """The connection ends, as ``HttpConnection`` reports it."""
        self.request.closed = True
        if self.wire.consumer is not None:
            self.wire.consumer.abort(reason)
        return self

    @property
    def wants_body(self) -> bool:
        return self.wire.consumer is not None

    @property
    def response(self) -> Response:
        (response,) = self.wire.responses
        return response

    @property
    def verdict(self) -> tuple[int, str]:
        if not self.wire.responses:
            return 0, "no answer"
        reason = json.loads(self.response.body).get("error", "")
        return self.response.status, reason

    def header(self, name: bytes) -> bytes | None:
        lines = dict(line.split(b": ", 1) for line in self.response.lines.split(b"\r\n") if line)
        return (dict(self.response.headers) | lines).get(name)


class Ahead:
    """A batch that was read before it was charged."""

    def __init__(self, door: Door, batch: Batch, items: int) -> None:
        self.door, self.batch, self.items = door, batch, items

    def store(self, reply: Callable[[Reply], None]) -> None:
        self.door.read.append(self.batch)
        reply(Reply(200, b"{}", (), self.items))


class Door:
    """A gateway over stores that may answer late, and a downstream that answers what the test says.

    ``ahead``: the items that its pipeline finds by reading a batch before it is charged, None if it does not.
    """

    def __init__(
        self, mode: Any = "hmac", *, limit: Limit = ROOMY, failures: int = 3, ahead: int | None = None
    ) -> None:
        self.ahead = ahead
        self.read: list[Batch] = []
        self.tried = 0
        self.deferred = Deferred()
        state = open_memory(300, Caps(max_nonces=2000, max_buckets=500), wall=lambda: NOW - 3600)
        self.nonces = LateNonces(state.nonces, self.deferred)
        self.buckets = LateBuckets(state.buckets, self.deferred)
        self.batches: list[Batch] = []
        self.reply = STORED
        self.pending: list[Callable[[Reply], None]] | None = None
        self.metrics = AuthMetrics(Registry(), ["web", "app", "batch"])
        self.gateway = AuthGateway(
            auth=HmacAuth(Keyring.of(CLIENTS), mode=mode, tolerance=300, require_nonce=True, wall=lambda: NOW),
            tokens=TokenAuth(Keyring.of(CLIENTS), mode=mode),
            failures=AuthFailureLimiter(self.buckets, Limit(failures, 0.001)),
            nonces=NonceGuard(self.nonces, 300),
            buckets=EmitterBuckets(self.buckets, limit, {}),
            backpressure=Backpressure(10_000, 50),
            downstream=self,
            metrics=self.metrics,
            read_ahead=self.read_ahead,
        )

    def read_ahead(self, batch: Batch) -> Ahead | None:
        self.tried += 1
        return None if self.ahead is None else Ahead(self, batch, self.ahead)

    def send(self, batch: Batch, reply: Callable[[Reply], None]) -> None:
        self.batches.append(batch)
        if self.pending is None:
            reply(self.reply)
        else:
            self.pending.append(reply)

    def post(
        self,
        body: bytes = BODY,
        *,
        key: str = "web-1",
        secret: str | None = None,
        peer: str = "10.0.0.1",
        declared: int | None = -1,
        signed_body: bytes | None = None,
        extra: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        private: bool = True,
        **parts: Any,
    ) -> Sending:
        """The head arrives; ``deliver`` sends the body."""
        secret = f"secret-of-{key}" if secret is None else secret
        parts = {"timestamp": str(int(NOW)), **parts}
        if headers is None:
            headers = signed(key, secret, body if signed_body is None else signed_body, **parts)
        size = len(body) if declared == -1 else declared
        sending = Sending({**headers, **(extra or {})}, body, peer, size, private=private)
        self.gateway.handle(sending.request)
        return sending


def headers_of(**parts: Any) -> dict[str, str]:
    return signed("web-1", "secret-of-web-1", BODY, timestamp=str(int(NOW)), **parts)
