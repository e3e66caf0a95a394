from __future__ import annotations

import json

from logops_fast.formats.batch import Batch
from logops_fast.formats.media_type import Format
from logops_fast.ingest.parsers.base import Fault
from logops_fast.ingest.rejected import rejected_lines, rfc3339
from tests.ingest.sink.support import NOON

BATCH = Batch(b"", next(iter(Format)), "web", "s-1", "b-1", True, 0.0)


def masked(text: str) -> str:
    return text.replace("bob@example.com", "b***@example.com")


def test_a_line_says_when_who_what_and_why() -> None:
    lines = rejected_lines(BATCH, [Fault(3, "not_an_object", '"bob@example.com"')], masked, NOON + 0.25)
    assert json.loads(lines) == {
        "ts": "2024-11-26T12:00:00.250Z",
        "emitter": "web",
        "scenario_id": "s-1",
        "batch_id": "b-1",
        "index": 3,
        "reason": "not_an_object",
        "text": '"b***@example.com"',
    }


def test_each_fault_is_one_line_whatever_its_text_holds() -> None:
    texts = ["", "a\nb\r\n", "\x00\x1b[31m", "\ud800 alone", "é\u2028"]
    lines = rejected_lines(BATCH, [Fault(i, "r", text) for i, text in enumerate(texts)], masked, NOON)
    assert lines.endswith(b"\n")
    read = [json.loads(line)["text"] for line in lines.split(b"\n")[:-1]]
    assert read == ["", "a\nb\r\n", "\x00\x1b[31m", "\\ud800 alone", "é\u2028"]


def test_no_fault_no_line() -> None:
    assert rejected_lines(BATCH, [], masked, NOON) == b""


def test_whole_seconds_have_milliseconds_too() -> None:
    assert rfc3339(NOON) == "2024-11-26T12:00:00.000Z"
