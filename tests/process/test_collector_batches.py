"""The largest bodies that collectors send by default are stored whole, on the settings that LogOps starts with.

Fluent Bit's `http` output sends chunks of up to 2 MB, with any number of lines, and drops a chunk that is answered 413.
Vector's `http` sink sends up to 10 MB (`batch.max_bytes`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, running

pytestmark = [pytest.mark.process, pytest.mark.slow]

LINES = 60_000
VECTOR_BYTES = 10_000_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("batches")) as running_gateway:
        yield running_gateway


def stored_since(gateway: Gateway, marks: dict[Path, int]) -> list[dict[str, str]]:
    """Return the events in the sink's files past ``marks``, which are moved to their ends."""
    events = []
    for path in sorted(gateway.sink.glob("*.ndjson")):
        text = path.read_bytes()[marks.get(path, 0) :]
        marks[path] = marks.get(path, 0) + len(text)
        events += [json.loads(line) for line in text.splitlines()]
    return events


def test_60_000_lines_of_fluent_bit_in_one_body(gateway: Gateway) -> None:
    marks: dict[Path, int] = {}
    stored_since(gateway, marks)
    records = [{"date": 1732528800 + number / 1000, "log": f"line {number}"} for number in range(LINES)]
    answer = gateway.send(records, headers={"User-Agent": "Fluent-Bit"})
    assert (answer.status, answer.json["accepted"], answer.json["missing_ts"]) == (200, LINES, 0)
    assert [event["msg"] for event in stored_since(gateway, marks)] == [record["log"] for record in records]

    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    answer = gateway.send(lines, content_type="application/x-ndjson", headers={"User-Agent": "Fluent-Bit"})
    assert (answer.status, answer.json["accepted"]) == (200, LINES)
    assert len(stored_since(gateway, marks)) == LINES


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
def test_10_mb_of_vector_in_one_body(content_type: str, gateway: Gateway) -> None:
    marks: dict[Path, int] = {}
    stored_since(gateway, marks)
    texts: list[str] = []
    size = 0
    while size < VECTOR_BYTES:
        stamp = f"2026-11-25T10:00:{len(texts) // 1000 % 60:02}.{len(texts) % 1000:03}Z"
        line = f"request {len(texts)} of a checkout that took {len(texts) % 97} ms and touched shard {len(texts) % 13}"
        event = {"file": "/var/log/app.log", "host": "web-1", "message": line, "timestamp": stamp}
        texts.append(json.dumps(event, separators=(",", ":")))
        size += len(texts[-1]) + 1
    body = "[" + ",".join(texts) + "]" if content_type == "application/json" else "\n".join(texts) + "\n"
    answer = gateway.send(body.encode(), content_type=content_type, headers={"User-Agent": "Vector/0.58.0"})
    assert (answer.status, answer.json["accepted"], answer.json["missing_ts"]) == (200, len(texts), 0)
    messages = [event["msg"] for event in stored_since(gateway, marks)]
    assert messages == [json.loads(text)["message"] for text in texts]
