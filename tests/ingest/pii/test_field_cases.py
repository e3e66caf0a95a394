"""What the field sends and what must become of it, case by case (tests/data/field/pii.jsonl), through the pipeline.

Fields of a case: ``content_type``, ``body``, ``headers``, ``settings`` (of ``pii``); ``must_not_contain`` and
``must_contain`` (texts in a line or in a decoded key or string of one), ``json_equal`` and ``json_absent`` (of the
first stored event), ``inner_json`` (fields whose text must be JSON), ``refusal_ok`` (a refusal is right, too).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from logops_fast.formats.batch import BatchHead, BatchHeaderError
from logops_fast.ingest.encryption import DEFAULT_FIELDS, Encryptor
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.rejected import rejected_lines
from tests.ingest.pii.strategies import strings

NOW = 1_760_000_000.0
FILE = Path(__file__).parents[2] / "data" / "field" / "pii.jsonl"
CASES: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def normaliser(pii: dict[str, Any]) -> Normaliser:
    encryptor = None
    if pii.get("encrypt"):
        encryptor = Encryptor([pii["fernet_key"]], pii.get("encrypt_fields", DEFAULT_FIELDS))
    return Normaliser(fields=pii.get("fields", ()), keep=pii.get("keep", ()), encryptor=encryptor)


def stored_and_rejected(case: dict[str, Any]) -> tuple[list[bytes], list[bytes]]:
    """The lines that the pipeline writes for a case. Raises BatchHeaderError if it refuses the request."""
    headers = {"content-type": case["content_type"], "x-scenario-id": case["id"]}
    headers |= {name.lower(): value for name, value in case.get("headers", {}).items()}
    head = BatchHead.of({name.encode(): value.encode() for name, value in headers.items()})
    batch = head.batch(case["body"].encode(), "web", 0.0)
    parsed = registry.parse(batch.format, batch.body, now=NOW)
    chosen = normaliser(case.get("settings", {}).get("pii", {}))
    stored = chosen.run(parsed.events, emitter="web", scenario_id=batch.scenario_id, received_at=NOW).lines
    rejected = rejected_lines(batch, parsed.faults, chosen.mask_text, NOW)
    return stored.splitlines(), rejected.splitlines()


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key occurs twice in an object"
    return dict(pairs)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_what_the_field_sends_is_masked_and_nothing_else(case: dict[str, Any]) -> None:
    try:
        stored, rejected = stored_and_rejected(case)
    except BatchHeaderError:
        assert case.get("refusal_ok")
        return
    assert stored
    events = [json.loads(line, object_pairs_hook=without_doubles) for line in stored]
    texts = [line.decode() for line in (*stored, *rejected)]
    texts += [text for line in (*stored, *rejected) for text in strings(json.loads(line))]
    for leak in case.get("must_not_contain", ()):
        assert not [text for text in texts if leak in text]
    for kept in case.get("must_contain", ()):
        assert [text for text in texts if kept in text], kept
    first = events[0]
    for name, expected in case.get("json_equal", {}).items():
        assert json.dumps(first.get(name), sort_keys=True) == json.dumps(expected, sort_keys=True)
    for name in case.get("json_absent", ()):
        assert name not in first
    for name in case.get("inner_json", ()):
        json.loads(first[name])
