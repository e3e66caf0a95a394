"""The interface between the HTTP server and an application: requests, body pieces, responses.

Callbacks, not coroutines: on the hot path a request makes no task and no future. Everything here belongs to the event
loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Protocol

from logops_fast.http.head import Head
from logops_fast.http.refusal import Refusal

JSON: Final = b"application/json"

_STATUS_LINES: Final[Mapping[int, bytes]] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_BODILESS: Final = frozenset({204, 304})  # RFC 9110, 6.4.1; 1xx are not final and never come here


class Response:
    """A final answer. ``headers`` are extra fields, lower-case; framing, date and connection are the server's.

    ``lines`` are further fields, complete as they are sent, each with its CRLF: only of text that no one else chose.
    """

    __slots__ = ("body", "close", "content_type", "headers", "lines", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: Sequence[tuple[bytes, bytes]] = (),
        close: bool = False,
        lines: bytes = b"",
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.close = close
        self.lines = lines

    @classmethod
    def of(cls, refusal: Refusal) -> Response:
        """Return the answer that a refusal renders as."""
        return cls(refusal.status, refusal.body(), JSON, refusal.headers())


Encoder = Callable[[Response], Response]
"""Turns an answer in the gateway's own form into one of the protocol that the sender speaks. Must not raise."""


class BodyConsumer(Protocol):
    """Receives a request's body as it arrives. Nothing is called once the request is answered."""

    def feed(self, data: bytes) -> None:
        """The next piece, never empty."""
        ...

    def end(self) -> None:
        """The body is complete."""
        ...

    def abort(self, reason: str) -> None:
        """The body will never be complete; the request is ``closed`` and an answer would go nowhere.

        ``reason`` is ``closed`` (the peer left, or the server stops) or the reason of the refusal that the
        HTTP layer issued on its own: ``bad_request``, ``body_timeout``, ``overloaded``, ``internal_error``.
        """
        ...


class Exchange(Protocol):
    """The connection as a request sees it."""

    def answer(self, request: Request, response: Response) -> None:
        """Write the response."""
        ...

    def take_body(self, request: Request, consumer: BodyConsumer) -> None:
        """Deliver the body."""
        ...

    def is_private(self, request: Request) -> bool:
        """Whether no one between the client and this process could read the request."""
        ...


class Request:
    """One request, passed on as soon as its head is complete. It must be answered exactly once."""

    __slots__ = (
        "_accepted",
        "_exchange",
        "answered",
        "chunked",
        "closed",
        "content_length",
        "encoder",
        "expect_continue",
        "has_body",
        "headers",
        "keep_alive",
        "method",
        "on_close",
        "path",
        "peer",
        "received_at",
        "target",
        "version",
    )

    def __init__(self, head: Head, peer: str, received_at: float, exchange: Exchange) -> None:
        self.method: str = head.method
        """A token as sent; case matters."""
        self.target: bytes = head.target
        """Path and query exactly as sent."""
        self.path: bytes = head.path
        """The target up to its ``?``."""
        self.headers: dict[bytes, bytes] = head.headers
        """Lower-case names."""
        self.version: str = head.version
        """``1.0`` or ``1.1``."""
        self.keep_alive: bool = head.keep_alive
        self.expect_continue: bool = head.expect_continue
        self.chunked: bool = head.chunked
        self.content_length: int | None = head.content_length
        self.has_body: bool = head.chunked or bool(head.content_length)
        """A body is announced: Content-Length above 0, or chunked (which may still turn out empty)."""
        self.peer: str = peer
        """The peer's IP address as text, an IPv4 one in its own form even on an IPv6 socket."""
        self.received_at: float = received_at
        """The server's clock (``loop.time()``) when the first byte of the request was read."""
        self.answered: bool = False
        self.closed: bool = False
        """The peer is gone, or the HTTP layer has ended the request itself: an answer would go nowhere."""
        self.on_close: Callable[[], None] | None = None
        """Called once if the request becomes ``closed`` before it is answered, after the consumer's ``abort``."""
        self.encoder: Encoder | None = None
        """Encodes every answer to this request, the HTTP layer's own refusals included; None: they are sent as made."""
        self._exchange = exchange
        self._accepted = False

    @property
    def private(self) -> bool:
        """Whether no one on the way could read the request: over TLS, from loopback, or a trusted proxy says so."""
        return self._exchange.is_private(self)

    def respond(self, response: Response) -> int:
        """Answer; return the status that was sent, which the request's encoder may have changed.

        Before the end of an announced body the answer says ``Connection: close`` and is the last one. Nothing is sent
        once the request is ``closed``.

        Raises:
            RuntimeError: the request has been answered before.
            ValueError: a header value would break out of its line; nothing is sent and the request is still open.
        """
        if self.answered:
            raise RuntimeError("the request has been answered before")
        if self.encoder is not None:
            response = self.encoder(response)
        if self.closed:
            self.answered = True
        else:
            self._exchange.answer(self, response)
        return response.status

    def accept_body(self, consumer: BodyConsumer) -> None:
        """Deliver the body to ``consumer``, after ``100 Continue`` if the client waits for it.

        Within ``Application.handle`` the pieces are delivered once ``handle`` has returned; later, those that have
        already arrived are delivered inside this call. Without a body ``end()`` is called at once. Does nothing once
        the request is answered or closed.

        Raises:
            RuntimeError: the body has been accepted before.
        """
        if self._accepted:
            raise RuntimeError("the body has been accepted before")
        self._accepted = True
        if self.answered or self.closed:
            return
        if self.has_body:
            self._exchange.take_body(self, consumer)
        else:
            consumer.end()


class Application(Protocol):
    """What serves the requests."""

    def handle(self, request: Request) -> None:
        """Answer, now or later. Must not raise; if it does, 500 ``internal_error`` is the last answer."""
        ...

    def refused(self, refusal: Refusal, peer: str) -> None:
        """Called for each refusal the HTTP layer issued on its own, so that it can be counted. Must not raise."""
        ...


def render(response: Response, date: bytes, *, head_only: bool, version: str, close: bool) -> bytes:
    """Return the response's bytes, in one piece.

    ``date`` is the complete field line; ``head_only`` omits the body (HEAD).

    Raises:
        ValueError: a header holds a line break or a NUL.
    """
    status = response.status
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    body = response.body
    extra = response.lines
    if response.headers:
        more = b"".join([b"%b: %b\r\n" % field for field in response.headers])
        # An application's value that ends its line would write further fields, or a whole second response.
        if more.count(b"\n") != len(response.headers) or more.count(b"\r") != len(response.headers) or b"\0" in more:
            raise ValueError("a response header holds a line break or a NUL")
        extra = more + extra
    if close:
        extra += b"connection: close\r\n"
    elif version == "1.0":
        extra += b"connection: keep-alive\r\n"
    if status in _BODILESS:
        return b"%b%b%b\r\n" % (line, date, extra)
    return b"".join(
        [
            line,
            date,
            b"content-type: ",
            response.content_type,
            b"\r\ncontent-length: ",
            str(len(body)).encode(),
            b"\r\n",
            extra,
            b"\r\n",
            b"" if head_only else body,
        ]
    )


def render_refusal(refusal: Refusal, request: Request | None, date: bytes) -> bytes:
    """Return the bytes of a last answer that the HTTP layer gives itself: to a request, or to what is none yet."""
    response = Response.of(refusal)
    if request is not None and request.encoder is not None:
        response = request.encoder(response)
    head_only = request is not None and request.method == "HEAD"
    return render(response, date, head_only=head_only, version="1.1", close=True)
