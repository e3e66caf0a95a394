"""The lines of one emitter on their way: gathered, charged to its bucket, sent downstream one batch after another.

One batch at a time, so that lines are stored in the order in which they came, and so that what waits for a stalled
sink is bounded. Lines of TCP and TLS wait for their bucket and for the sink, and their connections with them; UDP
cannot be slowed down, so past a bound its lines are dropped and counted.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.syslog.framer import MAX_LINES, Segment
from logops_fast.authgw.syslog.metrics import DropReason, SyslogMetrics, Transport
from logops_fast.authgw.token_bucket import BucketGrant, EmitterBuckets
from logops_fast.backoff import Backoff
from logops_fast.formats.batch import NO_SCENARIO, Batch, Downstream, Reply
from logops_fast.formats.media_type import Format
from logops_fast.formats.syslog_text import joined
from logops_fast.telemetry.logs import RateLimited

GATHER: Final = 0.05
"""Seconds that lines wait for others, at most."""
FULL: Final = 65_536
"""Bytes of lines that wait for no others."""
MAX_BYTES: Final = 1_048_576
"""Bytes of a batch, but for a single line that is longer."""
MAX_UDP_BYTES: Final = 8_388_608
"""Bytes of datagrams that may wait for the sink; more are dropped."""

HIGH_WATER: Final = 33_554_432
"""Bytes of lines that may wait in a worker; above it no connection is read from."""
LOW_WATER: Final = 16_777_216

DEFECT_TRIES: Final = 3
"""Tries of a batch that the gateway itself fails on, before it is divided: down to the message that does it."""

_TOO_LARGE: Final = 413
_READ: Final = frozenset({"no_valid_events", "empty"})  # nothing to store: kept in the rejected file, or blank
_TRY_AGAIN: Final = frozenset({408, 429})

CallLater = Callable[[float, Callable[[], None]], object]
"""Calls back after a delay in seconds: ``loop.call_later``."""


class Source(Protocol):
    """A connection whose lines wait."""

    def released(self, size: int) -> None:
        """Note that ``size`` bytes of its lines wait no longer."""


class Shared:
    """What all lanes of a worker share. ``repeatable``: batches are named, so that a retry is not stored twice."""

    __slots__ = (
        "auth_metrics",
        "backoff",
        "buckets",
        "call_later",
        "downstream",
        "held",
        "metrics",
        "on_held",
        "repeatable",
        "waiting",
        "warnings",
    )

    def __init__(
        self,
        downstream: Downstream,
        buckets: EmitterBuckets,
        metrics: SyslogMetrics,
        auth_metrics: AuthMetrics,
        call_later: CallLater,
        *,
        repeatable: bool,
        backoff: Backoff | None = None,
    ) -> None:
        self.downstream = downstream
        self.buckets = buckets
        self.metrics = metrics
        self.auth_metrics = auth_metrics
        self.call_later = call_later
        self.repeatable = repeatable
        self.backoff = Backoff(0.1, 2.0, jitter=0.5) if backoff is None else backoff
        self.warnings = RateLimited(logging.getLogger(__name__))
        self.waiting = 0
        """Bytes of lines of all lanes that are not stored yet."""
        self.held = False
        """Whether so many wait that nothing more is read."""
        self.on_held: Callable[[bool], None] | None = None
        """Called with ``held`` when it changes."""

    def add(self, size: int) -> None:
        """Count bytes that wait, or (negative) no longer wait."""
        self.waiting += size
        held = self.waiting > (LOW_WATER if self.held else HIGH_WATER)
        if held is not self.held:
            self.held = held
            if self.on_held is not None:
                self.on_held(held)


class Lane:
    """The lines of one emitter over connections, or over UDP. On the event loop's thread alone."""

    __slots__ = (
        "_attempts",
        "_batch",
        "_charged",
        "_gathering",
        "_grant",
        "_most_lines",
        "_queue",
        "_shared",
        "_taken",
        "_udp",
        "bytes",
        "draining",
        "emitter",
        "lines",
    )

    def __init__(self, shared: Shared, emitter: str, *, udp: bool) -> None:
        self._shared = shared
        self._udp = udp
        self._queue: deque[tuple[Segment, Source | None, float]] = deque()
        self._taken: list[tuple[Segment, Source | None, float]] = []  # what the batch in flight was made of
        self._batch: Batch | None = None
        self._grant: BucketGrant | None = None
        self._charged = 0
        self._attempts = 0
        self._most_lines = MAX_LINES  # fewer after a defect
        self._gathering = False
        self.emitter = emitter
        self.lines = 0
        """Lines that wait and are not in flight."""
        self.bytes = 0
        """Bytes of lines that are not stored yet."""
        self.draining = False
        """Whether lines no longer wait for others."""

    def __repr__(self) -> str:
        return f"<Lane {self.emitter} lines={self.lines} bytes={self.bytes} in_flight={self._batch is not None}>"

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return self._batch is None and not self._queue

    def put(self, segment: Segment, source: Source | None = None) -> None:
        """Take lines. ``source.released`` is called once they no longer wait."""
        size = len(segment.text)
        if self._udp and self.bytes + size > MAX_UDP_BYTES:
            self._drop("overloaded", segment.lines)
            return
        self._queue.append((segment, source, monotonic()))
        self.lines += segment.lines
        self.bytes += size
        self._shared.add(size)
        if self._batch is not None:
            return
        if self._full():
            self.flush()
        elif not self._gathering:
            self._gathering = True
            self._shared.call_later(GATHER, self._gathered)

    def flush(self) -> None:
        """Send what waits, unless a batch is in flight: the next one follows when it is stored."""
        if self._batch is not None or not self._queue:
            return
        self._batch = self._take()
        self._attempts = 0
        self._charge()

    def _full(self) -> bool:
        return self.draining or self.lines >= MAX_LINES or self.bytes >= FULL

    def _gathered(self) -> None:
        self._gathering = False
        self.flush()

    def _take(self) -> Batch:
        """Make a batch of the lines that came first: no more than the bucket can hold."""
        shared = self._shared
        lines_paid, bytes_paid = shared.buckets.largest(self.emitter)
        most_lines = min(self._most_lines, lines_paid)
        most_bytes = min(MAX_BYTES, bytes_paid)
        taken = self._taken
        lines = size = 0
        while self._queue:
            segment = self._queue[0][0]
            if taken and (lines + segment.lines > most_lines or size + len(segment.text) > most_bytes):
                break
            if segment.lines > most_lines or (segment.lines > 1 and len(segment.text) > most_bytes):
                self._split(most_lines, most_bytes)
                continue
            taken.append(self._queue.popleft())
            lines += segment.lines
            size += len(segment.text)
        self.lines -= lines
        body = joined([entry[0].text for entry in taken])
        kind = Format.SYSLOG_UDP if self._udp else Format.SYSLOG
        batch_id = random.getrandbits(128).to_bytes(16, "big").hex()
        return Batch(body, kind, self.emitter, NO_SCENARIO, batch_id, shared.repeatable, taken[0][2], lines)

    def _split(self, most_lines: int, most_bytes: int) -> None:
        """Divide the first segment, of lines, so that its front fits."""
        segment, source, arrived = self._queue.popleft()
        text = segment.text
        end = lines = 0
        while lines < most_lines:
            after = text.index(b"\n", end) + 1
            if lines and after > most_bytes:
                break
            end = after
            lines += 1
        self._queue.appendleft((Segment(text[end:], segment.lines - lines), source, arrived))
        self._queue.appendleft((Segment(text[:end], lines), source, arrived))

    def _charge(self) -> None:
        batch = self._batch
        if batch is not None:
            self._charged = self._shared.buckets.cost(batch.items, len(batch.body))
            self._shared.buckets.take(self.emitter, self._charged, self._granted, unproven=self._udp)

    def _granted(self, grant: BucketGrant) -> None:
        batch = self._batch
        if batch is None:
            return
        refusal = grant.refusal
        if refusal is None:
            self._grant = grant
            self._send()
        elif refusal.status == _TOO_LARGE:
            self._drop("too_large_for_bucket", batch.items)
            self._done()
        elif self._udp:
            self._shared.auth_metrics.denied(self.emitter, batch.items)
            self._drop("rate_limited", batch.items)
            self._done()
        else:
            self._shared.call_later(refusal.retry_after, self._charge)

    def _send(self) -> None:
        if self._batch is not None:
            self._shared.downstream.send(self._batch, self._replied)

    def _replied(self, reply: Reply) -> None:
        status = reply.status
        if status < 300 or reply.reason in _READ:
            if reply.items is not None and self._grant is not None and not self._udp:
                buckets, batch = self._shared.buckets, self._batch
                size = len(batch.body) if batch is not None else 0
                buckets.settle(self.emitter, self._grant, self._charged, buckets.cost(reply.items, size))
            self._most_lines = min(MAX_LINES, 2 * self._most_lines)
            self._done()
        elif reply.reason == "internal_error" and self._attempts + 1 >= DEFECT_TRIES:
            self._divide()
        elif status >= 500 or status in _TRY_AGAIN:
            self._attempts += 1
            self._shared.call_later(self._shared.backoff.delay(self._attempts), self._send)
        else:
            batch = self._batch
            if batch is not None:
                self._shared.warnings.log(
                    logging.ERROR, "refused", f"a batch of syslog lines was refused: {status} {reply.reason}"
                )
                self._drop("refused", batch.items)
            self._done()

    def _divide(self) -> None:
        """Try half of the batch; a message that fails by itself is dropped, so that it does not hold up all others."""
        batch = self._batch
        if batch is None:
            return
        if batch.items <= 1:
            self._shared.warnings.log(logging.ERROR, "defect", "the gateway failed on a syslog message, which is lost")
            self._drop("refused", batch.items)
            self._done()
            return
        self._most_lines = batch.items // 2
        self._queue.extendleft(reversed(self._taken))
        self.lines += batch.items
        self._taken = []
        self._batch = None
        self._grant = None
        self._shared.call_later(0.0, self.flush)

    def _done(self) -> None:
        """Let the next batch go, and resume the connections whose lines these were."""
        taken, self._taken = self._taken, []
        self._batch = None
        self._grant = None
        for segment, source, _ in taken:
            size = len(segment.text)
            self.bytes -= size
            self._shared.add(-size)
            if source is not None:
                source.released(size)
        if self._queue and self._full():
            # Not at once: with a sink that answers before it returns, all that waits would be one deep stack.
            self._shared.call_later(0.0, self.flush)
        elif self._queue and not self._gathering:
            self._gathering = True
            self._shared.call_later(GATHER, self._gathered)

    def _drop(self, reason: DropReason, lines: int) -> None:
        transport: Transport = "udp" if self._udp else "tcp"
        self._shared.metrics.dropped(transport, reason, lines)
