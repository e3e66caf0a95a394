"""One connection of the server: an ``asyncio.Protocol`` over the sans-I/O head and body parsers.

Everything that affects a connection's state lives here. Requests are taken strictly one after another: the next head
is not looked at before the last request is answered, so answers keep their order without a queue. Bytes that come
meanwhile wait, and past a mark the peer is not read from.

What the peer gets depends on the bytes it sent, not on how they were split or how fast they came. So a request is
final at fixed points: a body counts as unread until its end has been handed over, even if it is in the buffer; and an
answer given before that point always ends the connection.

Deadlines are a number per connection that the server compares about once a second. A timer per request would cost
more than the request's head.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Final, Protocol, cast

from logops_fast.http.body import BodyDecoder, BodyError, ChunkedBody, FixedBody
from logops_fast.http.budget import Budget
from logops_fast.http.exchange import Application, BodyConsumer, Request, Response, render
from logops_fast.http.head import Head, HeadError, parse_head, scan_head
from logops_fast.http.limits import HttpLimits
from logops_fast.http.refusal import Refusal

_HIGH_WATER: Final = 65_536  # bytes waiting behind an unanswered request; reading pauses above it
_WRITE_HIGH_WATER: Final = 65_536  # bytes the peer has not read; nothing new is begun above it
_WRITE_TIMEOUT: Final = 30.0  # seconds the peer has to read an answer before it is cut off
# After a last answer what still comes is read and dropped for a while: closing a socket with unread bytes in it makes
# the kernel send RST, on which the client may lose the answer (RFC 9112, 9.6). Enough for a body of usual size.
_LINGER: Final = 3.0  # seconds
_LINGER_BYTES: Final = 8_388_608
_LAST_CALL: Final = 1.0  # seconds
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_OVERLOADED: Final = Refusal(503, "overloaded", "The server holds as many bytes as it may: try again soon.", 1)
_CROWDED: Final = Refusal(503, "overloaded", "The server has as many connections as it may: try again soon.", 1)
_SLOW_HEAD: Final = Refusal(408, "header_timeout", "The request head did not arrive in time.")
_SLOW_BODY: Final = Refusal(408, "body_timeout", "The request body arrives too slowly.")
_INTERNAL: Final = Refusal(500, "internal_error", "The server failed on this request; its log has the reason.")

_log: Final = logging.getLogger(__name__)


class _State(Enum):
    IDLE = 0  # between requests, nothing of the next one is here
    HEAD = 1  # part of a head is here
    WAIT = 2  # a request is the application's: its body is not accepted yet, or has ended
    BODY = 3  # a body flows to its consumer
    DISCARD = 4  # the last answer is given; what still comes is dropped
    CLOSED = 5  # being closed, or gone


# Bound once: an Enum member costs two look-ups each time it is named, and the loop below names them for every request.
_IDLE: Final = _State.IDLE
_HEAD: Final = _State.HEAD
_WAIT: Final = _State.WAIT
_BODY: Final = _State.BODY
_DISCARD: Final = _State.DISCARD
_CLOSED: Final = _State.CLOSED


class Host(Protocol):
    """What a connection needs of the server it belongs to."""

    @property
    def app(self) -> Application:
        """Who answers."""

    @property
    def limits(self) -> HttpLimits:
        """Sizes and times."""

    @property
    def budget(self) -> Budget:
        """What the process holds in all."""

    @property
    def single(self) -> frozenset[bytes]:
        """Lower-case names of fields that must not come twice."""

    @property
    def clock(self) -> Callable[[], float]:
        """Monotonic seconds."""

    @property
    def draining(self) -> bool:
        """Every answer from now on ends its connection."""

    @property
    def date(self) -> bytes:
        """The Date field, CRLF included."""

    @property
    def idle_deadline(self) -> float:
        """When a connection that becomes idle now has been so for too long."""

    def opened(self, connection: Connection) -> bool:
        """A connection is there; whether it may stay."""

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""


class Connection(asyncio.Protocol):
    """One client's connection; made by ``HttpServer`` for each that is accepted."""

    __slots__ = (
        "_app",
        "_arrived",
        "_budget",
        "_charged",
        "_clock",
        "_consumer",
        "_counted",
        "_decoder",
        "_discarded",
        "_eof",
        "_held",
        "_limits",
        "_peer",
        "_progress",
        "_reading_paused",
        "_request",
        "_running",
        "_seen",
        "_server",
        "_state",
        "_tls",
        "_transport",
        "_unread",
        "_waiting",
        "_writing_paused",
        "deadline",
    )

    def __init__(self, server: Host) -> None:
        self._server = server
        self._app = server.app
        self._limits = server.limits
        self._budget = server.budget
        self._clock = server.clock
        self._transport = cast(asyncio.Transport, None)  # set by connection_made, before any other call
        self._peer = ""
        self._tls = False
        self._state = _IDLE
        self._waiting = b""  # bytes that were read and not used yet
        self._held = 0  # how many they are; all in the budget
        self._seen = 0  # how many of them are known to hold no end of a head
        self._request: Request | None = None  # the one that is not answered yet
        self._consumer: BodyConsumer | None = None
        self._unread = False  # a body is announced, and its end has not been handed over
        self._decoder: BodyDecoder | None = None  # of a body that flows in pieces
        self._charged = 0  # bytes of the request's body in the budget
        self._progress = 0  # of them, when the body's deadline was last set
        self._counted = False  # whether the budget knows this connection
        self._running = False
        self._eof = False
        self._reading_paused = False
        self._writing_paused = False
        self._arrived = 0.0  # when the first of the waiting bytes came
        self._discarded = 0
        self.deadline = inf
        """When ``expire`` is due, by the server's clock."""

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts the connection, or turns it away."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            self._peer = str(address[0]).removeprefix("::ffff:")
        self._tls = transport.get_extra_info("ssl_object") is not None
        # While the server drains, a connection from the queue may still bring its request, but at once.
        self.deadline = self._clock() + (_LAST_CALL if self._server.draining else self._limits.idle_timeout)
        if self._server.opened(self):
            self._budget.connections += 1
            self._counted = True
        elif self._state is not _CLOSED:
            self._refuse(_CROWDED)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        state = self._state
        if state is _DISCARD:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self._close()
            return
        if state is _CLOSED:
            return
        if not self._held or state is _BODY:
            self._arrived = self._clock()
        if self._held:
            data = self._waiting + data
        if state is _WAIT or (self._writing_paused and state is not _BODY):
            self._hold(data)
        else:
            self._run(data)

    def eof_received(self) -> bool:
        """The peer sends no more. True keeps the connection for an answer that is still due."""
        self._eof = True
        # A TLS transport cannot stay half open: asyncio closes it whatever is returned, and warns of True.
        due = self._state is _WAIT or (self._writing_paused and self._held > 0)
        if due and not self._tls:
            return True
        self._close()
        return False

    def pause_writing(self) -> None:
        """The peer does not read its answers: nothing new is begun, and it has a deadline."""
        self._writing_paused = True
        self._arm(0)

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._writing_paused = False
        state = self._state
        if state is _IDLE or state is _HEAD:
            self._arm(self._limits.idle_timeout if state is _IDLE else self._limits.header_timeout)
            self._go_on()
        elif state is _DISCARD:
            self._arm(_LINGER)
        elif state is not _CLOSED:
            self.deadline = inf
            if state is _BODY:
                self._arm_body()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """The connection is gone: whoever still works for it is told."""
        self._state = _CLOSED
        self.deadline = inf
        if self._counted:
            self._budget.connections -= 1
        self._drop_waiting()
        self._abandon("closed")
        self._server.closed(self)

    # -- what the server calls

    @property
    def busy(self) -> bool:
        """A request is unanswered, or an answer not wholly written."""
        return self._request is not None or self._transport.get_write_buffer_size() > 0

    def expire(self, now: float) -> None:
        """The deadline has passed: what that means depends on what was awaited."""
        state = self._state
        if self._writing_paused or state is _DISCARD or state is _CLOSED:
            self.abort()
        elif state is _IDLE:
            self._close()
        elif state is _HEAD:
            self._refuse(_SLOW_HEAD)
        elif state is _BODY:
            # Each second of arrears can be paid with the bytes of a second, but nothing can be paid in advance: else
            # a client that sent much at once could hold it, and our memory, for hours.
            limits = self._limits
            brought = self._charged - self._progress
            self._progress = self._charged
            self.deadline = min(self.deadline + brought / limits.body_min_rate, now + limits.body_grace)
            if self.deadline <= now:
                self._refuse(_SLOW_BODY)

    def drain(self) -> None:
        """The server is stopping: closes at once if nothing is under way, else with the next answer."""
        if self._state is _IDLE and not self._held:
            self._close()

    def abort(self) -> None:
        """Cuts the connection."""
        self._state = _CLOSED
        self.deadline = inf
        self._transport.abort()
        self._abandon("closed")

    # -- what a request calls

    def answer(self, request: Request, response: Response) -> None:
        """Writes the answer, then goes on to the next request or ends the connection."""
        if self._transport.is_closing():  # the peer is gone, and connection_lost is on its way
            request.answered = request.closed = True
            self._forget_request()
            return
        unread = self._unread
        close = unread or response.close or not request.keep_alive or self._server.draining
        payload = render(
            response,
            self._server.date,
            head_only=request.method == "HEAD",
            version=request.version,
            close=close,
        )
        request.answered = True
        self._forget_request()
        if close:
            self._end(payload, unread)
            return
        self._state = _IDLE
        self.deadline = self._server.idle_deadline  # in front of the write, which may pause writing
        self._transport.write(payload)
        if not self._running:
            self._go_on()

    def take_body(self, request: Request, consumer: BodyConsumer) -> None:
        """The application wants the body."""
        if request.expect_continue and not self._transport.is_closing():
            # Sent even if the body is here already: leaving it out then would make the answer depend on timing.
            self._transport.write(_CONTINUE)
        self._consumer = consumer
        self._state = _BODY
        if not self._running:
            self._go_on()

    # -- the loop

    def _run(self, data: bytes) -> None:
        """Takes heads and bodies off ``data`` until it is used up or somebody else has to act first."""
        pos = 0
        seen, self._seen = self._seen, 0
        if self._held:
            self._drop_waiting()  # what is left of them is counted again below
        self._running = True
        while True:
            state = self._state
            if state is _BODY:
                pos = self._feed(data, pos)
                if self._state is _BODY:
                    break
            elif (state is _IDLE or state is _HEAD) and pos < len(data) and not self._writing_paused:
                end = data.find(b"\r\n\r\n", max(pos, seen - 3)) + 4
                if end < 4:
                    self._await_head(data, pos)
                    break
                try:
                    head = parse_head(data[pos:end], self._limits, self._server.single)
                except HeadError as error:
                    self._refuse(error.refusal)
                    break
                pos = end
                self._begin(head)
            else:
                break
        self._running = False
        state = self._state
        if state is _DISCARD or state is _CLOSED:
            return
        if self._eof and state is not _WAIT and not self._writing_paused:
            self._close()  # whatever is missing will never come
            return
        if state is _BODY and self.deadline == inf:
            self._arm_body()
        if pos < len(data) or self._reading_paused:
            self._hold(data[pos:] if pos else data)

    def _go_on(self) -> None:
        """Takes up what has been waiting."""
        if self._held or self._eof or self._reading_paused or self._state is _BODY:
            self._run(self._waiting)

    def _await_head(self, data: bytes, pos: int) -> None:
        refusal = scan_head(data[pos:] if pos else data, self._limits)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._seen = len(data) - pos
        if self._state is not _HEAD:
            self._state = _HEAD
            self._arm(self._limits.header_timeout)

    def _begin(self, head: Head) -> None:
        """Hands a request to the application."""
        request = Request(head, self._peer, self._arrived, self)
        self._request = request
        self._state = _WAIT
        self.deadline = inf
        self._budget.inflight_requests += 1
        if request.has_body:
            self._unread = True
            if not self._budget.fits(1):
                self._refuse(_OVERLOADED)
                return
        try:
            self._app.handle(request)
        except Exception:
            self._application_failed()

    def _feed(self, data: bytes, pos: int) -> int:
        """Gives the consumer what there is of its body; returns the offset behind it."""
        decoder = self._decoder
        try:
            if decoder is None:
                length = cast(Request, self._request).content_length
                if length is not None and length <= len(data) - pos:  # it is all here: no need of a decoder
                    pos += length
                    self._piece(data[pos - length : pos])
                    done = True
                else:
                    self._decoder = decoder = ChunkedBody() if length is None else FixedBody(length)
            if decoder is not None:
                pos = decoder.feed(data, pos, self._piece)
                done = decoder.done
            # The consumer may have answered on the last piece: then the body has not ended for it.
            if done and self._state is _BODY:
                self._decoder = None
                self._unread = False
                self._state = _WAIT
                self.deadline = inf
                consumer = cast(BodyConsumer, self._consumer)
                self._consumer = None
                consumer.end()
        except BodyError as error:
            if self._state is _BODY:
                self._refuse(error.refusal)
        except Exception:
            self._application_failed()
        return pos

    def _piece(self, data: bytes) -> None:
        budget = self._budget
        size = len(data)
        if budget.inflight_bytes + size > budget.max_inflight_bytes:
            self._refuse(_OVERLOADED)
            return
        budget.inflight_bytes += size
        self._charged += size
        cast(BodyConsumer, self._consumer).feed(data)

    def _hold(self, rest: bytes) -> None:
        """Keeps what cannot be used yet, within the budget; pauses reading past the mark."""
        if not rest:
            if self._reading_paused:
                self._resume_reading()
            return
        more = len(rest) - self._held
        full = more > 0 and not self._budget.fits(more)
        if full and (self._state is not _WAIT or self._unread):
            self._refuse(_OVERLOADED)
            return
        self._budget.inflight_bytes += more
        self._held += more
        self._waiting = rest
        stuck = self._state is _WAIT or (self._writing_paused and self._state is not _BODY)
        if stuck and (full or self._held > _HIGH_WATER):
            if not self._reading_paused:
                self._reading_paused = True
                self._transport.pause_reading()
        elif self._reading_paused:
            self._resume_reading()

    # -- endings

    def _refuse(self, refusal: Refusal) -> None:
        """Answers in the application's place, and ends the connection."""
        request = self._request
        response = Response.of(refusal)
        payload = render(
            response,
            self._server.date,
            head_only=request is not None and request.method == "HEAD",
            version="1.1",
            close=True,
        )
        self._abandon(refusal.reason)
        self._end(payload, unread=True)
        self._app.refused(refusal, self._peer)

    def _application_failed(self) -> None:
        _log.exception("the application failed on a request")
        if self._request is not None:
            self._refuse(_INTERNAL)
        elif self._state is _IDLE:  # it had answered before it failed
            self._end(b"", unread=True)

    def _end(self, last: bytes, unread: bool) -> None:
        """Writes the last bytes and closes, so that the peer can read them even while it still sends."""
        self._state = _DISCARD
        self._drop_waiting()
        transport = self._transport
        if transport.is_closing():
            return
        if last:
            transport.write(last)
        if self._eof:
            self._close()
        elif transport.can_write_eof():
            transport.write_eof()
            self._arm(_LINGER)
        elif unread:
            self._arm(_LINGER)  # TLS has no half-close: the client knows by `connection: close`
        else:
            self._close()
        if self._reading_paused:
            self._resume_reading()

    def _close(self) -> None:
        """Closes once all is written; the deadline is for a peer that does not read."""
        self._state = _CLOSED
        self.deadline = self._clock() + _WRITE_TIMEOUT
        self._transport.close()
        self._drop_waiting()
        self._abandon("closed")

    def _abandon(self, reason: str) -> None:
        """Tells the application that its request is over without an answer of its own."""
        request, consumer = self._request, self._consumer
        if request is None:
            return
        request.closed = True
        self._forget_request()
        try:
            if consumer is not None:
                consumer.abort(reason)
            if request.on_close is not None:
                request.on_close()
        except Exception:
            _log.exception("the application failed on a request that ended early")

    def _forget_request(self) -> None:
        self._request = None
        self._consumer = None
        self._decoder = None
        self._unread = False
        self._budget.inflight_requests -= 1
        self._budget.inflight_bytes -= self._charged
        self._charged = 0
        self._progress = 0

    def _drop_waiting(self) -> None:
        if self._held:
            self._budget.inflight_bytes -= self._held
            self._held = 0
            self._waiting = b""

    def _resume_reading(self) -> None:
        self._reading_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _arm(self, seconds: float) -> None:
        self.deadline = self._clock() + (_WRITE_TIMEOUT if self._writing_paused else seconds)

    def _arm_body(self) -> None:
        self._progress = self._charged
        self._arm(self._limits.body_grace)
