"""The Ingest Gateway's own door, for a split deployment: POST /v1/logs from the Auth Gateway.

It trusts its network: who sent a batch was proved one hop before, and arrives as X-Emitter.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

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
from logops_fast.formats.content_encoding import EncodingError
from logops_fast.formats.item_count import at_most
from logops_fast.formats.personal_names import personal_data_in_name
from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.metrics import IngestMetrics

BAD_EMITTER: Final = Refusal(400, "bad_emitter", "X-Emitter must be 1 to 64 characters of A-Z a-z 0-9 . _ -")


class IngestGateway:
    """Reads a request's body, within the cap, and hands it to the pipeline."""

    def __init__(self, *, pipeline: Downstream, metrics: IngestMetrics, max_body_bytes: int, max_items: int) -> None:
        self.pipeline = pipeline
        self.metrics = metrics
        self.max_body_bytes = max_body_bytes
        self.max_items = max_items

    def handle(self, request: Request) -> None:
        """Take one POST; it is answered through ``request.respond``, perhaps later."""
        exchange = _Exchange(self, request)
        try:
            exchange.check_headers()
        except BatchHeaderError as bad:
            exchange.refuse(bad.refusal)
        else:
            request.accept_body(exchange)

    def too_large(self) -> Refusal:
        """The refusal of a body over the cap."""
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
        """What the headers alone can tell. Raises BatchHeaderError with the refusal."""
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
        self._head = BatchHead.of(headers)

    def feed(self, data: bytes) -> None:
        """Keep the piece, within the cap."""
        if self._body.size + len(data) > self._gateway.max_body_bytes:
            self._body.clear()
            self.refuse(self._gateway.too_large())
            return
        self._body.add(data)

    def end(self) -> None:
        """The body is whole: on to the pipeline."""
        if self._request.answered:
            return
        try:
            body = self._head.decode(self._body.take(), self._gateway.max_body_bytes)
        except EncodingError as bad:
            self.refuse(bad.refusal)
            return
        items = at_most(self._head.format, body, self._gateway.max_items)
        if isinstance(items, Refusal):
            self.refuse(items)
            return
        self._gateway.pipeline.send(self._head.batch(body, self._emitter, self._request.received_at), self._reply)

    def abort(self, reason: str) -> None:  # noqa: ARG002 - a BodyConsumer is told why
        """The sender vanished or stalled in mid-body."""
        self._body.clear()

    def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal of this door's own, and count it."""
        self._gateway.metrics.rejected(refusal.reason, self._emitter)
        self._gateway.metrics.answered(self._emitter, monotonic() - self._request.received_at)
        self._reply(Reply.of(refusal))

    def _reply(self, reply: Reply) -> None:
        self._request.respond(Response(reply.status, reply.body, headers=reply.headers))
