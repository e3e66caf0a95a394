"""Lines, CSV and character sets as the field writes them: tests/data/field/text.jsonl, read at a fixed time.

A case: ``content_type``, ``body`` (``body_b64`` if it is not UTF-8), and in ``expect`` the stored events, each with the
fields that are judged. None: the field is absent. ``ts`` "receipt": the event gets the time of receipt. ``name~``: the
field contains this; ``name!``: the field differs from this.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from logops_fast.formats.batch import BatchHead
from logops_fast.formats.item_count import exact, upper_bound
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers.registry import parse
from tests.support.tables import each_of

NOW: Final = 1795600800.0  # 2026-11-25T10:00:00Z
CAP: Final = 1 << 20
FILE: Final = Path(__file__).parents[2] / "data" / "field" / "text.jsonl"
CASES: Final = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


NORMALISER: Final = Normaliser(mask=False)


def differences(event: dict[str, Any], want: dict[str, Any]) -> Iterator[str]:
    """What is not as expected in an event, one text each."""
    for name, value in want.items():
        got = event.get(name.rstrip("~!"))
        if name.endswith("~"):
            fine = value in str(got)
        elif name.endswith("!"):
            fine = got != value
        elif name == "ts" and value == "receipt":
            fine = str(got).startswith("2026-11-25T10:00:00")
        else:
            fine = got == value and type(got) is type(value)
        if not fine:
            yield f"{name}: {got!r} instead of {value!r}"


def faults(case: dict[str, Any]) -> Iterator[str]:
    """What is not stored as a case demands, one text each."""
    head = BatchHead.of({b"content-type": case["content_type"].encode()})
    sent = base64.b64decode(case["body_b64"]) if "body_b64" in case else case["body"].encode()
    body = head.decode(sent, CAP)
    parsed = parse(head.format, body, NOW)
    yield from (f"rejected: {fault.reason}" for fault in parsed.faults)
    if not exact(head.format, body) == len(parsed.events) <= upper_bound(head.format, body):
        yield "counted otherwise than parsed"
    stored = NORMALISER.run(parsed.events, emitter="web", scenario_id="na", received_at=NOW)
    events = [json.loads(line) for line in stored.lines.splitlines()]
    if len(events) != len(case["expect"]):
        yield f"{len(events)} events instead of {len(case['expect'])}"
        return
    for event, want in zip(events, case["expect"], strict=True):
        yield from differences(event, want)
    for name, got in (("missing_ts", stored.missing_ts), ("missing_level", stored.missing_level)):
        if got != case.get(name, got):
            yield f"{name}: {got} instead of {case[name]}"


@each_of("group", dict.fromkeys(case["group"] for case in CASES))
def test_a_body_is_stored_as_expected(group: str) -> None:
    found = {case["id"]: list(faults(case)) for case in CASES if case["group"] == group}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES)
