"""Cases of what loggers and collectors write, and what becomes of it: ``tests/data/field/*.jsonl``.

A case is one JSON object a line: ``id``, ``group``, ``source`` (who writes this) and ``why`` are for people;
``content_type`` and ``body`` are what is sent; ``expect`` has the stored events, each with the fields that are judged;
``missing_ts``, ``missing_level`` and ``rejected`` are the answer's counts. In ``expect``, null means that the field is
absent, ``"ts": "receipt"`` the time of receipt, and ``"*contains"`` a list of values of which each is somewhere in the
event.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from logops_fast.formats.media_type import Format
from logops_fast.ingest.normaliser import Normalised, Normaliser
from logops_fast.ingest.parsers.registry import parse

FIELD = Path(__file__).parents[1] / "data" / "field"
NOW = 1795608000.0  # 2026-11-25T12:00:00Z
RECEIPT = "2026-11-25T12:00:00.00"
FORMATS = {"application/json": Format.JSON, "application/x-ndjson": Format.NDJSON, "text/csv": Format.CSV}


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file."""
    return [json.loads(line) for line in (FIELD / name).read_text("utf-8").splitlines()]


@cache
def normaliser() -> Normaliser:
    """A normaliser with the defaults, made once: it takes longer than a case."""
    return Normaliser()


def stored(case: dict[str, Any]) -> tuple[list[dict[str, Any]], Normalised, int]:
    """What is stored of a case: the events, the counts, and how many items were rejected."""
    parsed = parse(FORMATS[case["content_type"]], case["body"].encode(), NOW)
    done = normaliser().run(parsed.events, emitter="web", scenario_id="na", received_at=NOW)
    return [json.loads(line) for line in done.lines.splitlines()], done, len(parsed.faults)


def differences(event: dict[str, Any], expect: dict[str, Any]) -> Iterator[str]:
    """What is not as expected, one text each."""
    for name, value in expect.items():
        got = event.get(name)
        if name == "*contains":
            for item in value:
                if not holds(event, item):
                    yield f"{item!r} is nowhere in {event}"
        elif name == "ts" and value == "receipt":
            if not str(got).startswith(RECEIPT):
                yield f"ts: {got!r} is not the time of receipt"
        elif not same(got, value):
            yield f"{name}: {got!r}, expected {value!r}"


def same(got: Any, want: Any) -> bool:
    """Whether two values are equal, where true is not 1."""
    if isinstance(got, bool) or isinstance(want, bool):
        return got is want
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(same(got[key], want[key]) for key in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(map(same, got, want))
    return bool(got == want)


def holds(node: Any, want: Any) -> bool:
    """Whether a value is somewhere in an event, perhaps as its text."""
    if same(node, want) or (isinstance(want, (int, float)) and node == json.dumps(want)):
        return True
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return any(holds(child, want) for child in children)
