"""One connection of the server: an ``asyncio.Protocol`` over the sans-I/O head and body parsers.

Everything that affects a connection's state is in this module; ``connection_state`` has the table of the states.
Requests are handled strictly one after another: the next head is not parsed before the last request is answered, so
answers keep their order without a queue. Bytes that arrive meanwhile are buffered, and above a high-water mark the peer
is not read from.

What the peer receives depends on the bytes it sent, not on how they were split or how fast they arrived. So a body
counts as unread until its end has been delivered, even if it is in the buffer.

A deadline is one number per connection, which the server compares about once a second. A timer per request would cost
more than parsing its head.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import Final, cast

from logops_fast.http.admission import Admission
from logops_fast.http.body import BodyError
from logops_fast.http.body_delivery import OVERLOADED
from logops_fast.http.connection_state import BODY, CLOSED, DISCARD, HEAD, IDLE, WAIT, State
from logops_fast.http.context import ServerContext
from logops_fast.http.current_request import CurrentRequest
from logops_fast.http.exchange import BodyConsumer, Request, Response, render, render_refusal
from logops_fast.http.flow_control import READ_HIGH_WATER, READ_IN_A_TURN, FlowControl
from logops_fast.http.head import Head, HeadError, read_head, scan_head
from logops_fast.http.lingering import LINGER, LINGER_BYTES, begin_lingering
from logops_fast.http.receive_buffer import ReceiveBuffer
from logops_fast.http.refusal import Refusal
from logops_fast.http.tls_accept import peer_of

_WRITE_TIMEOUT: Final = 30.0  # seconds the peer has to read an answer before the connection is aborted
_DRAINING_TIMEOUT: Final = 1.0  # seconds a connection accepted while the server drains has for its first byte
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_SLOW_HEAD: Final = Refusal(408, "header_timeout", "The request head did not arrive in time.")
_SLOW_BODY: Final = Refusal(408, "body_timeout", "The request body arrives too slowly.")
_INTERNAL: Final = Refusal(500, "internal_error", "The server failed on this request; its log has the reason.")

_logger: Final = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One client's connection; ``HttpServer`` makes one for each that it accepts.

    ``on_open`` is called with the connection once it has its transport, and returns None or the refusal with which it
    is turned away; ``on_close`` once it is gone.
    """

    __slots__ = (
        "_arrived", "_body", "_buffer", "_context", "_current", "_discarded", "_eof", "_flow", "_limits", "_on_close",
        "_on_open", "_running", "_state", "_tls", "_transport", "admission", "deadline", "peer",
    )  # fmt: skip

    def __init__(
        self,
        context: ServerContext,
        on_open: Callable[[Connection], Refusal | None],
        on_close: Callable[[Connection], None],
    ) -> None:
        self._context = context
        self._limits = context.limits
        self._on_open = on_open
        self._on_close = on_close
        self._transport = cast(asyncio.Transport, None)  # set by connection_made, before any other call
        self._flow = FlowControl(context.call_soon)
        self._buffer = ReceiveBuffer(context.budget)
        self._current = CurrentRequest(context.budget)
        self._body = self._current.body
        self._tls = False
        self._state = IDLE
        self._running = False  # _run is on the stack
        self._eof = False  # the peer has sent all it will
        self._arrived = 0.0  # when the first of the buffered bytes was read
        self._discarded = 0  # bytes dropped since the last answer
        self.admission = Admission(context.budget, context.proxies)
        self.peer = ""
        """The peer's IP address as text; an IPv4 address in its own form even on an IPv6 socket."""
        self.deadline = inf
        """When ``expire`` is due, by the server's clock."""

    def __repr__(self) -> str:
        return f"<Connection {self.peer} {self._state.name} {self._current!r}, {self._buffer.size} buffered>"

    @property
    def state(self) -> State:
        """The current state, for tests and debuggers."""
        return self._state

    @property
    def busy(self) -> bool:
        """Whether a request is unanswered, or an answer not completely written."""
        return self._current.request is not None or self._transport.get_write_buffer_size() > 0

    # -- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, or turn it away."""
        self._transport = cast(asyncio.Transport, transport)
        self._flow.attach(self._transport)
        address = transport.get_extra_info("peername")
        self.peer = peer_of(address)
        self._tls = transport.get_extra_info("ssl_object") is not None
        # While the server drains, a connection from the accept queue may still send its request, but at once.
        timeout = _DRAINING_TIMEOUT if self._context.draining else self._limits.first_byte_timeout
        self.deadline = self._context.clock() + timeout
        refusal = self._on_open(self)
        if refusal is None:
            self.admission.count(self.peer)
        elif self._state is not CLOSED:
            self._refuse(refusal)

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the peer."""
        state = self._state
        if state is DISCARD:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self._close()
            return
        if state is CLOSED:
            return
        if len(data) >= READ_IN_A_TURN:
            self._flow.rest()
        buffer = self._buffer
        if not buffer.size or state is BODY:
            self._arrived = self._context.clock()
        if buffer.size:
            data = buffer.with_next(data)
        if state is WAIT or (self._flow.writing_paused and state is not BODY):
            self._hold(data)
        else:
            self._run(data)

    def eof_received(self) -> bool:
        """Note that the peer sends no more. Return True to keep the connection for an answer that is still due."""
        self._eof = True
        # A TLS transport cannot be half open: asyncio closes it whatever is returned, and warns of True.
        due = self._state is WAIT or (self._flow.writing_paused and self._buffer.size > 0)
        if due and not self._tls:
            return True
        self._close()
        return False

    def pause_writing(self) -> None:
        """Start nothing new while the peer does not read its answers, and give it a deadline."""
        self._flow.writing_paused = True
        self._arm(0)

    def resume_writing(self) -> None:
        """Continue: the peer reads again."""
        self._flow.writing_paused = False
        state = self._state
        if state is IDLE or state is HEAD:
            self._arm(self._limits.idle_timeout if state is IDLE else self._limits.header_timeout)
            self._continue()
        elif state is DISCARD:
            self._arm(LINGER)
        elif state is not CLOSED:
            self.deadline = inf
            if state is BODY:
                self._arm_body()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Release everything, and notify whoever still works on a request of this connection."""
        self._state = CLOSED
        self.deadline = inf
        self.admission.give_up()
        self._buffer.clear()
        self._current.abandon("closed")
        self._on_close(self)

    # -- called by the server

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed; what that means depends on what was awaited."""
        state = self._state
        if self._flow.writing_paused or state is DISCARD or state is CLOSED:
            self.abort()
        elif state is IDLE:
            self._close()
        elif state is HEAD:
            self._refuse(_SLOW_HEAD)
        elif state is BODY:
            self.deadline = self._body.next_deadline(self.deadline, now, self._limits)
            if self.deadline <= now:
                self._refuse(_SLOW_BODY)

    def drain(self) -> None:
        """Close now if nothing is in progress, otherwise with the next answer: the server is stopping."""
        if self._state is IDLE and not self._buffer.size:
            self._close()

    def abort(self) -> None:
        """Close the connection without flushing it."""
        self._state = CLOSED
        self.deadline = inf
        self._transport.abort()
        self._current.abandon("closed")

    # -- called by a request (exchange.Exchange)

    def answer(self, request: Request, response: Response) -> None:
        """Write the answer, then continue with the next request or end the connection."""
        if self._transport.is_closing():  # the peer is gone, and connection_lost will follow
            request.answered = request.closed = True
            self._current.forget()
            return
        unread = self._body.unread
        close = unread or response.close or not request.keep_alive or self._context.draining
        payload = render(
            response,
            self._context.date,
            head_only=request.method == "HEAD",
            version=request.version,
            close=close,
        )
        request.answered = True
        self._current.forget()
        if close:
            self._end(payload, unread)
            return
        self._state = IDLE
        self.deadline = self._context.idle_deadline  # set before the write, which may pause writing
        self._transport.write(payload)
        if not self._running:
            self._continue()

    def take_body(self, request: Request, consumer: BodyConsumer) -> None:
        """Deliver the body to ``consumer``, now and as it arrives."""
        if request.expect_continue and not self._transport.is_closing():
            # Sent even if the body is here already: leaving it out then would make the answer depend on timing.
            self._transport.write(_CONTINUE)
        self._body.consumer = consumer
        self._state = BODY
        if not self._running:
            self._continue()

    def is_private(self, request: Request) -> bool:
        """Whether no one on the way could read the request."""
        return self._context.proxies.private(self.peer, request.peer, request.headers, self._tls)

    # -- the loop

    def _run(self, data: bytes) -> None:
        """Parse heads and deliver bodies from ``data`` until it is used up or something has to happen first."""
        pos = 0
        searched = self._buffer.take()  # what is left of the buffered bytes is charged again below
        self._running = True
        while True:
            state = self._state
            if state is BODY:
                pos = self._deliver(data, pos)
                if self._state is BODY:
                    break
            elif (state is IDLE or state is HEAD) and pos < len(data) and not self._flow.writing_paused:
                end = data.find(b"\r\n\r\n", max(pos, searched - 3)) + 4
                if end < 4:
                    self._await_head(data, pos)
                    break
                try:
                    head = read_head(self._context.plain_reader, data, pos, end, self._limits, self._context.single)
                except HeadError as error:
                    self._refuse(error.refusal)
                    break
                pos = end
                self._begin(head)
            else:
                break
        self._running = False
        state = self._state
        if state is DISCARD or state is CLOSED:
            return
        if self._eof and state is not WAIT and not self._flow.writing_paused:
            self._close()  # whatever is missing will never arrive
            return
        if state is BODY and self.deadline == inf:
            self._arm_body()
        if pos < len(data) or self._flow.reading_paused:
            self._hold(data[pos:] if pos else data)

    def _continue(self) -> None:
        """Parse what is buffered."""
        if self._buffer.size or self._eof or self._flow.reading_paused or self._state is BODY:
            self._run(self._buffer.with_next(b""))

    def _await_head(self, data: bytes, pos: int) -> None:
        refusal = scan_head(data[pos:] if pos else data, self._limits)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._buffer.searched = len(data) - pos
        if self._state is not HEAD:
            self._state = HEAD
            self._arm(self._limits.header_timeout)

    def _begin(self, head: Head) -> None:
        """Pass a request to the application."""
        context = self._context
        client = context.proxies.client(self.peer, head.headers)
        request = Request(head, client, self._arrived, self)
        if context.encoder_of is not None:
            request.encoder = context.encoder_of(request)
        self._current.begin(request)
        self._state = WAIT
        self.deadline = inf
        if request.has_body and not context.budget.fits(1):
            self._refuse(OVERLOADED)
            return
        try:
            context.app.handle(request)
        except Exception:
            self._application_failed()

    def _deliver(self, data: bytes, pos: int) -> int:
        """Deliver what there is of the body from ``data[pos:]``; return the offset after it."""
        body = self._body
        try:
            pos = body.deliver(cast(Request, self._current.request).content_length, data, pos)
            if body.complete:
                self._state = WAIT
                self.deadline = inf
                body.finish().end()
        except BodyError as error:
            if self._state is BODY:
                self._refuse(error.refusal)
        except Exception:
            self._application_failed()
        return pos

    def _hold(self, rest: bytes) -> None:
        """Buffer what cannot be used yet, within the budget; pause reading above the high-water mark."""
        flow = self._flow
        if not rest:
            flow.resume_reading()
            return
        buffer = self._buffer
        full = not buffer.fits(rest)
        if full and (self._state is not WAIT or self._body.unread):
            self._refuse(OVERLOADED)
            return
        buffer.replace(rest)
        blocked = self._state is WAIT or (flow.writing_paused and self._state is not BODY)
        if blocked and (full or buffer.size > READ_HIGH_WATER):
            flow.pause_reading()
        else:
            flow.resume_reading()

    # -- endings

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in the application's place, and end the connection."""
        request = self._current.request
        payload = render_refusal(refusal, request, self._context.date)
        peer = self.peer if request is None else request.peer
        self._current.abandon(refusal.reason)
        self._end(payload, unread=True)
        self._context.app.refused(refusal, peer)

    def _application_failed(self) -> None:
        _logger.exception("the application failed on a request")
        if self._current.request is not None:
            self._refuse(_INTERNAL)
        elif self._state is IDLE:  # it had answered before it failed
            self._end(b"", unread=True)

    def _end(self, last: bytes, unread: bool) -> None:
        """Write the last bytes and close in such a way that the peer can read them even while it still sends."""
        self._state = DISCARD
        self._buffer.clear()
        transport = self._transport
        if transport.is_closing():
            return
        if last:
            transport.write(last)
        if not self._eof and begin_lingering(transport, unread):
            self._arm(LINGER)
        else:
            self._close()
        self._flow.resume_reading()

    def _close(self) -> None:
        """Close once all is written; the deadline is for a peer that does not read."""
        self._state = CLOSED
        self.deadline = self._context.clock() + _WRITE_TIMEOUT
        self._transport.close()
        self._buffer.clear()
        self._current.abandon("closed")

    # -- deadlines

    def _arm(self, seconds: float) -> None:
        self.deadline = self._context.clock() + (_WRITE_TIMEOUT if self._flow.writing_paused else seconds)

    def _arm_body(self) -> None:
        self._body.start_deadline()
        self._arm(self._limits.body_grace)
