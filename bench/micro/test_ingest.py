"""The Ingest Gateway's stages, each alone, and all of them but the disk."""

from __future__ import annotations

import random
import time
from typing import Any, get_args

import orjson
import pytest

from bench import corpus
from bench.corpus import BodyFormat, Kind
from bench.micro.conftest import Stage
from logops_fast.formats import snappy_block
from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.registry import parse
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.ingest.serialiser import to_lines
from logops_fast.ingest.sink.interface import NullSink
from logops_fast.state.memory import open_memory
from logops_fast.telemetry.registry import Registry

NOW = 1_772_600_000.0
PERSONAL = {
    "email": "user erin.news@mail.example.org signed in",
    "ipv4": "connection from 10.20.30.40 accepted",
    "ipv6": "connection from 2001:db8::8a2e:370:7334 accepted",
    "card": "paid with 4111 1111 1111 1111 in full",
    "token": "sent Authorization: Bearer abcdefghijklmnop0123456789 upstream",
}
NEUTRAL = "request completed in 120 ms with status 200 for the home page"


@pytest.mark.parametrize("body_format", get_args(BodyFormat))
def test_parse(stage: Stage, size: int, body_format: BodyFormat) -> None:
    body = corpus.bodies(1, size, "mixed", body_format)[0]
    if body_format == "loki":
        body = snappy_block.decode(body, len(body) * 100)  # as the gateway does before it is read
    parsed = stage(f"parse: {body_format}", parse, Format(body_format), body, NOW, events=size)
    assert len(parsed.events) == size


@pytest.mark.parametrize("mask", [True, False], ids=["masked", "unmasked"])
def test_normalise(stage: Stage, size: int, kind: Kind, mask: bool) -> None:
    body, normaliser = corpus.bodies(1, size, kind)[0], Normaliser(mask=mask)

    def run(events: list[dict[str, Any]]) -> Any:
        return normaliser.run(events, emitter="bench", scenario_id="na", received_at=NOW)

    label = "normalise, mask, serialise" if mask else "normalise, serialise (pii.mask: false)"
    done = stage(f"{label}: {kind}", run, events=size, fresh=lambda: orjson.loads(body))
    assert done.count == size


def test_serialise(stage: Stage, size: int) -> None:
    events = corpus.events(size)
    assert stage("serialise alone", to_lines, events, events=size).count(b"\n") == size


@pytest.mark.parametrize("density", [0, 10, 50, 100], ids=lambda percent: f"{percent}%")
@pytest.mark.parametrize("pii", sorted(PERSONAL))
def test_mask(stage: Stage, pii: str, density: int) -> None:
    rng = random.Random(1)
    events = [
        {**event, "msg": PERSONAL[pii] if rng.random() * 100 < density else NEUTRAL}
        for event in corpus.events(100, "clean")
    ]
    lines, masker, hits = to_lines(events), Masker(), dict[str, int]()
    masked = stage(f"mask: {pii} in {density}% of events", masker.mask_lines, lines, events, hits, events=100)
    assert masked.count(b"\n") == 100
    assert bool(hits) == bool(density)


def test_pipeline(stage: Stage, size: int, kind: Kind) -> None:
    """Parse to answer, with a sink that keeps nothing."""
    body, replies = corpus.bodies(1, size, kind)[0], list[Reply]()
    pipeline = IngestPipeline(
        normaliser=Normaliser(),
        sink=NullSink(),
        batch_ids=open_memory(300.0).batch_ids,
        metrics=IngestMetrics(Registry(), {"bench"}),
    )
    batch = Batch(body, Format.JSON, "bench", "na", "0" * 32, False, time.monotonic())
    stage(f"whole pipeline without disk: {kind}", pipeline.send, batch, replies.append, events=size)
    assert {reply.status for reply in replies} == {200}
