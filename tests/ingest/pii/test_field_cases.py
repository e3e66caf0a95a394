"""What the field sends and what must become of it, case by case (tests/data/field/pii.jsonl), through the pipeline.

Fields of a case: ``content_type``, ``body``, ``headers``, ``settings`` (of ``pii``); ``must_not_contain`` and
``must_contain`` (texts in a line or in a decoded key or string of one), ``json_equal`` and ``json_absent`` (of the
first stored event), ``inner_json`` (fields whose text must be JSON), ``refusal_ok`` (a refusal is right, too).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
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


@cache
def normaliser(settings: str) -> Normaliser:
    """The normaliser for the settings of ``pii``, given as JSON; cases that share them share it."""
    pii = json.loads(settings)
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
    chosen = normaliser(json.dumps(case.get("settings", {}).get("pii", {}), sort_keys=True))
    stored = chosen.run(parsed.events, emitter="web", scenario_id=batch.scenario_id, received_at=NOW).lines
    rejected = rejected_lines(batch, parsed.faults, chosen.mask_text, NOW)
    return stored.splitlines(), rejected.splitlines()


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key occurs twice in an object")
    return dict(pairs)


def faults(case: dict[str, Any]) -> Iterator[str]:
    """What is not as a case demands, one text each."""
    try:
        stored, rejected = stored_and_rejected(case)
    except BatchHeaderError as refusal:
        if not case.get("refusal_ok"):
            yield f"refused: {refusal}"
        return
    if not stored:
        yield "nothing is stored"
        return
    events = [json.loads(line, object_pairs_hook=without_doubles) for line in stored]
    texts = [line.decode() for line in (*stored, *rejected)]
    texts += [text for line in (*stored, *rejected) for text in strings(json.loads(line))]
    for leak in case.get("must_not_contain", ()):
        yield from (f"{leak!r} leaks: {text!r}" for text in texts if leak in text)
    for kept in case.get("must_contain", ()):
        if not any(kept in text for text in texts):
            yield f"{kept!r} is nowhere in {texts}"
    first = events[0]
    for name, expected in case.get("json_equal", {}).items():
        if json.dumps(first.get(name), sort_keys=True) != json.dumps(expected, sort_keys=True):
            yield f"{name} is {first.get(name)!r}, not {expected!r}"
    yield from (f"{name} is there" for name in case.get("json_absent", ()) if name in first)
    for name in case.get("inner_json", ()):
        json.loads(first[name])


@pytest.mark.parametrize("group", dict.fromkeys(case["group"] for case in CASES))
def test_what_the_field_sends_is_masked_and_nothing_else(group: str) -> None:
    found = {case["id"]: list(faults(case)) for case in CASES if case["group"] == group}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES)
