"""The Ingest Gateway's own entrance, for a split deployment: POST /v1/logs from the Auth Gateway.

It trusts its network: the Auth Gateway has authenticated the sender, who arrives as X-Emitter.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from logops_fast.formats.answer_encoding import encoder_by_body
from logops_fast.formats.batch import (
    NAME,
    PERSONAL_DATA_IN_NAME,
    UNKNOWN_EMITTER,
    BatchHead,
    BatchHeaderError,
    Downstream,
    Reply,
)
from logops_fast.formats.body_buffer import BodyBuffer
from logops_fast.formats.body_id import BODY_ID, body_id
from logops_fast.formats.intake import Caps, take_in
from logops_fast.formats.personal_names import personal_data_in_name
from logops_fast.formats.work_queue import WorkQueue
from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.metrics import IngestMetrics

BAD_EMITTER: Final = Refusal(400, "bad_emitter", "X-Emitter must be 1 to 64 characters of A-Z a-z 0-9 . _ -")


class IngestGateway:
    """Reads a request's body, within the cap, and hands it to the pipeline."""

    def __init__(
        self,
        *,
        pipeline: Downstream,
        metrics: IngestMetrics,
        max_body_bytes: int,
        max_items: int,
        queue: WorkQueue | None = None,
        dedup: frozenset[str] = frozenset(),
    ) -> None:
        self.pipeline = pipeline
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes
        self.max_items = max_items
        self.queue = WorkQueue() if queue is None else queue
        self.dedup = dedup
        """The emitters whose batches are recognised by their bodies, if they name none."""

    def handle(self, request: Request) -> None:
        """Handle one POST; it is answered through ``request.respond``, perhaps later."""
        exchange = _Exchange(self, request)
        try:
            exchange.check_headers()
        except BatchHeaderError as error:
            exchange.refuse(error.refusal)
        else:
            request.accept_body(exchange)

    def too_large(self) -> Refusal:
        """Return the refusal of a body over the cap."""
        return Refusal(413, "too_large", f"The body is over {self.max_body_bytes} bytes: split the batch.")


class _Exchange:
    """One request; the consumer of its body."""

    __slots__ = ("_body", "_emitter", "_gateway", "_head", "_request")

    def __init__(self, gateway: IngestGateway, request: Request) -> None:
        self._gateway = gateway
        self._request = request
        self._emitter = UNKNOWN_EMITTER
        self._body = BodyBuffer()

    def check_headers(self) -> None:
        """Check what needs only the headers. Raises BatchHeaderError with the refusal."""
        request = self._request
        headers = request.headers
        emitter = headers.get(b"x-emitter")
        if emitter:
            if NAME.fullmatch(emitter) is None:
                raise BatchHeaderError(BAD_EMITTER)
            if personal_data_in_name(emitter.decode("ascii")):
                raise BatchHeaderError(PERSONAL_DATA_IN_NAME)
            self._emitter = emitter.decode("ascii")
        if request.content_length is not None and request.content_length > self._gateway.max_body_bytes:
            raise BatchHeaderError(self._gateway.too_large()._replace(reason="too_large_hdr"))
        self._head = BatchHead.of(headers, request.path)

    def feed(self, data: bytes) -> None:
        """Keep the piece, within the cap."""
        if self._body.size + len(data) > self._gateway.max_body_bytes:
            self._body.clear()
            self.refuse(self._gateway.too_large())
            return
        self._body.add(data)

    def end(self) -> None:
        """Decode the whole body and count its items."""
        if self._request.answered:
            return
        gateway = self._gateway
        ticket = take_in(
            gateway.queue,
            Caps(gateway.max_body_bytes, gateway.max_items),
            self._head,
            self._body.take(),
            self._emitter,
            self._request.received_at,
            self._decoded,
        )
        if ticket is not None:
            self._request.on_close = ticket.cancel

    def _decoded(self, body: bytes, items: int | Refusal) -> None:
        """Hand the decoded and counted body to the pipeline."""
        self._settle_format(body)
        if isinstance(items, Refusal):
            self.refuse(items)
            return
        batch = self._head.batch(body, self._emitter, self._request.received_at, items, self._body_id(body))
        self._gateway.pipeline.send(batch, self._reply)

    def _body_id(self, body: bytes) -> str:
        head, request = self._head, self._request
        sent = request.headers.get(b"x-body-id")
        if sent is not None and BODY_ID.fullmatch(sent) is not None:
            return sent.decode("ascii")  # the Auth Gateway knows the client
        if self._emitter not in self._gateway.dedup or head.repeatable:
            return ""
        content_type = request.headers.get(b"content-type", b"")
        return body_id("", request.path, content_type, head.scenario_id, head.tenant, body)

    def _settle_format(self, body: bytes) -> None:
        """Note what the body is, if that is not by its type: from now on the sender is answered in that protocol."""
        settled = self._head.settled(body)
        if settled is not self._head:
            self._head = settled
            self._request.encoder = encoder_by_body(self._request, settled.format)

    def abort(self, reason: str) -> None:  # noqa: ARG002 - a BodyConsumer gets the reason
        """The sender vanished or stalled in mid-body."""
        self._body.clear()

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal of the gateway's own, and count it."""
        self._gateway.metrics.rejected(refusal.reason, self._emitter)
        self._gateway.metrics.answered(self._emitter, monotonic() - self._request.received_at)
        self._reply(Reply.of(refusal))

    def _reply(self, reply: Reply) -> None:
        self._request.respond(Response(reply.status, reply.body, headers=reply.headers))
