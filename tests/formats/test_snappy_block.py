from __future__ import annotations

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats import snappy_block
from logops_fast.formats.content_encoding import EncodingError
from logops_fast.formats.protobuf_wire import varint
from logops_fast.formats.snappy_block import AT_ONCE, STEP_ELEMENTS, compress, decode, decoding
from logops_fast.formats.steps import result_of
from tests.support.tables import each_of

CAP = 1 << 24
LITERAL, COPY_1, COPY_2, COPY_4 = 0, 1, 2, 3


def in_steps(block: bytes) -> bytes:
    """The decoder of long blocks, on a block of any length."""
    size, begin = snappy_block._declared(block)
    return result_of(snappy_block._decoding_long(block, begin, size))


def reason(block: bytes, cap: int = CAP) -> tuple[int, str]:
    with pytest.raises(EncodingError) as caught:
        decode(block, cap)
    return caught.value.refusal[:2]


runs = st.sampled_from([b"ab" * 99, b"\0" * 300, b"time=1 "])
bodies = st.lists(st.one_of(st.binary(max_size=80), runs)).map(b"".join)


@given(bodies)
def test_what_was_compressed_comes_back_by_either_decoder(body: bytes) -> None:
    block = compress(body)
    assert decode(block, CAP) == body
    assert in_steps(block) == body


elements = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=70).map(
            lambda text: (bytes((len(text) - 1 << 2,)) if len(text) <= 60 else bytes((60 << 2, len(text) - 1))) + text
        ),
        st.tuples(st.integers(0, 7), st.integers(0, 30)).map(lambda copy: bytes((copy[0] << 2 | COPY_1, copy[1]))),
        st.tuples(st.integers(0, 63), st.integers(0, 90)).map(lambda copy: bytes((copy[0] << 2 | COPY_2, copy[1], 0))),
        st.tuples(st.integers(0, 63), st.integers(0, 9)).map(
            lambda copy: bytes((copy[0] << 2 | COPY_4, copy[1], 0, 0, 0))
        ),
        st.binary(max_size=3),
    ),
    max_size=12,
).map(b"".join)


@given(elements, st.integers(0, 400))
def test_any_block_is_the_same_to_either_decoder(body: bytes, size: int) -> None:
    block = varint(size) + body
    try:
        expected: bytes | None = bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError:
        expected = None
    try:
        made: bytes | None = in_steps(block)
    except EncodingError:
        made = None
    assert made == expected


def test_an_empty_body_stays_empty() -> None:
    assert decode(b"", CAP) == b""
    assert decode(compress(b""), CAP) == b""


@each_of(
    "block",
    [b"\xff" * 5, b"\xff" * 12, b"\xff\xff\xff\xff\x7f", b"\x05\x00", compress(b"hello")[:-1],
     compress(b"hello") + b"x", b"\x02\x01\x05", b"{}", b"\x80"],
)  # fmt: skip
def test_what_is_no_block_is_malformed(block: bytes) -> None:
    assert reason(block) == (400, "malformed")


def test_a_declared_length_is_refused_before_room_is_made() -> None:
    assert reason(varint(CAP + 1) + b"\x00a") == (413, "too_large")
    assert reason(varint((1 << 32) - 1) + b"\x00a") == (413, "too_large")
    # Within the cap, but more than any elements could make of these few bytes.
    assert reason(varint(CAP) + b"\x00a" * 9) == (400, "malformed")


def test_a_long_block_of_tiny_elements_is_decoded_in_bounded_steps() -> None:
    count = AT_ONCE // 3 + 1
    block = varint(1 + count) + b"\x00a" + b"\x02\x01\x00" * count
    steps = decoding(block, CAP)
    assert len(list(steps)) == (count + 1) // STEP_ELEMENTS
    assert decode(block, CAP) == b"a" * (count + 1)
    with pytest.raises(EncodingError):
        decode(block[:-3], CAP)
