"""The masks in the surroundings that the field has, and against the slow reference on any text."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_lines
from tests.ingest.pii import contexts, reference
from tests.ingest.pii.strategies import events, strings, texts
from tests.support.examples import examples

MASKER = Masker()


def masked(event: dict[str, Any], masker: Masker = MASKER) -> dict[str, Any]:
    lines = masker.mask_lines(to_lines([event]), [event], {})
    assert lines.count(b"\n") == 1
    stored: dict[str, Any] = json.loads(lines)
    return stored


def check(case: contexts.Case) -> None:
    """The text is stored as the reference says; nothing of the items is left, and JSON text stays JSON."""
    stored = masked({"msg": case.text, "o": {"l": [case.text], case.text: "v"}})
    key = next(name for name in stored["o"] if name != "l")
    raw = MASKER.mask_text(case.text)
    assert key == stored["msg"] == stored["o"]["l"][0] == raw == reference.masked(case.text), case
    if case.is_json:
        json.loads(stored["msg"])
    plain = reference.decoded(stored["msg"])
    for core in case.gone:
        assert core not in stored["msg"], case
        assert core not in plain, case
    for text in case.stays:
        assert text in stored["msg"], case


@settings(max_examples=examples(4, 2))
@given(st.integers(0, 2**32))
@example(9008310)  # a domain that begins like a token
@example(9076901)
def test_nothing_leaks_by_its_neighbours_or_its_encoding(seed: int) -> None:
    check(contexts.case(seed))


def shape(value: Any) -> Any:
    """How a value is nested, with the names and the leaves left out."""
    if isinstance(value, dict):
        return ("object", [shape(item) for item in value.values()])
    if isinstance(value, list):
        return ("array", [shape(item) for item in value])
    return None


@settings(max_examples=examples(3, 1.5))
@given(texts)
@example("\t10.1.2.3")
@example("\x01alice@example.com")
@example('\\"10.1.2.3\\"')
@example("[::1]:8080 2001:db8::1: up")
def test_what_the_reference_knows_is_never_left(text: str) -> None:
    for stored in (masked({"k": text})["k"], MASKER.mask_text(text)):
        assert not list(reference.leaks(stored))
        # Text with an escape cut in two may read as something else once it is decoded.
        if "%" not in text and "\\" not in text and "&" not in text:
            assert not list(reference.leaks(reference.decoded(stored)))


@settings(max_examples=examples(1.5, 1))
@given(events)
@example({"a@b.com": 1, "ab@b.com": 2, "a***@b.com": 3, "a***@b.com#2": 4})
@example({"10.1.2.3": {"10.1.9.9": 1, "10.1.8.8": 2}})
@example({'"\\a@b.com': 1})
def test_an_event_keeps_its_shape_and_no_string_leaks(event: dict[str, Any]) -> None:
    stored = masked(event)
    assert len(stored) == len(event)
    for text in strings(stored):
        assert not list(reference.leaks(text))
    # A value under a secret's name is masked whole.
    assert shape(masked(event, Masker(secrets=False))) == shape(event)
