"""One client connection: the asyncio protocol around ``ResponseReader``.

It carries one exchange at a time, without a task or a future: the answer goes to a callback out of ``data_received``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from logops_fast.http.response_reader import ClientError, ClientResponse, OnResponse, ResponseReader


class ConnectionOwner(Protocol):
    """What a connection notifies when an exchange or the connection itself ends: the pool."""

    def exchange_ended(self, connection: ClientConnection, reusable: bool) -> None:
        """The exchange is over; the connection may carry another, or is closed by now."""

    def connection_ended(self, connection: ClientConnection) -> None:
        """The transport is closed, during an exchange or between two."""


class ClientConnection(asyncio.Protocol):
    """One connection, one exchange at a time.

    ``deadline`` is the owner's: when the exchange, or the idle wait, runs out.
    """

    __slots__ = ("_done", "_loop", "_owner", "_reader", "deadline", "transport")

    def __init__(self, owner: ConnectionOwner, loop: asyncio.AbstractEventLoop, max_body: int) -> None:
        self._owner = owner
        self._loop = loop
        self._reader = ResponseReader(max_body)
        self._done: OnResponse | None = None
        self.transport: asyncio.Transport | None = None
        self.deadline = 0.0

    @property
    def busy(self) -> bool:
        """In an exchange."""
        return self._done is not None

    @property
    def usable(self) -> bool:
        """Open, as far as is known."""
        transport = self.transport
        return transport is not None and not transport.is_closing()

    def exchange(self, chunks: Sequence[bytes], done: OnResponse, deadline: float, *, bare: bool) -> None:
        """Write one request; ``done`` is called once, later, with its answer or its failure."""
        if self._done is not None or self.transport is None:
            raise RuntimeError("the connection is not free")
        self._done = done
        self.deadline = deadline
        self._reader.expect(bare=bare)
        self.transport.writelines(chunks)

    def fail(self, error: ClientError) -> None:
        """End the exchange with ``error`` and drop the connection: what still arrives on it is dropped."""
        self._end(error, False)

    def abort(self) -> None:
        """Drop the connection at once, unsent bytes included."""
        self._reader.release()
        if self.transport is not None:
            self.transport.abort()

    def _end(self, result: ClientResponse | ClientError, reusable: bool) -> None:
        done, self._done = self._done, None
        if not reusable:
            self.abort()
        if done is None:
            return
        self._owner.exchange_ended(self, reusable)
        try:
            done(result)
        except Exception as error:  # the caller's fault must not take the connection with it
            self._loop.call_exception_handler({"message": "a callback of the HTTP client failed", "exception": error})

    # ------------------------------------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        self.transport = transport  # type: ignore[assignment]  # a stream's transport is an asyncio.Transport

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer, or bytes that no request explains."""
        transport = self.transport
        if self._done is None or transport is None:
            self.abort()
            return
        try:
            response = self._reader.feed(data)
        except ClientError as error:
            self._end(error, False)
            return
        if response is not None:
            # An answer that came before the request was out (413): the rest of it is not sent, so nothing can follow.
            all_sent = not transport.get_write_buffer_size()
            self._end(response, self._reader.keep_alive and all_sent and not transport.is_closing())

    def eof_received(self) -> None:
        """The peer sends no more: the end of a body that ends so, else of the exchange. The transport closes itself."""
        if self._done is None:
            return
        try:
            response = self._reader.eof()
        except ClientError as error:
            self._end(error, False)
        else:
            self._end(response, False)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed: an exchange in progress has failed, even if its body was to end by closing."""
        if self._done is not None:
            reason = "the connection was lost before the answer was complete"
            if isinstance(exc, OSError) and exc.strerror:
                reason = f"{reason}: {exc.strerror}"
            self.fail(ClientError("closed", reason, sent=True))
        self._reader.release()
        self.transport = None
        self._owner.connection_ended(self)
