"""Walks by bytes find what patterns, `split` and `count` find."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from logops_fast.ingest.pii.walk import newlines, row_spans, rows_of, search

PATTERN = re.compile(rb"=(?=[0-9])")
texts = st.lists(st.sampled_from([b"=", b"=1", b"a", b"\n", b"bcd"]), max_size=40).map(b"".join)


@given(texts)
@example(b"=" * 30 + b"=1")
@example(b"=a" * 7 + b"=1")
@example(b"=a" * 8 + b"=1")
def test_a_search_by_the_sign_finds_the_first(text: bytes) -> None:
    found, expected = search(PATTERN, ord("="), text), PATTERN.search(text)
    assert (found and found.span()) == (expected and expected.span())


@given(texts, st.integers(0, 20), st.integers(0, 80))
@example(b"\n", 1, 0)
def test_newlines_are_counted(text: bytes, start: int, end: int) -> None:
    assert newlines(text, start, end) == text[start:end].count(b"\n")


@given(texts, st.lists(st.integers(0, 200), max_size=6))
def test_each_row_of_places_is_named_once_and_found_again(text: bytes, numbers: list[int]) -> None:
    places = [number % (len(text) + 1) for number in numbers]
    rows = rows_of(text, places.copy())
    assert rows == sorted({text[:place].count(b"\n") for place in places})
    lines = text.split(b"\n")
    assert [text[start:end] for start, end in row_spans(text, rows)] == [lines[row] for row in rows]
