"""Forwards batches to a separate Ingest Gateway: HTTP over pooled connections, with retries, a deadline and breakers.

Every try of a batch carries the same X-Batch-Id, so a try whose answer was lost may be repeated: what was stored is
answered again, not stored again. Only what may succeed a moment later is tried again: a connection that failed, 502,
503, 504, and a batch that is still being stored (``batch_in_progress``, which does not count against the downstream).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final, Literal, Protocol
from urllib.parse import quote

from logops_fast.authgw.circuit_breaker import Admission, BreakerState, CircuitBreaker, SenderBreakers
from logops_fast.authgw.retry import RetryBudget
from logops_fast.backoff import Backoff
from logops_fast.formats.answer import OWN_FORM, counts_of, reason_of, retry_after_of
from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.http.refusal import Refusal
from logops_fast.http.response_reader import ClientError, ClientResponse, ErrorKind, OnResponse

MIN_TRY: Final = 0.02
"""Seconds that must be left for a try: a shorter one would certainly fail, and count against the downstream."""

Outcome = Literal[
    "ok", "refused", "http_5xx", "connect_error", "timeout", "closed", "circuit_open", "budget_exhausted"
]  # fmt: skip
"""The outcome of one try, for ``logops_forward_attempts_total``.

``ok``: 2xx; ``refused``: any other answer below 500; ``http_5xx``: an answer of 500 and up; ``connect_error``: no
connection (or the pool's queue is full); ``timeout``: no connection or no whole answer in time; ``closed``: the
connection ended before a whole answer, or the answer could not be read. Two are tries that were not made:
``circuit_open``: a breaker let none through; ``budget_exhausted``: a retry was due and the budget did not allow it.
"""

_OUTCOMES: Final[dict[ErrorKind, Outcome]] = {
    "connect": "connect_error",
    "pool_full": "connect_error",
    "connect_timeout": "timeout",
    "read_timeout": "timeout",
    "closed": "closed",
    "protocol": "closed",
    "too_large": "closed",
}
_SENTENCES: Final[dict[ErrorKind, str]] = {
    "connect": "no connection to it could be made",
    "pool_full": "too many requests wait for a connection to it",
    "connect_timeout": "no connection to it could be made in time",
    "read_timeout": "it did not answer in time",
    "closed": "it closed the connection before it had answered",
    "protocol": "what it answered is not HTTP/1",
    "too_large": "its answer is too large",
}
_BY_BATCH: Final[frozenset[ErrorKind]] = frozenset({"read_timeout", "closed", "too_large"})
"""Failures that the batch itself may have caused: they count for its emitter first."""

_NOT_BY_BATCH: Final = frozenset({"sink_failed", "state_unavailable", "draining", "circuit_open"})
"""Reasons of the downstream's 503 that no batch causes."""

_CERTAIN: Final = _NOT_BY_BATCH | {"overloaded"}
"""Reasons of the downstream's 503 after which nothing of the batch is stored."""
_CONTENT_TYPES: Final = {
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv",
    Format.PLAIN: "text/plain",
    Format.LOKI: "application/vnd.logops.loki+protobuf",
    Format.LOKI_JSON: "application/vnd.logops.loki+json",
    Format.SYSLOG: "application/vnd.logops.syslog",
    Format.SYSLOG_UDP: "application/vnd.logops.syslog-udp",
    Format.OTLP: "application/x-protobuf",
    Format.OTLP_JSON: "application/vnd.logops.otlp+json",
}
_RETRYABLE: Final = (502, 503, 504)
_IN_PROGRESS: Final = "batch_in_progress"
_FIELD_VALUE: Final = re.compile(rb"[!-~]([ -~]{0,126}[!-~])?")
_PASSED_ON: Final = (b"retry-after", b"x-backpressure-reason")


class Transport(Protocol):
    """Sends one request; implemented by ``HttpPool``."""

    def send(
        self,
        method: bytes,
        target: bytes,
        headers: bytes,
        body: bytes,
        done: OnResponse,
        *,
        timeout: float | None = None,
    ) -> None:
        """Send; ``done`` is called exactly once, after this call. ``timeout`` bounds the whole exchange, in seconds."""


OnAttempt = Callable[[Outcome], None]
OnReply = Callable[[Reply], None]


def _ignore(outcome: Outcome) -> None:
    """Do not count."""


class Forwarder:
    """A ``Downstream`` that posts each batch to ``target`` at the other end of ``pool``.

    ``deadline`` bounds all tries of a batch together, in seconds; ``on_attempt`` is called with every try's
    ``Outcome``. ``call_later`` defaults to the loop's. A forward runs to its end whether or not its client still waits.
    """

    def __init__(
        self,
        pool: Transport,
        breakers: SenderBreakers,
        *,
        target: bytes,
        deadline: float = 10.0,
        max_attempts: int = 3,
        backoff: Backoff | None = None,
        budget: RetryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
        on_attempt: OnAttempt = _ignore,
    ) -> None:
        self.pool: Final = pool
        self.breakers: Final = breakers
        self.target: Final = target
        self.deadline: Final = deadline
        self.max_attempts: Final = max_attempts
        self.backoff: Final = Backoff() if backoff is None else backoff
        self.budget: Final = RetryBudget(clock=clock) if budget is None else budget
        self.clock: Final = clock
        self.call_later: Final = _loop_call_later if call_later is None else call_later
        self.on_attempt: Final = on_attempt
        self._inflight = 0
        self._all_done: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"<Forwarder to {self.target!r}: {self._inflight} in flight, breaker {self.breaker.state.name.lower()}>"

    @property
    def breaker(self) -> CircuitBreaker:
        """The breaker that all emitters have in common."""
        return self.breakers.common

    @property
    def inflight(self) -> int:
        """Batches without a reply yet, those between two tries included."""
        return self._inflight

    @property
    def ready(self) -> bool:
        """False while the breaker is open; half-open counts as ready, or no probe would ever come."""
        return self.breaker.state is not BreakerState.OPEN

    def send(self, batch: Batch, reply: OnReply) -> None:
        """Forward the batch; ``reply`` is called exactly once, inside this call only if a breaker is open."""
        self._inflight += 1
        _Forward(self, batch, reply).attempt()

    def emptied(self) -> asyncio.Event:
        """Return an event that is set once nothing is in flight."""
        event = self._all_done = asyncio.Event()
        if not self._inflight:
            event.set()
        return event

    def ended(self) -> None:
        """Count a batch as answered (called by its forward)."""
        self._inflight -= 1
        if not self._inflight and self._all_done is not None:
            self._all_done.set()


class _Forward:
    """One batch under way: the state between its tries."""

    __slots__ = (
        "_admission", "_attempts", "_body", "_deadline", "_doubtful", "_emitter", "_forwarder", "_headers", "_reply",
    )  # fmt: skip

    def __init__(self, forwarder: Forwarder, batch: Batch, reply: OnReply) -> None:
        self._forwarder = forwarder
        self._reply = reply
        self._body = batch.body
        self._headers = header_lines(batch)
        self._deadline = forwarder.clock() + forwarder.deadline
        self._emitter = batch.emitter
        self._attempts = 0
        self._admission = _NOT_ADMITTED
        self._doubtful = False

    def attempt(self) -> None:
        """Make the next try, if the breakers let it through."""
        forwarder = self._forwarder
        left = self._deadline - forwarder.clock()
        if left <= 0:  # the loop was held up for longer than the wait was meant to take
            self._end(self._out_of_time("the wait before the next try took too long"))
            return
        admission = forwarder.breakers.allow(self._emitter)
        if admission is None:
            forwarder.on_attempt("circuit_open")
            seconds = forwarder.breakers.retry_after(self._emitter)
            self._end(_circuit_open(seconds, own=forwarder.breakers.own_is_open(self._emitter)))
            return
        self._admission = admission
        if not self._attempts:
            forwarder.budget.request()
        self._attempts += 1
        forwarder.pool.send(b"POST", forwarder.target, self._headers, self._body, self._done, timeout=left)

    def _done(self, result: ClientResponse | ClientError) -> None:
        if isinstance(result, ClientError):
            self._failed(result)
        elif 200 <= result.status < 300:
            self._forwarder.breakers.record(self._admission, True)
            self._forwarder.on_attempt("ok")
            self._end(Reply(result.status, result.body, (), _items(result.body)))
        else:
            self._answered(result)

    def _failed(self, error: ClientError) -> None:
        forwarder = self._forwarder
        forwarder.on_attempt(_OUTCOMES[error.kind])
        sentence = _SENTENCES[error.kind]
        if error.kind == "pool_full":
            # This process has more than it can send, whatever the downstream's state; a retry would only add to it.
            forwarder.breakers.withdraw(self._admission)
            self._end(Reply.of(Refusal(503, "overloaded", f"The ingest gateway falls behind: {sentence}.", 1)))
            return
        forwarder.breakers.record(self._admission, False, by_batch=error.kind in _BY_BATCH)
        if error.sent:
            self._doubtful = True
        if error.kind == "too_large":
            self._end(self._out_of_tries(sentence))
        else:
            self._try_again(sentence, None)

    def _answered(self, response: ClientResponse) -> None:
        forwarder = self._forwarder
        status = response.status
        reason = reason_of(response.body)
        in_progress = status in (409, 503) and reason == _IN_PROGRESS
        certain = status < 500 or (status == 503 and reason in _CERTAIN)
        forwarder.breakers.record(
            self._admission, status < 500 or in_progress, by_batch=not (status == 503 and reason in _NOT_BY_BATCH)
        )
        if not certain:
            self._doubtful = True
        forwarder.on_attempt("refused" if status < 500 else "http_5xx")
        sentence = f"it answered {status} ({reason})" if reason else f"it answered {status}"
        if status in _RETRYABLE or in_progress:
            self._try_again(sentence, response)
        elif status < 400:
            self._end(self._out_of_tries(sentence))
        else:
            self._end(_pass_on(response, reason))

    def _try_again(self, failure: str, response: ClientResponse | None) -> None:
        """Schedule the next try, or end if no try, no time or no budget is left for one."""
        forwarder = self._forwarder
        left = self._deadline - forwarder.clock() - MIN_TRY
        if left <= 0:
            self._end(self._out_of_time(failure))
            return
        passed_on = () if response is None else _passed_on(response)
        if self._attempts >= forwarder.max_attempts:
            self._end(self._out_of_tries(failure, passed_on))
            return
        asked = 0 if response is None else retry_after_of(response.headers)
        if response is not None and asked >= left:
            # The downstream has said when, and the client must wait that long.
            self._end(_pass_on(response, reason_of(response.body)))
            return
        # The jitter goes on top: batches refused together would come back together.
        delay = asked + forwarder.backoff.delay(self._attempts)
        if delay >= left:
            self._end(self._out_of_time(failure))
        elif not forwarder.budget.take():
            forwarder.on_attempt("budget_exhausted")
            self._end(self._out_of_tries(f"{failure}, and too many others are being tried again", passed_on))
        else:
            forwarder.call_later(delay, self.attempt)

    def _out_of_tries(self, failure: str, passed_on: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
        tries = "1 try" if self._attempts == 1 else f"{self._attempts} tries"
        detail = f"The ingest gateway did not take the batch in {tries}: {failure}. {_SEND_AGAIN}"
        return Reply(502, Refusal(502, "downstream_error", detail).body(), passed_on)

    def _out_of_time(self, failure: str) -> Reply:
        detail = (
            f"The ingest gateway did not take the batch in {self._forwarder.deadline:g} s: {failure}. {_SEND_AGAIN}"
        )
        return Reply.of(Refusal(504, "downstream_timeout", detail))

    def _end(self, reply: Reply) -> None:
        self._forwarder.ended()
        if self._doubtful:
            reply = Reply(reply.status, reply.body, reply.headers, reply.items, doubtful=True)
        self._reply(reply)


_SEND_AGAIN: Final = "Send it again later, with the same X-Batch-Id."
_NOT_ADMITTED: Final = Admission("", 0, 0)


def header_lines(batch: Batch) -> bytes:
    """Return the header lines of a batch; a value that could end its line is percent-encoded, and so refused."""
    emitter, scenario_id, batch_id = batch.emitter, batch.scenario_id, batch.batch_id
    more = f"x-scope-orgid: {batch.tenant}\r\n" if batch.tenant else ""  # its form was checked
    if batch.body_id:
        more += f"x-body-id: {batch.body_id}\r\n"
    values = emitter + scenario_id + batch_id
    if not (values.isascii() and values.isprintable()):
        emitter, scenario_id, batch_id = quote(emitter), quote(scenario_id), quote(batch_id)
    return (
        f"content-type: {_CONTENT_TYPES[batch.format]}\r\naccept: {OWN_FORM}\r\nx-emitter: {emitter}\r\n"
        f"x-scenario-id: {scenario_id}\r\nx-batch-id: {batch_id}\r\n{more}"
    ).encode("ascii")


def _loop_call_later(delay: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay, callback)


def _circuit_open(seconds: int, *, own: bool) -> Reply:
    detail = f"The ingest gateway has been failing and is left alone for now; try again in {seconds} s."
    if own:
        detail = (
            "Too many batches of this emitter failed at the ingest gateway, while those of others are stored; try "
            f"again in {seconds} s, and look at what is in them."
        )
    return Reply.of(Refusal(503, "circuit_open", detail, seconds))


def _items(body: bytes) -> int | None:
    """Return the events accepted and rejected together, by the Ingest Gateway's summary; None if this is not one."""
    counts = counts_of(body)
    return None if counts is None else sum(counts)


def _passed_on(response: ClientResponse) -> tuple[tuple[bytes, bytes], ...]:
    headers = response.headers
    return tuple((name, headers[name]) for name in _PASSED_ON if _FIELD_VALUE.fullmatch(headers.get(name, b"")))


def _pass_on(response: ClientResponse, reason: str) -> Reply:
    """Return the downstream's own refusal; one without a reason (a proxy's page) is given the usual form."""
    passed_on = _passed_on(response)
    if reason:
        return Reply(response.status, response.body, passed_on)
    detail = f"The ingest gateway, or a proxy before it, answered {response.status} without a reason."
    refusal = Refusal(response.status, "downstream_error", detail)
    named = {name for name, _ in passed_on}
    return Reply(
        response.status, refusal.body(), (*passed_on, *(field for field in refusal.headers() if field[0] not in named))
    )
