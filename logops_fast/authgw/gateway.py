"""The Auth Gateway's door: one request through the ten checks of contract 3, in their order.

Checks 1 to 7 need the headers alone and run before a byte of the body is taken, so that a stranger cannot
make the gateway buffer or hash anything; 8 runs while the body arrives; 9 and 10 once it is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Final

from logops_fast.authgw.backpressure import Backpressure
from logops_fast.authgw.hmac_auth import GUESSES, HmacAuth
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.nonce_store import NonceGuard
from logops_fast.authgw.token_auth import Credential, TokenAuth
from logops_fast.authgw.token_bucket import AuthFailureLimiter, BucketGrant, EmitterBuckets
from logops_fast.formats.answer_encoding import encoder_by_body
from logops_fast.formats.batch import (
    UNKNOWN_EMITTER,
    BatchHead,
    BatchHeaderError,
    Downstream,
    ReadAhead,
    Reply,
)
from logops_fast.formats.body_buffer import BodyBuffer
from logops_fast.formats.body_id import body_id
from logops_fast.formats.signature import digest_of
from logops_fast.formats.work_queue import Ticket
from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal

if TYPE_CHECKING:
    from hashlib import _Hash

FORWARD_REASONS: Final = frozenset({"circuit_open", "downstream_error", "downstream_timeout"})
"""The refusals that are made between the gateways, by the forwarder."""

NOT_HANDED_ON: Final = frozenset({"circuit_open", "overloaded"})
"""Reasons of a 503 that says that the batch went no further."""

GONE_IN_MID_BODY: Final = frozenset({"closed", "body_timeout", "overloaded"})
"""Why a body ended early, if not for what was in it."""

HASHED_AT_ONCE: Final = 65_536
"""Bytes of a body that arrived in one piece which are hashed in one call, once it is complete."""

BAD_DIGEST: Final = Refusal(
    401,
    "bad_content_sha256",
    "The body's SHA-256 is not the one in X-Content-SHA256: hash the bytes as sent, after compression.",
)


class AuthGateway:
    """Checks requests and hands accepted batches to ``downstream``. One per worker, on the loop's thread alone."""

    def __init__(
        self,
        *,
        auth: HmacAuth,
        tokens: TokenAuth,
        failures: AuthFailureLimiter,
        nonces: NonceGuard,
        buckets: EmitterBuckets,
        backpressure: Backpressure,
        downstream: Downstream,
        metrics: AuthMetrics,
        dedup: frozenset[str] = frozenset(),
        read_ahead: ReadAhead | None = None,
        digest_of: Callable[[bytes], bytes] = digest_of,
    ) -> None:
        self.auth = auth
        self.tokens = tokens
        self.failures = failures
        self.nonces = nonces
        self.buckets = buckets
        self.backpressure = backpressure
        self.downstream = downstream
        self.metrics = metrics
        self.dedup = dedup
        """The emitters whose batches are recognised by their bodies, if they name none."""
        self.read_ahead = read_ahead
        """Reads a batch where it would only be counted, if the pipeline is in this process and fast enough."""
        self.digest_of = digest_of
        """Returns a body's SHA-256 in lower-case hexadecimal."""
        self.over_limit: set[str] = set()
        """The emitters whose buckets refused their last batch: the next one is counted before it is read."""

    def handle(self, request: Request) -> None:
        """Handle one POST; it is answered through ``request.respond``, perhaps later."""
        _Exchange(self, request).check_headers()


class _Exchange:
    """One request on its way through the checks; the consumer of its body once the headers have passed."""

    __slots__ = (
        "_ahead",
        "_body",
        "_charged",
        "_digest",
        "_emitter",
        "_gateway",
        "_grant",
        "_hash",
        "_head",
        "_nonce_used",
        "_request",
        "_size",
        "_verified",
    )

    def __init__(self, gateway: AuthGateway, request: Request) -> None:
        self._gateway = gateway
        self._request = request
        self._emitter = UNKNOWN_EMITTER
        self._grant: BucketGrant | None = None
        self._nonce_used = False

    def __repr__(self) -> str:
        return f"<_Exchange of {self._emitter} from {self._request.peer}>"

    # Checks that need only the headers.

    def check_headers(self) -> None:
        """Run checks 1 to 5; the nonce store may answer later, so the rest continues from its answer."""
        gateway, request = self._gateway, self._request
        refusal = gateway.backpressure.declared(request.content_length)
        if refusal is not None:
            self._refuse(refusal)
            return
        credential = gateway.tokens.credential(request.headers)
        if credential is not None:
            self._check_token(credential)
            return
        # A signature is checked from a blocked address too: others behind it must get through, and only what fails is
        # held back. It takes the same time for every client name.
        blocked = gateway.failures.check(request.peer)
        verified = gateway.auth.verify(request.method, request.target, request.headers)
        if isinstance(verified, Refusal):
            if blocked is not None:
                verified = blocked
            elif verified.reason in GUESSES:
                gateway.failures.failed(request.peer)
            self._refuse(verified)
            return
        self._verified = verified
        self._emitter = verified.client.emitter
        if verified.nonce is None or verified.timestamp is None:
            self._check_claims()
        else:
            gateway.nonces.insert(verified.client.id, verified.nonce, verified.timestamp, self._nonce_checked)

    def _check_token(self, credential: Credential) -> None:
        """Checks 2, 3 and 5 of a request with a token, which can be guessed, unlike a signature.

        So a blocked address stays blocked, whatever the token is. A client never is: a stranger that sends wrong
        tokens under its name must not shut it out.
        """
        gateway, request = self._gateway, self._request
        refusal = gateway.failures.check(request.peer)
        if refusal is not None:
            self._refuse(refusal)
            return
        verified = gateway.tokens.verify(credential, request.headers, private=request.private)
        if isinstance(verified, Refusal):
            if verified.reason in GUESSES:
                gateway.failures.failed(request.peer)
            self._refuse(verified)
            return
        self._verified = verified
        self._emitter = verified.client.emitter
        self._check_claims()

    def _nonce_checked(self, refusal: Refusal | None) -> None:
        """Check 6: the store's verdict on the nonce."""
        if refusal is not None:
            self._refuse(refusal)
            return
        self._nonce_used = True
        if self._request.closed:
            self._give_nonce_back()
        self._check_claims()

    def _check_claims(self) -> None:
        """Check 7, and the form of the other headers."""
        headers = self._request.headers
        emitter = self._gateway.auth.choose_emitter(self._verified.client, headers.get(b"x-emitter"))
        if isinstance(emitter, Refusal):
            self._refuse(emitter)
            return
        self._emitter = emitter
        try:
            self._head = BatchHead.of(headers, self._request.path)
        except BatchHeaderError as error:
            self._refuse(error.refusal)
            return
        self._digest = self._verified.content_sha256
        self._hash: _Hash | None = None
        self._body = BodyBuffer()
        self._request.accept_body(self)

    # The body (a BodyConsumer).

    def feed(self, data: bytes) -> None:
        """Check 8, first half: cap and hash the bytes as they arrive."""
        refusal = self._gateway.backpressure.received(self._body.size + len(data))
        if refusal is not None:
            self._body.clear()
            self._refuse(refusal)
            return
        if self._hash is not None:
            self._hash.update(data)
        elif self._digest is not None and (len(data) != self._request.content_length or len(data) > HASHED_AT_ONCE):
            self._hash = sha256(data)
        self._body.add(data)

    def end(self) -> None:
        """Check 8, second half, and 9; the bucket may answer later, so the rest continues from its answer."""
        if self._request.answered:
            return
        gateway = self._gateway
        body = self._body.take()
        # No secret is compared here: the digest came in the clear, under the signature.
        if self._digest is not None:
            hashed = gateway.digest_of(body) if self._hash is None else self._hash.hexdigest().encode()
            if hashed != self._digest:
                self._refuse(BAD_DIGEST)
                return
        received_at = self._request.received_at
        if gateway.read_ahead is not None and self._read(gateway.read_ahead, body):
            return
        ticket = gateway.backpressure.take_in(self._head, body, self._emitter, received_at, self._decoded)
        if ticket is not None:
            self._request.on_close = partial(self._left, ticket)

    def _read(self, read_ahead: ReadAhead, body: bytes) -> bool:
        """Have the body read instead of counted, and take it to the bucket; False if it has to be counted.

        Reading counts exactly and costs an emitter within its limit nothing, since its batch is read anyway.
        """
        gateway, head = self._gateway, self._head
        if self._emitter in gateway.over_limit or head.must_decode(body) or head.settled(body) is not head:
            return False
        batch = head.batch(body, self._emitter, self._request.received_at, 0, self._body_id(body))
        read = read_ahead(batch)
        if read is None or read.items > gateway.backpressure.max_items:
            return False
        self._size = len(body)
        self._charged = cost = gateway.buckets.cost(read.items, len(body))
        self._ahead = read
        gateway.buckets.take(self._emitter, cost, self._read_and_charged)
        return True

    def _read_and_charged(self, grant: BucketGrant) -> None:
        """Check 10 of a batch that has been read."""
        read = self._ahead
        self._grant = grant
        if grant.refusal is not None:
            self._denied(grant.refusal, read.items)
        else:
            read.store(self._reply)

    def _left(self, ticket: Ticket) -> None:
        """The client is gone while its body waits to be decoded: nothing was handed on."""
        ticket.cancel()
        self._give_nonce_back()

    def _decoded(self, body: bytes, items: int | Refusal) -> None:
        """Take the decoded and counted body to the bucket."""
        gateway = self._gateway
        self._settle_format(body)
        if isinstance(items, Refusal):
            if items.status == 503:
                self._give_nonce_back()
            self._refuse(items)
            return
        self._size = len(body)
        cost = gateway.buckets.cost(items, len(body))
        gateway.buckets.take(self._emitter, cost, partial(self._bucket_answered, body, items, cost))

    def _settle_format(self, body: bytes) -> None:
        """Note what the body is, if that is not by its type: from now on the sender is answered in that protocol."""
        settled = self._head.settled(body)
        if settled is not self._head:
            self._head = settled
            self._request.encoder = encoder_by_body(self._request, settled.format)

    def abort(self, reason: str) -> None:
        """The sender vanished or stalled in mid-body; the HTTP layer has answered if it still could."""
        self._body.clear()
        if reason in GONE_IN_MID_BODY:
            self._give_nonce_back()

    # What needs the whole body.

    def _bucket_answered(self, body: bytes, estimate: int, cost: int, grant: BucketGrant) -> None:
        """Check 10. A batch whose estimate does not fit is counted exactly before it is refused."""
        gateway = self._gateway
        if grant.refusal is not None:
            items = gateway.backpressure.exact(self._head.format, body, estimate)
            exact = gateway.buckets.cost(items, len(body))
            if exact < cost:
                gateway.buckets.take(self._emitter, exact, partial(self._bucket_answered, body, items, exact))
                return
            self._grant = grant
            self._denied(grant.refusal, items)
            return
        gateway.over_limit.discard(self._emitter)
        self._grant = grant
        self._charged = cost
        batch = self._head.batch(body, self._emitter, self._request.received_at, estimate, self._body_id(body))
        gateway.downstream.send(batch, self._reply)

    def _denied(self, refusal: Refusal, items: int) -> None:
        """Refuse a batch that its emitter's bucket has no room for."""
        self._gateway.over_limit.add(self._emitter)
        if refusal.status == 429:
            self._gateway.metrics.denied(self._emitter, items)
            self._give_nonce_back()
        self._refuse(refusal)

    def _body_id(self, body: bytes) -> str:
        head, request = self._head, self._request
        if self._emitter not in self._gateway.dedup or head.repeatable:
            return ""
        content_type = request.headers.get(b"content-type", b"")
        return body_id(self._verified.client.id, request.path, content_type, head.scenario_id, head.tenant, body)

    def _reply(self, reply: Reply) -> None:
        """Correct the charge by the true count, and answer with what the Ingest Gateway said."""
        buckets = self._gateway.buckets
        grant = self._grant
        reason = reply.reason if reply.status >= 500 else ""
        if grant is not None:
            if reply.items is not None:
                cost = buckets.cost(reply.items, self._size)
                self._grant = buckets.settle(self._emitter, grant, self._charged, cost)
            elif reply.status >= 500:
                # Nothing was stored, so the events cost nothing; the client will send them again.
                self._grant = buckets.settle(self._emitter, grant, self._charged, buckets.cost(0, 0))
        if reply.status == 503 and reason in NOT_HANDED_ON and not reply.doubtful:
            self._give_nonce_back()
        if reason in FORWARD_REASONS:
            # The Ingest Gateway never saw the batch, so it cannot have counted it.
            self._gateway.metrics.rejected(reason, self._emitter)
        self._answer(reply.status, reply.body, reply.headers)

    def _give_nonce_back(self) -> None:
        """Let the same request be sent again: it had no effect."""
        verified = self._verified
        if self._nonce_used and verified.nonce is not None and verified.timestamp is not None:
            self._nonce_used = False
            self._gateway.nonces.give_back(verified.client.id, verified.nonce, verified.timestamp)

    def _refuse(self, refusal: Refusal) -> None:
        self._gateway.metrics.rejected(refusal.reason, self._emitter)
        headers = tuple(refusal.headers())
        if refusal.status == 401:
            headers += self._gateway.tokens.challenges
        self._answer(refusal.status, refusal.body(), headers)

    def _answer(self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        lines = b"" if self._grant is None else self._grant.lines
        sent = self._request.respond(Response(status, body, headers=headers, lines=lines))
        self._gateway.metrics.request_done(sent, self._emitter, monotonic() - self._request.received_at)
