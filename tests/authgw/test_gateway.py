"""The door without a process: the ten checks in their order, over stores that answer when the test lets them."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

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
from logops_fast.http.refusal import Reason, Refusal
from logops_fast.state.interface import NonceVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import open_memory
from logops_fast.telemetry.registry import Registry
from tests.support.signing import signed
from tests.support.tables import each_of

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


@pytest.fixture
def door() -> Door:
    return Door()


def headers_of(**parts: Any) -> dict[str, str]:
    return signed("web-1", "secret-of-web-1", BODY, timestamp=str(int(NOW)), **parts)


# The order of the checks: a request that fails many is refused for the first, whatever the store answers.


def test_the_first_check_that_fails_is_answered(door: Door) -> None:
    """A request with every fault there is, of which one after another is taken away."""
    assert door.post(nonce="used-before-1").deliver().verdict == (200, "")
    faults: dict[str, dict[str, Any]] = {
        "too_large_hdr": {"declared": 20_000},
        "unknown_client": {"key": "nobody"},
        "clock_skew": {"timestamp": "5"},
        "bad_signature": {"secret": "wrong"},
        "replay": {"nonce": "used-before-1"},
        "emitter_not_allowed": {"extra": {"X-Emitter": "boss", "Content-Type": "image/png"}},
        "unsupported_media_type": {"extra": {"Content-Type": "image/png"}},
        "bad_content_sha256": {"signed_body": b"another"},
        "too_many_items": {"body": b"[" + b"1," * 60 + b"1]"},
    }
    seen = []
    for done in range(len(faults)):
        options: dict[str, Any] = {}
        for fault in reversed(list(faults.values())[done:]):
            options |= fault
        sending = door.post(**options)
        seen.append((sending if sending.wire.responses else sending.deliver()).verdict[1])
    assert seen == list(faults)
    assert len(door.batches) == 1


def test_a_body_fails_by_its_digest_then_by_its_encoding_then_by_its_items_then_by_its_bucket(door: Door) -> None:
    many = b"[" + b",".join([b"1"] * 51) + b"]"
    packed = gzip.compress(many)
    gz = {"Content-Encoding": "gzip"}
    assert door.post(b"not gzip", signed_body=b"other", extra=gz).deliver().verdict == (401, "bad_content_sha256")
    assert door.post(b"not gzip", extra=gz).deliver().verdict == (400, "malformed")
    assert door.post(packed, extra=gz).deliver().verdict == (413, "too_many_items")
    forty = b"[" + b",".join([b"1"] * 40) + b"]"
    door.reply = Reply(200, b"{}", (), 40)
    assert [door.post(forty).deliver().verdict for _ in range(3)] == [(200, "")] * 2 + [(429, "rate_limited")]


def test_no_body_is_taken_before_the_nonce_is_known_to_be_new(door: Door) -> None:
    door.deferred.deferring = True
    sending = door.post()
    assert not sending.wants_body
    assert door.deferred.release() == 1
    assert sending.wants_body
    sending.deliver(pieces=7)
    assert sending.verdict == (0, "no answer")
    assert door.batches == []
    assert door.deferred.release() == 1
    assert sending.verdict == (200, "")
    (batch,) = door.batches
    assert (batch.body, batch.emitter) == (BODY, "web")


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (NonceVerdict.REPLAY, (401, "replay")),
        (NonceVerdict.FORGOTTEN, (401, "replay")),
        (NonceVerdict.CROWDED, (429, "too_many_nonces")),
        (NonceVerdict.FULL, (503, "state_unavailable")),
        (NonceVerdict.UNAVAILABLE, (503, "state_unavailable")),
    ],
)
def test_a_late_verdict_on_the_nonce_refuses_before_the_body(
    door: Door, verdict: NonceVerdict, answer: tuple[int, str]
) -> None:
    door.deferred.deferring = True
    door.nonces.verdict = verdict
    sending = door.post()
    door.deferred.release()
    assert sending.verdict == answer
    assert not sending.wants_body
    assert door.nonces.removed == 0


def test_many_requests_at_once_keep_apart_whatever_the_order_of_the_answers(door: Door) -> None:
    door.deferred.deferring = True
    requests = [door.post(json.dumps([{"n": n}]).encode()) for n in range(5)]
    door.deferred.waiting.reverse()
    door.deferred.release()
    for sending in requests:
        sending.deliver()
    door.deferred.waiting.reverse()
    door.deferred.release()
    assert [sending.verdict for sending in requests] == [(200, "")] * 5
    assert [json.loads(batch.body)[0]["n"] for batch in door.batches] == [4, 3, 2, 1, 0]


# Nonces: used, given back, and never given back where something may have happened.


def again(door: Door, headers: dict[str, str]) -> tuple[int, str]:
    """The same request once more."""
    door.deferred.deferring = False
    door.reply = STORED
    return door.post(headers=headers).deliver().verdict


def test_a_request_is_good_once(door: Door) -> None:
    headers = headers_of()
    assert again(door, headers) == (200, "")
    assert again(door, headers) == (401, "replay")


def test_a_batch_that_the_bucket_refuses_may_be_sent_again_as_it_is() -> None:
    door = Door(limit=Limit(4, 1e-6))
    headers = headers_of()
    assert again(door, headers_of()) == (200, "")
    assert again(door, headers) == (429, "rate_limited")
    door.gateway.buckets.replace_limits(Limit(1000, 1e6), {}, "events")
    assert again(door, headers) == (200, "")
    assert again(door, headers) == (401, "replay")


def test_the_429s_of_one_client_hold_no_nonces() -> None:
    door = Door(limit=Limit(3, 1e-6))
    assert door.post().deliver().verdict == (200, "")
    verdicts = {door.post().deliver().verdict for _ in range(4000)}  # twice what the store holds
    assert verdicts == {(429, "rate_limited")}
    assert door.post(key="app-2").deliver().verdict == (200, "")


@pytest.mark.parametrize("reason", ["overloaded", "circuit_open"])
def test_a_503_that_handed_nothing_on_gives_the_nonce_back(door: Door, reason: Reason) -> None:
    headers = headers_of()
    door.reply = Reply.of(Refusal(503, reason, "a sentence", 1))
    assert door.post(headers=headers).deliver().verdict == (503, reason)
    assert again(door, headers) == (200, "")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, Refusal(503, "overloaded", "a sentence", 1).body(), doubtful=True),
        Reply(503, Refusal(503, "circuit_open", "a sentence", 1).body(), doubtful=True),
        Reply.of(Refusal(503, "sink_failed", "a sentence", 1)),
        Reply.of(Refusal(503, "batch_in_progress", "a sentence", 1)),
        Reply.of(Refusal(502, "downstream_error", "a sentence")),
        Reply.of(Refusal(504, "downstream_timeout", "a sentence")),
        Reply.of(Refusal(500, "internal_error", "a sentence")),
        Reply.of(Refusal(422, "no_valid_events", "a sentence")),
        Reply.of(Refusal(400, "malformed", "a sentence")),
    ],
    ids=lambda reply: reply.reason,
)
def test_a_refusal_of_the_content_or_an_unknown_outcome_does_not(door: Door, reply: Reply) -> None:
    headers = headers_of()
    door.reply = reply
    assert door.post(headers=headers).deliver().verdict == (reply.status, reply.reason)
    assert again(door, headers) == (401, "replay")


@each_of("name", ["items", "bucket", "emitter", "type", "digest"])
def test_neither_does_a_4xx_of_the_gateway_for_what_was_sent(name: str) -> None:
    door = Door(limit=Limit(2, 1) if name == "bucket" else Limit(100, 1))
    body = b"[" + b"1," * 60 + b"1]" if name == "items" else BODY
    headers = signed("web-1", "secret-of-web-1", body, timestamp=str(int(NOW)))
    extra = {"emitter": {"X-Emitter": "boss"}, "type": {"Content-Type": "image/png"}}.get(name, {})
    sent = b"[]" if name == "digest" else body
    status, _ = door.post(sent, headers=headers, extra=extra).deliver().verdict
    assert status in (401, 403, 413, 415)
    assert door.nonces.removed == 0
    assert door.post(body, headers=headers, extra=extra).verdict == (401, "replay")


@pytest.mark.parametrize(
    ("reason", "given_back"),
    [("closed", True), ("body_timeout", True), ("overloaded", True), ("bad_request", False), ("internal_error", False)],
)
def test_a_client_that_is_gone_in_mid_body_may_send_the_same_again(door: Door, reason: str, given_back: bool) -> None:
    headers = headers_of()
    sending = door.post(headers=headers)
    assert sending.wire.consumer is not None
    sending.wire.consumer.feed(BODY[:5])
    sending.vanish(reason)
    assert sending.wire.responses == []
    assert again(door, headers) == ((200, "") if given_back else (401, "replay"))


def test_a_client_that_is_gone_before_the_nonce_was_answered_may_too(door: Door) -> None:
    door.deferred.deferring = True
    headers = headers_of()
    sending = door.post(headers=headers).vanish()
    door.deferred.release()
    assert not sending.wants_body
    assert sending.wire.responses == []
    assert again(door, headers) == (200, "")


def test_a_batch_whose_client_left_while_its_bucket_was_asked_is_stored_all_the_same(door: Door) -> None:
    door.deferred.deferring = True
    headers = headers_of()
    sending = door.post(headers=headers)
    door.deferred.release()
    sending.deliver()
    sending.request.closed = True
    door.deferred.release()
    assert len(door.batches) == 1
    assert sending.wire.responses == []
    assert again(door, headers) == (401, "replay")


def test_a_reply_after_the_client_left_goes_nowhere_and_still_settles_its_bucket(door: Door) -> None:
    door.pending = []
    sending = door.post().deliver()
    sending.request.closed = True
    (reply,) = door.pending
    reply(Reply(200, b"{}", (), 1))
    assert sending.wire.responses == []
    door.pending = None
    assert door.post().deliver().header(b"x-ratelimit-remaining") == b"96"


def test_a_request_without_nonce_has_none_to_give_back() -> None:
    door = Door("none", limit=Limit(3, 1e-6))
    assert door.post(headers={}).deliver().verdict == (200, "")
    assert door.post(headers={}).deliver().verdict == (429, "rate_limited")
    assert door.nonces.inserted == door.nonces.removed == 0


# Failed authentications.


def test_guesses_from_one_address_are_slowed_down_and_a_right_signature_from_there_passes(door: Door) -> None:
    seen = [door.post(secret=f"guess-{number}").verdict for number in range(6)]
    assert seen == [(401, "bad_signature")] * 3 + [(429, "auth_failures")] * 3
    assert door.post(key="nobody").verdict == (429, "auth_failures")
    assert door.post().deliver().verdict == (200, "")
    assert door.post(peer="10.0.0.2", secret="guess").verdict == (401, "bad_signature")


def test_what_guesses_nothing_is_no_failed_authentication(door: Door) -> None:
    """Above all, 100 requests signed before a first start, which are refused as replays, do not lock an address."""
    used = headers_of()
    door.post(headers=used).deliver()
    harmless: dict[str, Callable[[], Sending]] = {
        "missing_headers": lambda: door.post(headers={}),
        "bad_timestamp": lambda: door.post(timestamp="now"),
        "bad_nonce": lambda: door.post(nonce="short"),
        "clock_skew": lambda: door.post(timestamp="5"),
        "replay": lambda: door.post(headers=used),
        "bad_content_sha256": lambda: door.post(signed_body=b"other").deliver(),
        "emitter_not_allowed": lambda: door.post(extra={"X-Emitter": "boss"}),
    }
    for reason, send in harmless.items():
        assert {send().verdict[1] for _ in range(100)} == {reason}
    door.nonces.verdict = NonceVerdict.FORGOTTEN
    assert {door.post().verdict for _ in range(100)} == {(401, "replay")}
    door.nonces.verdict = None
    assert door.post(secret="one guess").verdict == (401, "bad_signature")
    assert not [key for key, _ in door.buckets.taken if key.startswith(b"peer")][1:]


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("mode", ["api_key", "any"])
def test_a_token_can_be_guessed_so_a_blocked_address_stays_blocked_for_it(mode: str) -> None:
    door = Door(mode)
    for number in range(3):
        assert door.post(headers={"X-Api-Key": f"guess-{number}"}).verdict == (401, "unknown_client")
    assert door.post(headers=bearer()).verdict == (429, "auth_failures")
    if mode == "any":
        assert door.post().deliver().verdict == (200, "")
    assert door.post(headers=bearer(), peer="10.0.0.9").deliver().verdict == (200, "")


@pytest.mark.parametrize("name", ["web-1", "app-2"])
def test_wrong_tokens_under_a_client_s_name_do_not_shut_it_out(name: str) -> None:
    door = Door("any")
    for number in range(30):
        sent = door.post(headers={"X-Api-Key": f"{name}:guess-{number}"}, peer=f"10.0.{number}.1")
        assert sent.verdict == (401, "unknown_client")
    for headers in ({"X-Api-Key": f"web-1:{TOKEN}"}, bearer()):
        assert door.post(headers=headers, peer="10.0.99.1").deliver().verdict == (200, "")


def test_names_that_tokens_are_sent_for_take_no_place_among_the_blocked() -> None:
    door = Door("api_key", failures=1)
    for number in range(50):
        door.post(headers={"X-Api-Key": f"name-{number}:guess"}, peer=f"10.1.0.{number % 5}")
    assert {key for key, _ in door.buckets.taken} == {b"peer\0" + b"10.1.0.%d" % number for number in range(5)}


@pytest.mark.parametrize("mode", ["hmac", "api_key", "any"])
def test_a_401_says_which_schemes_there_are_where_tokens_are_accepted(mode: str) -> None:
    door = Door(mode)
    for sent in (door.post(headers={}), door.post(headers={"X-Api-Key": "a-guess"})):
        assert sent.verdict[0] == 401
        schemes = [value.split()[0] for name, value in sent.response.headers if name == b"www-authenticate"]
        assert schemes == ([] if mode == "hmac" else [b"Bearer", b"Basic"])
    assert door.post(declared=10_001).header(b"www-authenticate") is None


def test_an_unknown_client_is_counted_like_a_known_one() -> None:
    """Otherwise the work after a wrong token would say which names there are."""
    door = Door("api_key")
    for name in ("web-1", "nobody"):
        before = len(door.buckets.taken)
        door.post(headers={"X-Api-Key": f"{name}:guess"}, peer=f"2001:db8:{len(name)}::1")
        assert len(door.buckets.taken) == before + 1


@pytest.mark.parametrize("token", [TOKEN, "a-wrong-token"])
def test_a_token_that_others_could_read_is_refused_before_it_is_looked_at(token: str) -> None:
    door = Door("any", failures=1)
    for _ in range(3):
        assert door.post(headers=bearer(token), private=False).verdict == (403, "tls_required")
    assert door.post(private=False).deliver().verdict == (200, "")


# The bucket's charge.


def test_the_charge_is_the_estimate_until_the_answer_has_the_count(door: Door) -> None:
    """Commas over-count this body by its text; nothing of that stays charged."""
    body = json.dumps([{"msg": "a,b,c,d"}] * 2).encode()
    door.reply = Reply(200, b"{}", (), 2)
    assert door.post(body).deliver().header(b"x-ratelimit-remaining") == b"98"


@pytest.mark.parametrize(("status", "remaining"), [(503, b"100"), (500, b"100"), (422, b"97")])
def test_what_a_fault_of_ours_refused_costs_nothing(door: Door, status: int, remaining: bytes) -> None:
    door.reply = Reply(status, b'{"error":"sink_failed"}', (), None)
    assert door.post().deliver().header(b"x-ratelimit-remaining") == remaining


def test_an_estimate_that_does_not_fit_is_counted_before_it_is_refused() -> None:
    door = Door(limit=Limit(5, 1e-6))
    lines = b"x\n\n" * 5  # ten line ends, five events
    sending = door.post(lines, extra={"Content-Type": "text/plain"}).deliver()
    assert sending.verdict == (200, "")
    assert [cost for _, cost in door.buckets.taken] == [11, 5]


def test_one_huge_event_costs_its_weight() -> None:
    door = Door(limit=Limit(15, 1e-6))
    door.reply = Reply(200, b"{}", (), 1)
    heavy = json.dumps([{"msg": "x" * 7000}]).encode()
    assert door.post(heavy).deliver().header(b"x-ratelimit-remaining") == b"9"
    assert door.post(heavy).deliver().header(b"x-ratelimit-remaining") == b"3"
    assert door.post(heavy).deliver().verdict == (429, "rate_limited")


def test_a_batch_that_can_never_fit_is_refused_with_the_limit() -> None:
    door = Door(limit=Limit(2, 1))
    sending = door.post().deliver()
    assert sending.verdict == (413, "too_many_items")
    assert "holds 2" in json.loads(sending.response.body)["detail"]
    assert sending.header(b"x-backpressure-reason") == b"too_many_items"


def test_a_body_over_the_cap_is_cut_off_as_it_arrives(door: Door) -> None:
    sending = door.post(b"x" * 30_000, declared=None).deliver(pieces=30)
    assert sending.verdict == (413, "too_large")


def test_a_digest_is_checked_over_all_pieces(door: Door) -> None:
    digest = hashlib.sha256(BODY).hexdigest().upper()
    assert door.post(digest=digest).deliver(pieces=len(BODY)).verdict == (200, "")


def test_an_empty_body_is_no_error_of_the_door(door: Door) -> None:
    """There is nothing to feed: ``end`` comes at once."""
    assert door.post(b"").verdict == (200, "")


def test_an_exchange_says_whose_it_is(door: Door) -> None:
    sending = door.post(extra={"X-Emitter": "batch"})
    assert repr(sending.wire.consumer) == "<_Exchange of batch from 10.0.0.1>"


# A pipeline in the same process reads a batch where it would only be counted.


def test_a_batch_that_is_read_ahead_is_charged_for_its_items_before_it_is_stored() -> None:
    door = Door(ahead=4)
    door.deferred.deferring = True
    sending = door.post()
    door.deferred.release()
    sending.deliver()
    assert [cost for _, cost in door.buckets.taken] == [4]
    assert (sending.verdict, door.read) == ((0, "no answer"), [])
    door.deferred.release()
    assert sending.verdict == (200, "")
    assert sending.header(b"x-ratelimit-remaining") == b"96"
    (batch,) = door.read
    assert (batch.body, batch.emitter, door.batches) == (BODY, "web", [])


def test_an_emitter_over_its_limit_is_counted_before_it_is_read() -> None:
    door = Door(ahead=40)
    headers = headers_of(nonce="over-the-limit")
    assert [door.post().deliver().verdict for _ in range(2)] == [(200, "")] * 2
    assert door.post(headers=headers).deliver().verdict == (429, "rate_limited")
    assert (door.tried, len(door.read)) == (3, 2)
    # The nonce is given back, and three items fit.
    assert door.post(headers=headers).deliver().verdict == (200, "")
    assert (door.tried, len(door.read), len(door.batches)) == (3, 2, 1)
    door.ahead = 1
    assert door.post().deliver().verdict == (200, "")
    assert (door.tried, len(door.read)) == (4, 3)


def test_a_batch_that_is_not_read_ahead_is_counted() -> None:
    door = Door()
    assert door.post().deliver().verdict == (200, "")
    assert (door.tried, len(door.batches)) == (1, 1)
    door.ahead = 51  # over the cap of 50
    many = b"[" + b",".join([b"1"] * 51) + b"]"
    assert door.post(many).deliver().verdict == (413, "too_many_items")
    packed = {"Content-Encoding": "gzip"}
    assert door.post(gzip.compress(BODY), extra=packed).deliver().verdict == (200, "")
    export = b'{"resourceLogs":[]}'
    assert door.post(export).deliver().verdict[0] == 200
    assert (door.tried, door.read) == (2, [])
