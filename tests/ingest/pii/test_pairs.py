"""Values of secrets' names in text: where a bare one ends, and what of long text is looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.pii.masker import Masker

MASKER = Masker()
FILL = st.integers(0, 9000).map(lambda size: "x " * size)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=a\\wb c", "password=*** c"),
        ("password=\\wa b", "password=*** b"),
        ("password=a\\nb c", "password=***\\nb c"),
        ("password=a\\", "password=***\\"),
        ("password=a,b", "password=***,b"),
        ("password= ,x", "password= ,x"),
        ("password=", "password="),
        ("password=" * 3000 + "x y", "password=*** y"),
        (("password=" + "x" * 5000 + " ") * 3 + "token=z", "password=*** " * 3 + "token=***"),
    ],
)
def test_a_bare_value_ends_where_text_goes_on(text: str, masked: str) -> None:
    assert MASKER.mask_text(text) == masked


@given(
    st.lists(
        st.sampled_from(["password=a", '"token": "b"', "<secret>c</secret>", "eyJa.b.c", "d.eyJa.eyJb"]).flatmap(
            lambda one: FILL.map(lambda fill: one + " " + fill)
        ),
        max_size=5,
    )
)
def test_long_text_is_masked_as_each_of_its_parts(parts: list[str]) -> None:
    assert MASKER.mask_text("".join(parts)) == "".join(map(MASKER.mask_text, parts))
