"""Cuts in one pass come out as in three: merged, replaced, and asked whether any is in a key."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from logops_fast.ingest.pii.cuts import Cut, any_in_key, applied, merged, replaced
from logops_fast.ingest.pii.emails import _DOMAIN
from logops_fast.ingest.pii.walk import places

texts = st.text('ab":,{}', max_size=40).map(str.encode)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[bytes, list[Cut]]:
    text = draw(texts)
    spans = st.tuples(st.integers(0, len(text)), st.integers(0, 6), st.sampled_from([b"***", b".x.x"]))
    return text, [(start, min(start + size, len(text)), mask) for start, size, mask in draw(st.lists(spans))]


@given(cut_texts())
@example((b'{"a":"b"}', [(2, 3, b"x"), (2, 2, b"y"), (3, 3, b"z")]))
@example((b"ab", [(0, 0, b"x"), (0, 0, b"y")]))
def test_cuts_of_several_kinds_are_applied_as_if_merged_first(case: tuple[bytes, list[Cut]]) -> None:
    text, cuts = case
    expected = merged(cuts.copy())
    for names in (True, False):
        found = applied(text, cuts.copy(), sort=True, names=names)
        assert found == (replaced(text, expected), names and any_in_key(text, expected))
        assert applied(text, expected.copy(), sort=False, names=names) == found


@given(cut_texts())
def test_cuts_that_overlap_although_they_should_not_are_merged(case: tuple[bytes, list[Cut]]) -> None:
    text, cuts = case
    assume(any(second[0] < first[1] for first, second in pairwise(cuts)))
    assert replaced(text, cuts.copy()) == replaced(text, merged(cuts.copy()))
    assert applied(text, cuts.copy(), sort=False, names=False)[0] == replaced(text, merged(cuts.copy()))


@given(
    st.lists(
        st.sampled_from(["@", "a", "@example.com", "b@c.de", " " * 60, "@1.2.3.4", '"', "@" * 15, "@" * 16, "@" * 33])
    ).map("".join)
)
@example("a" + "@" * 16 + "example.com" + "@" * 17 + "c.de")
@example("@a.de" + "@" * 31 + "c.de" + "@" * 32 + "e.fr")
@example("a@b.co" + " " * 60 + "c@d.eu")
@example("a@b.co c@d.eu" + " " * 60 + "e@f.org")
def test_a_walk_by_the_sign_finds_what_the_pattern_finds(text: str) -> None:
    raw = text.encode()
    assert places(raw, b"@", _DOMAIN) == [found.start() for found in re.finditer(_DOMAIN, raw)]


@pytest.mark.interpreted
def test_a_pattern_is_not_tried_at_each_sign_of_a_run() -> None:
    looked: list[int] = []

    class Pattern:
        def match(self, text: bytes, at: int) -> None:
            looked.append(1)

        def finditer(self, text: bytes, at: int, stop: int | None = None) -> list[re.Match[bytes]]:
            looked.append((len(text) if stop is None else stop) - at)
            return []

    for run in (b"@" * 200_000, (b"@" * 500 + b"a") * 400):
        looked.clear()
        assert places(b"@a" + run, b"@", cast(Any, Pattern())) == []
        assert sum(looked) < len(run) // 10
