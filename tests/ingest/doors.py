"""A pipeline that is looked into, and bodies that are read in pieces."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import orjson

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import Limits
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.ingest.sink.interface import LedgerEntry
from logops_fast.state.interface import BatchClaim
from logops_fast.state.memory import open_memory
from logops_fast.telemetry import exposition
from logops_fast.telemetry.registry import Registry
from tests.support.turns import Turns


class Claims:
    """Batch ids of which each claim finds the same."""

    def __init__(self, claim: BatchClaim) -> None:
        self.claim = claim
        self.abandoned: list[str] = []
        self.digests: list[int] = []

    def begin(self, emitter: str, batch_id: str, digest: int, done: Callable[[BatchClaim], None]) -> None:
        self.digests.append(digest)
        done(self.claim)

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        raise AssertionError("nothing waits")

    def finish(self, emitter: str, batch_id: str, answer: bytes, digest: int = 0, ttl: float | None = None) -> None:
        raise AssertionError("nothing is stored")

    def abandon(self, emitter: str, batch_id: str) -> None:
        self.abandoned.append(batch_id)


class Kept:
    """A sink that keeps what it gets, and confirms it on demand."""

    stores = True
    problem = None

    def __init__(self, ok: bool = True) -> None:
        self.ok = ok
        self.lines = b""
        self.events: list[dict[str, Any]] = []
        self.rejected: list[dict[str, Any]] = []
        self.entries: list[LedgerEntry | None] = []

    def append(
        self,
        lines: bytes,
        on_stored: Callable[[bool], None],
        *,
        rejected: bytes = b"",
        entry: LedgerEntry | None = None,
    ) -> None:
        self.lines += lines
        self.events += map(json.loads, lines.splitlines())
        self.rejected += map(json.loads, rejected.splitlines())
        self.entries.append(entry)
        on_stored(self.ok)

    async def close(self) -> None:
        pass


class Door:
    """A pipeline with a sink that is looked into."""

    def __init__(self, limits: Limits | None = None, ok: bool = True) -> None:
        self.turns = Turns()
        self.sink = Kept(ok)
        self.registry = Registry()
        self.pipeline = IngestPipeline(
            normaliser=Normaliser(),
            sink=self.sink,
            batch_ids=open_memory(300.0).batch_ids,
            metrics=IngestMetrics(self.registry, ["web"]),
            limits=limits or Limits(),
            queue=self.turns.queue,
            wall=lambda: 1_800_000_000.0,
        )
        self.ids = itertools.count()

    def send(
        self,
        body: bytes,
        format: Format = Format.JSON,
        *,
        items: int = 0,
        batch_id: str = "",
        body_id: str = "",
        tenant: str = "",
    ) -> Reply:
        replies: list[Reply] = []
        name = batch_id or f"b-{next(self.ids)}"
        batch = Batch(body, format, "web", "na", name, bool(batch_id), 0.0, items, tenant, body_id)
        self.pipeline.send(batch, replies.append)
        self.turns.run()
        (reply,) = replies
        return reply

    def summary(self, *args: Any, **options: Any) -> dict[str, Any]:
        reply = self.send(*args, **options)
        assert reply.status == 200
        summary: dict[str, Any] = orjson.loads(reply.body)
        return summary

    def metric(self, name: str) -> float:
        text = exposition.render(self.registry, None)[0].decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{"))


COUNT = 6000
PADDING = "x" * 140  # so that as many events are more than a mebibyte
EVENTS = [{"ts": "2026-01-01T00:00:00Z", "level": "WARN", "msg": f"line {i} {PADDING}"} for i in range(COUNT)]
WRITTEN = [json.dumps(event).encode() for event in EVENTS]
ARRAY = b"[" + b",".join(WRITTEN) + b"]"
