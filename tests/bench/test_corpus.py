"""The corpora are what the benchmarks' descriptions say, and the frozen one is frozen."""

from __future__ import annotations

import hashlib
import json

import orjson
import pytest

from bench import corpus
from logops_fast.emitters import layouts
from logops_fast.emitters.layouts import LAYOUTS
from logops_fast.ingest.normaliser import Normaliser

# Results of different days are comparable because they are of the same bytes: never change this.
FIELD_SHA256 = "5e77fce66489f76ed328c08bf942ef18b8d3c230ff82d035bb553e0e225c8090"
COUNT = 16_000


def test_the_field_corpus_is_frozen() -> None:
    body = corpus.body(corpus.events(1200, "field", 1))
    assert hashlib.sha256(body).hexdigest() == FIELD_SHA256


def test_the_otlp_bodies_are_exports_of_all_events() -> None:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    events = corpus.events(50)
    export = ExportLogsServiceRequest.FromString(corpus.body(events, "otlp"))
    records = export.resource_logs[0].scope_logs[0].log_records
    assert [one.body.string_value for one in records] == [event.get("msg") or event.get("message") for event in events]
    assert export.resource_logs[0].resource.attributes[0].value.string_value == "checkout"
    assert all(len(one.trace_id) == 16 and one.severity_number and one.attributes for one in records)


def test_the_field_corpus_has_the_shares_it_says() -> None:
    events = corpus.events(COUNT, "field", 2)
    texts = [orjson.dumps(event) for event in events]
    assert all(150 <= len(text) <= 400 for text in texts)
    numbers = sum(
        isinstance(event.get(name), (int, float)) or name == "timeUnixNano"
        for event in events
        for name in layouts.TS_NAMES
        if name in event
    )
    assert numbers / COUNT == pytest.approx(0.10, abs=0.01)
    assert sum(b"@" in text for text in texts) / COUNT >= 0.44 - 0.01
    for mark, share in ((b"Bearer", 0.01), (b"2001:db8", 0.01), (b" card ", 0.01), (b'"method"', 0.1)):
        assert sum(mark in text for text in texts) / COUNT == pytest.approx(share, abs=0.005)
    done = Normaliser().run(events, emitter="e", scenario_id="s", received_at=1.7e9)
    assert done.missing_ts / COUNT == pytest.approx(0.015, abs=0.004)
    assert done.missing_level / COUNT == pytest.approx(0.015, abs=0.004)
    assert done.masked["email"] / COUNT == pytest.approx(0.44, abs=0.02)
    assert done.masked["ipv4"] / COUNT == pytest.approx(0.44, abs=0.02)
    assert all(b'"msg":""' not in line for line in done.lines.splitlines())


def test_every_layout_has_the_same_part_and_all_are_read() -> None:
    events = corpus.events(len(LAYOUTS) * 200, "field", 3)
    keys = [{frozenset(event) for event in events[at :: len(LAYOUTS)]} for at in range(len(LAYOUTS))]
    assert len({frozenset(kinds) for kinds in keys}) == len(LAYOUTS)
    lines = Normaliser().run(events, emitter="e", scenario_id="s", received_at=1.7e9).lines.splitlines()
    times = [json.loads(line)["ts"] for line in lines]
    near = [time.startswith("2025-11-25T10:") for time in times]
    assert sum(near) / len(near) > 0.97
    assert sum(near) + sum(time.startswith("2023-11-14") for time in times) == len(times)
