"""What is remembered by the text around it is what would be found there: repeated text is masked as if nothing were."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logops_fast.ingest.pii import emails, pairs, tokens
from logops_fast.ingest.pii.masker import Masker
from tests.ingest.pii.hostile import UNITS
from tests.ingest.pii.strategies import GLUE, NEAR, PII
from tests.support.examples import examples

MASKER = Masker(["nick"], ["kept"])
NAMES = ["password", "nick", "kept", "sig", "pwd", "cookie", "Set-Cookie", "authorization", "aKey", "x_token", "card"]
VALUES = [
    "x", "1", "***", "a b", "null", "'y'", '"z"', "[1]", "{2}", "a; b", "a&amp;b", "&#0034;", "a&b=c", "  7  ", "\\n",
]  # fmt: skip
AROUND = [
    *GLUE, "?", "&", "&amp;", "; ", "  ", "        ", " " * 40, "a" * 40, "0" * 40, '":"', "\\",
    "Bearer ", "bearer: ", "Digest ",
]  # fmt: skip
words = st.sampled_from([*NAMES, *VALUES, *AROUND, *UNITS, *PII, *NEAR, *(f"{name}=" for name in NAMES)])
texts = st.lists(st.lists(words, min_size=1, max_size=4).map("".join), min_size=1, max_size=4).flatmap(
    lambda units: st.lists(st.sampled_from(units), min_size=2, max_size=24).map("".join)
)


@pytest.mark.interpreted
@settings(max_examples=examples(10, 2))
@given(texts)
def test_repeated_text_is_masked_as_if_nothing_were_remembered(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (pairs, tokens, emails):
            patch.setattr(module, "_REMEMBERED", 0)
        expected = MASKER.mask_text(text)
    assert MASKER.mask_text(text) == expected
