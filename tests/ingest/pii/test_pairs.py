"""Values of secrets' names in text: where a bare one ends, and what of long text is looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.pii.masker import Masker
from logops_fast.ingest.pii.names import NameRules
from logops_fast.ingest.pii.pairs import Pairs
from logops_fast.ingest.pii.triggers import endings_of
from tests.ingest.pii.support import cut
from tests.support.tables import each_of

MASKER = Masker()
FILL = st.integers(0, 9000).map(lambda size: "x " * size)


def pairs(*fields: str) -> Pairs:
    rules = NameRules(fields)
    endings = endings_of(rules)
    assert endings is not None
    return Pairs(rules, endings)


@each_of(
    ("text", "masked"),
    [
        (b'"m":"the \'password\'=hunter2 x"', b'"m":"the \'password\'=*** x"'),
        (b'"m":"the password\'=hunter2 x"', b'"m":"the password\'=*** x"'),  # its first quote was cut off
        (b'"m":"password::hunter2 x"', b'"m":"password::hunter2 x"'),
        (b'"m":"password := hunter2 x"', b'"m":"password := *** x"'),
    ],
)
def test_the_value_beside_a_name_is_masked(text: bytes, masked: bytes) -> None:
    cuts, fields, secrets = pairs().cuts(text)
    assert cut(text, cuts) == masked
    assert (fields, secrets) == (0, int(text != masked))


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
