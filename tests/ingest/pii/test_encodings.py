"""Decoding: text that is made of a few encoded pieces is decoded as any other is, and faster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.pii.encodings import Decoded
from tests.support.tables import each_of

PIECES = [
    b"%", b"%41", b"%2541", b"%C3%A9", b"%4", b"%B4111111111111111^", b"%b4111111111111111%5E", b"&lt;", b"&amp;", b"&",
    b"&#64;", b"&#x40;", b"\xfc", b"\xfcn", b"\xfcu0041", b"\xfcx41", b"\xfc\xfd", b"\xfc\xfc", b"\x1b[0m", b"\x1b",
    b"a", b"41", b"lt;", b'"',
]  # fmt: skip
MANY = 4096


def decoded(text: bytes) -> list[bytes]:
    """The text as it reads at each level."""
    copy = Decoded(text)
    levels: list[bytes] = []
    while len(levels) < 4 and copy.decode():
        levels.append(copy.text)
    return levels


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_a_text_repeated_reads_as_the_text_does_each_time(pieces: list[bytes]) -> None:
    # The blank parts one from the next, so that nothing encoded is made of both.
    text = b"".join(pieces) + b" "
    times = MANY // len(text) + 1
    assert decoded(text * times) == [level * times for level in decoded(text)]


@each_of("piece", [piece for piece in PIECES if decoded(piece)])
def test_places_of_a_repeated_text_are_those_of_the_text_itself(piece: bytes) -> None:
    text = b"x" + piece + b" "
    small, large = Decoded(text), Decoded(text * MANY)
    assert small.decode()
    assert large.decode()
    size = len(small.text)
    for time in (0, 1, MANY - 1):
        for place in range(1, size):
            assert large.start_of(time * size + place) == time * len(text) + small.start_of(place)
            assert large.end_of(time * size + place) == time * len(text) + small.end_of(place)


@pytest.mark.parametrize("text", [b"%%%%" * MANY, b"%G1" * MANY, b"&;" * MANY], ids=["signs", "no digits", "no name"])
def test_a_text_of_signs_alone_is_not_encoded(text: bytes) -> None:
    assert not Decoded(text).decode()
