from __future__ import annotations

from logops_fast.patterns import compile_possessive
from tests.support.tables import each_of


@each_of(
    ("pattern", "text", "end"),
    [
        (rb"(\.[0-9]++)?+", b".a", 0),
        (rb"(?:[a-z]|\.(?!x))*+", b"ab.x", 2),
        (rb"(?:[a-z]|(?!\.x)\.)*+", b"ab.x", 2),
        (rb"(?:\+[0-9]{2})?+", b"+1x", 0),
        (rb"(?:[a-z]|\xfc[^\x22])*+", b"ab\xfc\x22", 2),
    ],
)
def test_a_repetition_that_fails_is_given_back_whole(pattern: bytes, text: bytes, end: int) -> None:
    found = compile_possessive(pattern).match(text)
    assert found is not None
    assert found.end() == end
