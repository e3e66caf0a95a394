"""The Auth Gateway's door: one request through the ten checks of SPEC 3, in their order.

Checks 1 to 7 need the headers alone and run before a byte of the body is taken, so that a stranger cannot
make the gateway buffer or hash anything; 8 runs while the body arrives; 9 and 10 once it is whole.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Final

from logops_fast.authgw.backpressure import Backpressure
from logops_fast.authgw.hmac_auth import HmacAuth
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.nonce_store import NonceGuard
from logops_fast.authgw.token_bucket import AuthFailureLimiter, BucketGrant, EmitterBuckets
from logops_fast.formats.batch import UNKNOWN_EMITTER, BatchHead, BatchHeaderError, Downstream, Reply
from logops_fast.formats.body_buffer import BodyBuffer
from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal

if TYPE_CHECKING:
    from hashlib import _Hash

FORWARD_REASONS: Final = frozenset({"circuit_open", "downstream_error", "downstream_timeout"})
"""The refusals that are made between the gateways, by the forwarder."""

BAD_DIGEST: Final = Refusal(
    401,
    "bad_content_sha256",
    "The body's SHA-256 is not the one in X-Content-SHA256: hash the bytes as sent, after compression.",
)


class AuthGateway:
    """Checks requests and hands accepted batches to ``downstream``. One per worker; all on the loop's thread."""

    def __init__(
        self,
        *,
        auth: HmacAuth,
        failures: AuthFailureLimiter,
        nonces: NonceGuard,
        buckets: EmitterBuckets,
        backpressure: Backpressure,
        downstream: Downstream,
        metrics: AuthMetrics,
    ) -> None:
        self.auth = auth
        self.failures = failures
        self.nonces = nonces
        self.buckets = buckets
        self.backpressure = backpressure
        self.downstream = downstream
        self.metrics = metrics

    def handle(self, request: Request) -> None:
        """Take one POST; it is answered through ``request.respond``, perhaps later."""
        _Exchange(self, request).check_headers()


class _Exchange:
    """One request on its way through the checks; the consumer of its body once the headers have passed."""

    __slots__ = (
        "_body",
        "_digest",
        "_emitter",
        "_estimate",
        "_gateway",
        "_grant",
        "_hash",
        "_head",
        "_request",
        "_verified",
    )

    def __init__(self, gateway: AuthGateway, request: Request) -> None:
        self._gateway = gateway
        self._request = request
        self._emitter = UNKNOWN_EMITTER
        self._grant: BucketGrant | None = None

    # Checks that need the headers alone.

    def check_headers(self) -> None:
        """Checks 1 to 5; the nonce store may answer later, so the rest goes on from its answer."""
        gateway, request = self._gateway, self._request
        refusal = gateway.backpressure.declared(request.content_length) or gateway.failures.check(request.peer)
        if refusal is not None:
            self._refuse(refusal)
            return
        verified = gateway.auth.verify(request.method, request.target, request.headers)
        if isinstance(verified, Refusal):
            gateway.failures.failed(request.peer)
            self._refuse(verified)
            return
        self._verified = verified
        self._emitter = verified.client.emitter
        if verified.nonce is None or verified.timestamp is None:
            self._check_claims(None)
        else:
            gateway.nonces.insert(verified.client.id, verified.nonce, verified.timestamp, self._check_claims)

    def _check_claims(self, refusal: Refusal | None) -> None:
        """Check 7, and the form of the other headers, behind check 6's verdict."""
        if refusal is not None:
            if refusal.status == 401:
                self._gateway.failures.failed(self._request.peer)
            self._refuse(refusal)
            return
        headers = self._request.headers
        emitter = self._gateway.auth.choose_emitter(self._verified.client, headers.get(b"x-emitter"))
        if isinstance(emitter, Refusal):
            self._refuse(emitter)
            return
        self._emitter = emitter
        try:
            self._head = BatchHead.of(headers)
        except BatchHeaderError as bad:
            self._refuse(bad.refusal)
            return
        self._digest = self._verified.content_sha256
        self._hash: _Hash | None = sha256() if self._digest is not None else None
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
        self._body.add(data)

    def end(self) -> None:
        """Check 8, second half, and 9; the bucket may answer later, so the rest goes on from its answer."""
        if self._request.answered:
            return
        gateway = self._gateway
        # No secret is compared here: the digest came in the clear, under the signature.
        if self._hash is not None and self._hash.hexdigest().encode() != self._digest:
            gateway.failures.failed(self._request.peer)
            self._refuse(BAD_DIGEST)
            return
        received_at = self._request.received_at
        ticket = gateway.backpressure.take_in(self._head, self._body.take(), self._emitter, received_at, self._decoded)
        if ticket is not None:
            self._request.on_close = ticket.cancel

    def _decoded(self, body: bytes, items: int | Refusal) -> None:
        """Take the decoded and counted body to the bucket."""
        gateway = self._gateway
        if isinstance(items, Refusal):
            self._refuse(items)
            return
        gateway.buckets.take(self._emitter, items, partial(self._charged, body, items))

    def abort(self, reason: str) -> None:  # noqa: ARG002 - a BodyConsumer is told why
        """The sender vanished or stalled in mid-body; the HTTP layer has answered where it still could."""
        self._body.clear()

    # What needs the whole body.

    def _charged(self, body: bytes, estimate: int, grant: BucketGrant) -> None:
        """Check 10. An estimate that does not fit is counted exactly before anything is refused."""
        gateway = self._gateway
        if grant.refusal is not None:
            items = gateway.backpressure.exact(self._head.format, body, estimate)
            if items < estimate:
                gateway.buckets.take(self._emitter, items, partial(self._charged, body, items))
                return
            self._grant = grant
            gateway.metrics.denied(self._emitter, items)
            self._refuse(grant.refusal)
            return
        self._grant = grant
        self._estimate = estimate
        batch = self._head.batch(body, self._emitter, self._request.received_at, estimate)
        gateway.downstream.send(batch, self._reply)

    def _reply(self, reply: Reply) -> None:
        """Settle the bucket with the true count, and answer with what the Ingest Gateway said."""
        grant = self._grant
        if grant is not None:
            if reply.items is not None:
                self._grant = self._gateway.buckets.settle(self._emitter, grant, self._estimate, reply.items)
            elif reply.status >= 500:
                # Nothing was stored, so nothing is owed; the client is meant to send it again.
                self._grant = self._gateway.buckets.settle(self._emitter, grant, self._estimate, 0)
        if reply.status >= 500 and (reason := reply.reason) in FORWARD_REASONS:
            # The Ingest Gateway never saw the batch, so that it cannot have counted it.
            self._gateway.metrics.rejected(reason, self._emitter)
        self._answer(reply.status, reply.body, reply.headers)

    def _refuse(self, refusal: Refusal) -> None:
        self._gateway.metrics.rejected(refusal.reason, self._emitter)
        self._answer(refusal.status, refusal.body(), tuple(refusal.headers()))

    def _answer(self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        if self._grant is not None:
            headers = (*headers, *self._grant.headers)
        self._request.respond(Response(status, body, headers=headers))
        self._gateway.metrics.request_done(status, self._emitter, monotonic() - self._request.received_at)
