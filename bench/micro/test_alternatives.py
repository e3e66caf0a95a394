"""What was weighed against what is used, to be run again: each claim of bench/TRIED.md that something is slower."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from bench import corpus
from bench.micro.conftest import Stage
from bench.peers.plain import mask as plain_mask
from logops_fast.formats.signature import SigningKey
from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_lines
from logops_fast.telemetry.registry import Registry

EVENTS = corpus.events(100)
ARRAY = corpus.body(EVENTS)
LINES = corpus.body(EVENTS, "ndjson")
ROWS = corpus.body(EVENTS, "csv").decode()
ENCODER = msgspec.json.Encoder()
MESSAGE = b"POST\n/ingest\n" + b"0" * 64 + b"\n1735689600\n1234567890abcdef"
KEY = SigningKey(b"secret")


def _splice() -> Any:
    return orjson.loads(b"[%b]" % LINES.replace(b"\n", b","))


def _mask_by_event() -> list[bytes]:
    return [orjson.dumps(plain_mask(event)) for event in EVENTS]


def _mask_by_batch() -> bytes:
    return Masker().mask_lines(to_lines(EVENTS), EVENTS, {})


PER_EVENT: dict[str, dict[str, Callable[[], Any]]] = {
    "decode an array": {
        "orjson (used)": lambda: orjson.loads(ARRAY),
        "msgspec": lambda: msgspec.json.decode(ARRAY),
        "json of the standard library": lambda: json.loads(ARRAY),
    },
    "decode lines": {
        "orjson, line by line (used)": lambda: [*map(orjson.loads, LINES.split(b"\n"))],
        "orjson, lines spliced into an array": _splice,
        "msgspec decode_lines": lambda: msgspec.json.Decoder().decode_lines(LINES),
    },
    "serialise": {
        "orjson, an event at a time, joined (used)": lambda: to_lines(EVENTS),
        "orjson, the list at once (lines still to be parted)": lambda: orjson.dumps(EVENTS),
        "msgspec encode_lines": lambda: ENCODER.encode_lines(EVENTS),
        "json of the standard library": lambda: "\n".join(map(json.dumps, EVENTS)),
    },
    "mask and serialise": {
        "the serialised batch, a pass a kind (used)": _mask_by_batch,
        "each string by itself": _mask_by_event,
    },
    "read CSV": {
        "csv.reader": lambda: [*csv.reader(io.StringIO(ROWS))],
        "csv.DictReader": lambda: [*csv.DictReader(io.StringIO(ROWS))],
    },
}
PER_REQUEST: dict[str, dict[str, Callable[[], Any]]] = {
    "HMAC-SHA256": {
        "key state copied (used)": lambda: KEY.signature(MESSAGE),
        "hmac.digest": lambda: hmac.digest(b"secret", MESSAGE, "sha256"),
        "hmac.new": lambda: hmac.new(b"secret", MESSAGE, hashlib.sha256).digest(),
    },
}


@pytest.mark.parametrize(
    ("task", "way"), [(task, way) for task, ways in PER_EVENT.items() for way in ways], ids=lambda word: word
)
def test_per_event(stage: Stage, task: str, way: str) -> None:
    assert stage(f"instead: {task}: {way}", PER_EVENT[task][way], events=100)


@pytest.mark.parametrize(
    ("task", "way"), [(task, way) for task, ways in PER_REQUEST.items() for way in ways], ids=lambda word: word
)
def test_per_request(stage: Stage, task: str, way: str) -> None:
    assert stage(f"instead: {task}: {way}", PER_REQUEST[task][way])


def test_our_counters(stage: Stage) -> None:
    registry = Registry()
    counter = registry.counter("c_total", "c", ("a",)).labels("x")
    histogram = registry.histogram("h", "h", ("a",), edges=(0.1, 0.5, 1.0)).labels("x")

    def count() -> None:
        counter.inc()
        histogram.observe(0.2)

    stage("instead: a counter and a histogram: ours (used)", count)


def test_prometheus_clients_counters(stage: Stage) -> None:
    registry = CollectorRegistry()
    counter = Counter("c", "c", ("a",), registry=registry).labels("x")
    histogram = Histogram("h", "h", ("a",), buckets=(0.1, 0.5, 1.0), registry=registry).labels("x")

    def count() -> None:
        counter.inc()
        histogram.observe(0.2)

    stage("instead: a counter and a histogram: prometheus_client, one process", count)
