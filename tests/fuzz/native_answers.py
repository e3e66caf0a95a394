"""Whole batches through two pipelines, one with the kernel and one without: what is stored, rejected and answered."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.native.reader import NativeReader
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import Limits
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.ingest.sink.interface import LedgerEntry, OnStored
from logops_fast.state.interface import BatchClaim
from logops_fast.telemetry.registry import Registry
from tests.fuzz.native_checks import EMITTER, NOW
from tests.support.turns import Turns

_LIMITS: Final = (Limits(), Limits(), Limits(), Limits(max_event_bytes=400), Limits(max_items=150))


class _Kept:
    """Keeps the last batch in memory (a Sink)."""

    stores: Final = True
    problem: Final = None

    def __init__(self) -> None:
        self.kept: tuple[bytes, bytes] = (b"", b"")

    def append(
        self,
        lines: bytes,
        on_stored: OnStored,
        *,
        rejected: bytes = b"",
        entry: LedgerEntry | None = None,
    ) -> None:
        self.kept = (lines, rejected)
        on_stored(True)

    def close(self) -> Awaitable[None]:
        raise AssertionError("nothing is opened")


class _NoClaims:
    """No batch comes again, so no id is claimed."""

    def begin(self, emitter: str, batch_id: str, digest: int, done: Callable[[BatchClaim], None]) -> None:
        raise AssertionError("a batch that cannot come again was claimed")

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        raise AssertionError("nothing waits")

    def finish(self, emitter: str, batch_id: str, answer: bytes, digest: int = 0, ttl: float | None = None) -> None:
        raise AssertionError("nothing was claimed")

    def abandon(self, emitter: str, batch_id: str) -> None:
        raise AssertionError("nothing was claimed")


class _Gateway:
    """A pipeline with a queue whose turns are made by hand."""

    def __init__(self, normaliser: Normaliser, limits: Limits, native: NativeReader | None) -> None:
        self._turns = Turns()
        self._sink = _Kept()
        self._pipeline = IngestPipeline(
            normaliser=normaliser,
            sink=self._sink,
            batch_ids=_NoClaims(),
            metrics=IngestMetrics(Registry(), [EMITTER]),
            limits=limits,
            queue=self._turns.queue,
            native=native,
            wall=lambda: NOW,
        )

    def send(self, batch: Batch, *, ahead: bool) -> tuple[Any, ...]:
        """Return status, answer, lines and rejected lines of a batch; ``ahead``: it is read before it is charged."""
        self._sink.kept = (b"", b"")
        replies: list[Reply] = []
        read = self._pipeline.read_ahead(batch) if ahead else None
        if read is not None:
            read.store(replies.append)
        else:
            self._pipeline.send(batch, replies.append)
        self._turns.run()
        (reply,) = replies
        return reply.status, reply.body, *self._sink.kept


class Pair:
    """A gateway with the kernel and one without, of equal settings."""

    def __init__(
        self, rng: random.Random, normaliser: Normaliser, reader: NativeReader, limits: Limits | None = None
    ) -> None:
        """``limits``: of several, unless they are given."""
        self._rng = rng
        limits = limits or rng.choice(_LIMITS)
        self._gateways = [_Gateway(normaliser, limits, native) for native in (reader, None)]

    def difference(self, body: bytes, format: Format) -> str:
        """Return how the two differ; empty if they do not."""
        batch = Batch(body, format, EMITTER, "na", "b-1", False, 0.0)
        ahead = self._rng.random() < 0.5
        ours, theirs = (gateway.send(batch, ahead=ahead) for gateway in self._gateways)
        for name, one, other in zip(("status", "answer", "lines", "rejected"), ours, theirs, strict=True):
            if one != other:
                return f"{name}:\n  kernel    {_first(one, other)}\n  reference {_first(other, one)}"
        return ""


def _first(text: Any, other: Any) -> str:
    """Return the first line of a text that is not in the other at its place."""
    if not isinstance(text, bytes):
        return repr(text)
    lines, others = text.split(b"\n"), other.split(b"\n")
    return repr(next((line for at, line in enumerate(lines) if line != b"".join(others[at : at + 1])), b"nothing more"))
