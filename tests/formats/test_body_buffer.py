from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.body_buffer import BodyBuffer


def test_a_body_in_one_piece_is_passed_on_uncopied() -> None:
    buffer = BodyBuffer()
    piece = b"x" * 1000
    buffer.add(piece)
    assert buffer.size == 1000
    assert buffer.take() is piece
    assert (buffer.size, buffer.take()) == (0, b"")


@given(st.lists(st.binary(min_size=1, max_size=9)))
def test_pieces_make_the_body(pieces: list[bytes]) -> None:
    buffer = BodyBuffer()
    for number, piece in enumerate(pieces):
        buffer.add(piece)
        assert buffer.size == len(b"".join(pieces[: number + 1]))
    assert buffer.take() == b"".join(pieces)
    assert buffer.size == 0


def test_what_is_cleared_is_gone() -> None:
    buffer = BodyBuffer()
    buffer.add(b"a")
    buffer.add(b"b")
    buffer.clear()
    assert buffer.size == 0
    buffer.add(b"c")
    assert buffer.take() == b"c"
