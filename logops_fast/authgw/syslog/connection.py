"""One syslog connection over TCP or TLS: an ``asyncio.Protocol`` around the framer.

Syslog has no answers, so back-pressure is all that a sender notices: while more than ``HIGH_WATER`` bytes of its lines
wait, the connection is not read, and the sender's own socket fills up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from logops_fast.authgw.syslog.framer import Framer, Segment
from logops_fast.authgw.syslog.lane import Lane

HIGH_WATER: Final = 65_536
"""Bytes of lines of one connection that may wait; above it reading pauses."""

OnMade = Callable[["SyslogConnection"], Lane | None]
OnLost = Callable[["SyslogConnection"], None]


class SyslogConnection(asyncio.Protocol):
    """One sender. ``on_made`` returns the lane of its lines, None to turn it away; ``on_lost`` is called at its end."""

    __slots__ = ("_framer", "_held", "_lane", "_on_lost", "_on_made", "_paused", "_transport", "_waiting", "received")

    def __init__(self, limit: int, on_made: OnMade, on_lost: OnLost) -> None:
        self._framer = Framer(limit)
        self._on_made = on_made
        self._on_lost = on_lost
        self._transport = cast(asyncio.Transport, None)  # set by connection_made, before any other call
        self._lane: Lane | None = None
        self._waiting = 0
        self._paused = False
        self._held = False
        self.received = 0
        """Bytes that were read."""

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
            self._put(lane, self._framer.feed(data))
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

    def _flow(self) -> None:
        paused = self._held or self._waiting > HIGH_WATER
        if paused != self._paused and not self._transport.is_closing():
            self._paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
