"""Back-pressure of one connection, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

READ_HIGH_WATER: Final = 65_536
"""Bytes buffered while a request is unanswered; reading pauses above it."""

READ_IN_A_TURN: Final = 131_072
"""Bytes read at once after which the other connections are read from before this one is again.

libuv reads from a connection up to 32 times while its buffer of 256 kB comes back full: 8 MB are 20 ms of hashing.
"""

WRITE_HIGH_WATER: Final = 65_536
"""Bytes of answers the peer has not read; no further request is started above it."""


class FlowControl:
    """Whether the peer is read from, and whether it reads.

    ``writing_paused`` is set by the transport (``pause_writing``), ``reading_paused`` by the connection.
    """

    __slots__ = ("_call_soon", "_resting", "_transport", "reading_paused", "writing_paused")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """``call_soon``: calls back in the loop's next turn."""
        self._call_soon = call_soon
        self._transport = cast(asyncio.Transport, None)  # set by attach, before any other call
        self.reading_paused = False
        self.writing_paused = False
        self._resting = False  # until the loop's next turn

    def attach(self, transport: asyncio.Transport) -> None:
        """Use the connection's transport from now on."""
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def pause_reading(self) -> None:
        """Leave what the peer sends next in the kernel, so that TCP slows it down."""
        if not self.reading_paused:
            self.reading_paused = True
            if not self._resting:
                self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the peer again."""
        if self.reading_paused:
            self.reading_paused = False
            self._resume()

    def rest(self) -> None:
        """Read no more from the peer in this turn of the loop."""
        if not self._resting and not self.reading_paused:
            self._resting = True
            self._transport.pause_reading()
            self._call_soon(self._rested)

    def _rested(self) -> None:
        self._resting = False
        if not self.reading_paused:
            self._resume()

    def _resume(self) -> None:
        if not self._resting and not self._transport.is_closing():
            self._transport.resume_reading()
