from __future__ import annotations

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from logops_fast.ingest.pii.escapes import has_controls, neutralise, restore


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("".join(map(chr, range(0x300))))
@example('\\\\"\\n\\u0001')
@example("\\" * 7 + '"')
@example("a\n\x01b\\" * 9 + " " * 2000)
@example("\x01\\" * 400 + " " * 40_000)
def test_neutral_text_has_no_escapes_and_comes_back_whole(text: str) -> None:
    written = orjson.dumps([text, {text: text}])
    neutral = neutralise(written)
    assert b"\\" not in neutral
    assert neutral.count(b'"') == 6
    assert restore(neutral) == written
    assert restore(neutral, controls=has_controls(written)) == written


@given(st.text('\\"\n\t\x00a', max_size=12))
def test_one_character_is_one_byte(text: str) -> None:
    assert len(neutralise(orjson.dumps(text))) == len(text) + 2


@given(
    st.lists(st.sampled_from(["\\", '"', "\n", "\t", "\r", "\b", "\f", "\x00", "\x1f", "u0001", "n", "é"]), max_size=40)
)
def test_many_escapes_in_little_text_read_as_few_in_much(pieces: list[str]) -> None:
    text = "".join(pieces)
    dense = neutralise(orjson.dumps(text))
    sparse = neutralise(orjson.dumps(text + " " * 2000))
    assert sparse == dense[:-1] + b" " * 2000 + b'"'
