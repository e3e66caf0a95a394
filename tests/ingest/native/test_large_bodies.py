"""Large bodies go through the pipeline with the kernel as without it, in steps."""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import Any

import pytest

from bench import corpus
from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.native.reader import open_kernel
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.base import Limits
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.state.memory import open_memory
from logops_fast.telemetry.registry import Registry
from tests.ingest.doors import Kept
from tests.support.turns import Turns

pytestmark = pytest.mark.native


class Gateway:
    """A pipeline, with the kernel or without it."""

    def __init__(self, *, native: bool, limits: Limits | None = None) -> None:
        self.turns = Turns()
        self.sink = Kept()
        normaliser = Normaliser()
        self.native = open_kernel(normaliser) if native else None
        self.pipeline = IngestPipeline(
            normaliser=normaliser,
            sink=self.sink,
            batch_ids=open_memory(300.0).batch_ids,
            metrics=IngestMetrics(Registry(), ["web"]),
            limits=limits or Limits(),
            queue=self.turns.queue,
            native=self.native,
            wall=lambda: 1_800_000_000.0,
        )
        self.ids = itertools.count()

    def send(self, body: bytes, format: Format) -> tuple[Any, int]:
        """Return the answer, and how many steps it took."""
        replies: list[Reply] = []
        made = self.turns.made
        self.pipeline.send(Batch(body, format, "web", "na", "b", False, 0.0, 0, "", ""), replies.append)
        self.turns.run()
        return (replies[0].status, json.loads(replies[0].body)), self.turns.made - made


NAMES = (
    "an array", "lines", "with an event that is too large", "with a line that is too large", "with a fault",
    "broken at its end", "a sequence", "an export", "an export in several resources",
    "an export that ends in a field of another version", "an envelope",
)  # fmt: skip


@cache
def bodies() -> dict[str, tuple[bytes, Format]]:
    """The bodies by name; made for the tests that run, not whenever this file is imported."""
    events = corpus.events(6000, "mixed")
    array, lines, export = corpus.body(events), corpus.body(events, "ndjson"), corpus.body(events, "otlp")
    large = json.dumps({"msg": "x" * 300_000}).encode()
    made = (
        (array, Format.JSON),
        (lines, Format.NDJSON),
        (array[:-1] + b"," + large + b"]", Format.JSON),
        (lines + b"\n" + large + b"\n" + lines, Format.NDJSON),
        (array[:-1] + b",7]", Format.JSON),
        (array[:-1], Format.JSON),
        (lines.replace(b"\n", b""), Format.JSON),
        (export, Format.OTLP),
        (export + corpus.body(events[:3000], "otlp"), Format.OTLP),
        (export + b"\x12\x00", Format.OTLP),
        (b'{"events":' + array + b"}", Format.JSON),
    )
    return dict(zip(NAMES, made, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_large_body_is_stored_as_without_the_kernel(name: str) -> None:
    body, format = bodies()[name]
    ours, reference = Gateway(native=True), Gateway(native=False)
    wanted, _ = reference.send(body, format)
    for _ in range(2):  # layouts are learnt from the first
        ours.sink.events.clear()
        ours.sink.rejected.clear()
        answer, _ = ours.send(body, format)
        assert answer == wanted
        assert ours.sink.events == reference.sink.events
        assert ours.sink.rejected == reference.sink.rejected


@pytest.mark.parametrize("name", ["an array", "lines"])
def test_a_step_is_a_piece(name: str) -> None:
    body, format = bodies()[name]
    gateway = Gateway(native=True)
    gateway.send(body, format)
    sizes: list[int] = []
    assert gateway.native is not None
    read = gateway.native._kernel.read

    class Watching:
        """Sees what the kernel is given."""

        def __getattr__(self, name: str) -> Any:
            return getattr(kernel, name)

        def read(self, *args: Any) -> Any:
            sizes.append(args[-2])
            return read(*args)

    kernel, gateway.native._kernel = gateway.native._kernel, Watching()
    _, steps = gateway.send(body, format)
    assert len(sizes) == len(body) // 262_144 + 1
    assert max(sizes) == 262_144
    assert steps >= len(sizes) - 1


def test_too_many_events_are_refused() -> None:
    limits = Limits(max_items=2000)
    answers = [Gateway(native=native, limits=limits).send(*bodies()["an array"])[0] for native in (True, False)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 413
