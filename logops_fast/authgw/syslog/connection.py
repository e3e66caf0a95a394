"""One syslog connection over TCP or TLS: an ``asyncio.Protocol`` around the framer.

Syslog has no answers, so back-pressure is all that a sender notices: while more than ``HIGH_WATER`` bytes of its lines
wait, the connection is not read, and the sender's own socket fills up.

A frame that has begun takes memory until it is complete. One over ``SMALL`` bytes has to arrive at a minimum rate, as
the body of a request has to; a connection that is silent between frames, or that holds the beginning of a short line
(as the block-wise output of a pipe ends in), may be so for as long as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final, cast

from logops_fast.authgw.syslog.framer import Framer, Segment
from logops_fast.authgw.syslog.lane import Lane

HIGH_WATER: Final = 65_536
"""Bytes of lines of one connection that may wait; above it reading pauses."""

SMALL: Final = 4096
"""Bytes of an unfinished frame that may take any time: a block of stdio's."""
GRACE: Final = 10.0
"""Seconds that a longer one has without any progress."""
MIN_RATE: Final = 1024
"""Bytes a second that a longer one has to arrive at after that, on average."""

OnMade = Callable[["SyslogConnection"], Lane | None]
OnLost = Callable[["SyslogConnection"], None]
OnGrown = Callable[[int], None]
"""Called with by how many bytes the unfinished frame of a connection grew, or (negative) shrank."""


class SyslogConnection(asyncio.Protocol):
    """One sender. ``on_made`` returns the lane of its lines, None to turn it away; ``on_lost`` is called at its end.

    ``clock`` is monotonic, in seconds.
    """

    __slots__ = (
        "_arrived",
        "_clock",
        "_deadline",
        "_framer",
        "_held",
        "_lane",
        "_on_grown",
        "_on_lost",
        "_on_made",
        "_paused",
        "_transport",
        "_waiting",
        "received",
        "unfinished",
    )

    def __init__(
        self, limit: int, on_made: OnMade, on_lost: OnLost, on_grown: OnGrown, clock: Callable[[], float] = monotonic
    ) -> None:
        self._framer = Framer(limit)
        self._on_grown = on_grown
        self._clock = clock
        self._deadline = inf  # of the unfinished frame
        self._arrived = 0  # bytes of it when the deadline was set
        self._on_made = on_made
        self._on_lost = on_lost
        self._transport = cast(asyncio.Transport, None)  # set by connection_made, before any other call
        self._lane: Lane | None = None
        self._waiting = 0
        self._paused = False
        self._held = False
        self.received = 0
        """Bytes that were read."""
        self.unfinished = 0
        """Bytes held of a frame that is not complete."""

    def __repr__(self) -> str:
        return f"<SyslogConnection lane={self._lane} waiting={self._waiting} paused={self._paused}>"

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, once the connection is made."""
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find the sender's lane, or turn it away."""
        self._transport = cast(asyncio.Transport, transport)
        self._lane = self._on_made(self)
        if self._lane is None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take lines."""
        self.received += len(data)
        lane = self._lane
        if lane is not None:
            segments = self._framer.feed(data)
            self._put(lane, segments)
            if self._framer.unfinished or self.unfinished:
                self._note_unfinished(another=bool(segments))
            self._flow()

    def eof_received(self) -> bool:
        """Take what came last; the transport then closes."""
        self._finish()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        """Take what came last."""
        self._finish()
        self._lane = None
        self._on_lost(self)

    def released(self, size: int) -> None:
        """Note that ``size`` bytes of its lines no longer wait, and resume reading if that allows it."""
        self._waiting -= size
        self._flow()

    def end(self) -> None:
        """Take what there is of the unfinished frame, and close."""
        self._finish()
        self._transport.close()

    def is_overdue(self, now: float) -> bool:
        """Whether the unfinished frame arrives too slowly. Called every second or so."""
        if self._paused:  # it is we who do not read
            if self._deadline != inf:
                self._deadline = now + GRACE
            return False
        if now < self._deadline:
            return False
        received = self.unfinished - self._arrived
        self._arrived = self.unfinished
        # Bytes extend it by the time they take at the minimum rate, but never beyond the grace period from now.
        self._deadline = min(self._deadline + received / MIN_RATE, now + GRACE)
        return self._deadline <= now

    def hold(self, held: bool) -> None:
        """Pause or resume reading because of what waits of all connections together."""
        self._held = held
        self._flow()

    def _put(self, lane: Lane, segments: list[Segment]) -> None:
        for segment in segments:
            self._waiting += len(segment.text)
            lane.put(segment, self)

    def _finish(self) -> None:
        if self._lane is not None:
            self._put(self._lane, self._framer.finish())
            self._note_unfinished(another=True)

    def _note_unfinished(self, *, another: bool) -> None:
        """Count the bytes of the unfinished frame, ``another`` one than before or the same, and set its deadline."""
        size = self._framer.unfinished
        grown = size - self.unfinished
        self.unfinished = size
        if size <= SMALL:
            self._deadline = inf
        elif another or self._deadline == inf:
            self._deadline = self._clock() + GRACE
            self._arrived = size
        if grown:
            self._on_grown(grown)

    def _flow(self) -> None:
        paused = self._held or self._waiting > HIGH_WATER
        if paused != self._paused and not self._transport.is_closing():
            self._paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
