"""A body in whatever pieces it arrives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.body_buffer import BodyBuffer


def test_a_body_in_one_piece_is_passed_on_uncopied() -> None:
    piece = bytes(range(256)) * 100
    buffer = BodyBuffer()
    buffer.add(piece)
    assert buffer.take() is piece


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_the_pieces_are_the_body(pieces: list[bytes]) -> None:
    buffer = BodyBuffer()
    for count, piece in enumerate(pieces, 1):
        buffer.add(piece)
        assert buffer.size == sum(map(len, pieces[:count]))
    assert buffer.take() == b"".join(pieces)


@given(st.lists(st.binary(min_size=1, max_size=5), max_size=4), st.lists(st.binary(min_size=1, max_size=5), max_size=4))
def test_nothing_of_a_body_is_left_for_the_next(first: list[bytes], second: list[bytes]) -> None:
    buffer = BodyBuffer()
    for piece in first:
        buffer.add(piece)
    buffer.clear()
    assert (buffer.size, buffer.take()) == (0, b"")
    for piece in second:
        buffer.add(piece)
    assert buffer.take() == b"".join(second)
    assert (buffer.size, buffer.take()) == (0, b"")
