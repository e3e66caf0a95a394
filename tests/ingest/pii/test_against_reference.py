from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.serialiser import to_lines
from tests.ingest.pii import reference
from tests.ingest.pii.strategies import events, texts, values


def masked(batch: list[dict[str, Any]], masker: Masker | None = None) -> list[dict[str, Any]]:
    lines = (masker or Masker()).mask_lines(to_lines(batch), batch, {})
    assert lines.endswith(b"\n")
    return [json.loads(line) for line in lines[:-1].split(b"\n")]


@settings(max_examples=200)
@given(texts)
@example("\t10.1.2.3")
@example("\x01a@b.co")
@example("\u00e9bob@example.com")
@example('\\"10.1.2.3\\"')
@example("a@b.com,c@d.com")
@example("a@b.com@c.com")
@example("[::1]:8080 2001:db8::1: up")
def test_a_string_is_masked_as_the_reference_masks_it(text: str) -> None:
    assert masked([{"k": text}]) == [{"k": reference.mask_string(text)}]
    assert Masker().mask_text(text) == reference.mask_string(text) or "\\u00" in text


@settings(max_examples=80)
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), values, min_size=1, max_size=4), min_size=1, max_size=4))
def test_every_event_of_a_batch_is_masked_as_the_reference_masks_it_however_deep(batch: list[dict[str, Any]]) -> None:
    out = masked(copy.deepcopy(batch))
    assert [shape(event) for event in out] == [shape(event) for event in batch]
    assert [leaves(event) for event in out] == [leaves(reference.mask_value(event)) for event in batch]


@settings(max_examples=80)
@given(events)
@example({"a@b.com": 1, "ab@b.com": 2, "a***@b.com": 3, "a***@b.com#2": 4})
@example({"10.1.2.3": {"10.1.9.9": 1, "10.1.8.8": 2}})
@example({'"\\a@b.com': 1})
def test_keys_are_masked_and_none_is_lost(event: dict[str, Any]) -> None:
    out = masked([copy.deepcopy(event)])[0]
    assert shape(out) == shape(event)
    for key, original in zip(keys(out), keys(event), strict=True):
        name = reference.mask_key(original)
        assert key == name or (key.startswith(name + "#") and key[len(name) + 1 :].isdecimal())


def shape(value: Any) -> Any:
    """How a value is nested, with the names and the leaves left out."""
    if isinstance(value, dict):
        return ("object", [shape(item) for item in value.values()])
    if isinstance(value, list):
        return ("array", [shape(item) for item in value])
    return None


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [name for key, item in value.items() for name in (key, *keys(item))]
    if isinstance(value, list):
        return [name for item in value for name in keys(item)]
    return []
