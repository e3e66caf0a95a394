"""What the pipeline hands its lines to, and the sink that keeps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from logops_fast.ingest.sink.commit_log import LedgerEntry

__all__ = ["Done", "LedgerEntry", "NullSink", "Sink", "SinkCommit"]

Done = Callable[[bool], None]


class SinkCommit(NamedTuple):
    """One group that was stored: bytes of both streams, batches, seconds of write and sync."""

    bytes: int
    batches: int
    seconds: float


class Sink(Protocol):
    """Where serialised batches go."""

    @property
    def stores(self) -> bool:
        """False where nothing is kept, which every answer then says."""

    @property
    def failing(self) -> str | None:
        """None, or why nothing can be stored right now."""

    def append(self, lines: bytes, done: Done, *, rejected: bytes = b"", entry: LedgerEntry | None = None) -> None:
        """Store a batch: whole lines, lines of its unreadable events, and its id if it may come again.

        ``done`` is called exactly once on the loop: True once all of it is stored, False if nothing of it is.
        """

    def close(self) -> Awaitable[None]:
        """Store what is pending and let go of the files. (No coroutine: see pyproject.toml on what is compiled.)"""
        ...


class NullSink:
    """``sink.enabled: false``: keeps nothing."""

    __slots__ = ()

    stores: Final = False
    failing: Final = None

    def append(
        self,
        lines: bytes,  # noqa: ARG002
        done: Done,
        *,
        rejected: bytes = b"",  # noqa: ARG002
        entry: LedgerEntry | None = None,  # noqa: ARG002
    ) -> None:
        """Calls ``done(True)`` at once."""
        done(True)

    def close(self) -> Awaitable[None]:
        """Nothing to do."""
        return asyncio.sleep(0)
