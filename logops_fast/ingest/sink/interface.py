"""What the pipeline hands its lines to, and the sink that keeps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NamedTuple, Protocol

from logops_fast.ingest.sink.commit_log import LedgerEntry

__all__ = ["Claims", "LedgerEntry", "NullSink", "OnStored", "Sink", "SinkCommit", "SinkProblem"]

OnStored = Callable[[bool], None]
"""Called once on the loop: True once all of a batch is stored, False if nothing of it is."""


class SinkCommit(NamedTuple):
    """One group that was stored: bytes of both streams, batches, seconds of write and sync."""

    bytes: int
    batches: int
    seconds: float


class SinkProblem(NamedTuple):
    """Why nothing can be stored right now; ``text`` is a sentence for ``/readyz``."""

    reason: Literal["sink_failed", "sink_stalled"]
    text: str


class Claims(Protocol):
    """The part of the store of batch ids that keeps the claims of batches that wait for the disk."""

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        """Extend a claim of this process; ``done`` is called once on the loop with whether it is still held."""


class Sink(Protocol):
    """Where serialised batches go."""

    @property
    def stores(self) -> bool:
        """False if nothing is kept, which every answer then says."""

    @property
    def problem(self) -> SinkProblem | None:
        """None, or why nothing can be stored right now."""

    def append(
        self, lines: bytes, on_stored: OnStored, *, rejected: bytes = b"", entry: LedgerEntry | None = None
    ) -> None:
        """Store a batch: whole lines, lines of its unreadable events, and its id if it may come again.

        Raises ValueError, and calls nothing, if the lines do not end with a newline.
        """

    def close(self) -> Awaitable[None]:
        """Store what is pending and close the files. (No coroutine: see pyproject.toml on what is compiled.)"""
        ...


class NullSink:
    """``sink.enabled: false``: keeps nothing."""

    __slots__ = ()

    stores: Final = False
    problem: Final = None

    def append(
        self,
        lines: bytes,  # noqa: ARG002
        on_stored: OnStored,
        *,
        rejected: bytes = b"",  # noqa: ARG002
        entry: LedgerEntry | None = None,  # noqa: ARG002
    ) -> None:
        """Call ``on_stored(True)`` at once."""
        on_stored(True)

    def close(self) -> Awaitable[None]:
        """Do nothing."""
        return asyncio.sleep(0)
