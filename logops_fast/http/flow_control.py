"""Back-pressure of one connection, in both directions."""

from __future__ import annotations

import asyncio
from typing import Final, cast

READ_HIGH_WATER: Final = 65_536
"""Bytes buffered while a request is unanswered; reading pauses above it."""

WRITE_HIGH_WATER: Final = 65_536
"""Bytes of answers the peer has not read; no further request is started above it."""


class FlowControl:
    """Whether the peer is read from, and whether it reads.

    ``writing_paused`` is set by the transport (``pause_writing``), ``reading_paused`` by the connection.
    """

    __slots__ = ("_transport", "reading_paused", "writing_paused")

    def __init__(self) -> None:
        self._transport = cast(asyncio.Transport, None)  # set by attach, before any other call
        self.reading_paused = False
        self.writing_paused = False

    def attach(self, transport: asyncio.Transport) -> None:
        """Use the connection's transport from now on."""
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def pause_reading(self) -> None:
        """Leave what the peer sends next in the kernel, so that TCP slows it down."""
        if not self.reading_paused:
            self.reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the peer again."""
        if self.reading_paused:
            self.reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
