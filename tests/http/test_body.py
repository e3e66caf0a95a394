from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.http.body import BodyDecoder, BodyError, ChunkedBody, FixedBody


def run(decoder: BodyDecoder, pieces: list[bytes]) -> tuple[bytes, bytes, str]:
    """Body, bytes left over behind it, and how it ended, as a connection would drive the decoder."""
    got: list[bytes] = []
    rest = b""
    for index, piece in enumerate(pieces):
        rest += piece
        try:
            rest = rest[decoder.feed(rest, 0, got.append) :]
        except BodyError as error:
            return b"".join(got), b"", error.refusal.detail
        if decoder.done:
            return b"".join(got), rest + b"".join(pieces[index + 1 :]), "done"
        assert len(rest) <= ChunkedBody.LONGEST_REST
    return b"".join(got), b"", "more"


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


def test_a_fixed_body_takes_its_bytes_and_leaves_the_next_request() -> None:
    got: list[bytes] = []
    body = FixedBody(5)
    assert body.feed(b"..hel", 2, got.append) == 5
    assert not body.done
    assert body.feed(b"loGET", 0, got.append) == 2
    assert body.done
    assert got == [b"hel", b"lo"]


def test_a_fixed_body_hands_on_whole_bytes_without_copying_them() -> None:
    got: list[bytes] = []
    data = bytes(1000)
    FixedBody(2000).feed(data, 0, got.append)
    assert got[0] is data


def test_a_fixed_body_emits_nothing_for_nothing() -> None:
    got: list[bytes] = []
    assert FixedBody(3).feed(b"ab", 2, got.append) == 2
    assert got == []


def test_small_chunks_of_one_feed_come_in_one_piece() -> None:
    got: list[bytes] = []
    data = b"1\r\na\r\n" * 50 + b"0\r\n\r\n"
    body = ChunkedBody()
    assert body.feed(data, 0, got.append) == len(data)
    assert body.done
    assert got == [b"a" * 50]


def test_a_million_one_byte_chunks_end_after_a_few_kilobytes() -> None:
    got: list[bytes] = []
    with pytest.raises(BodyError):
        ChunkedBody().feed(b"1\r\na\r\n" * 1_000_000, 0, got.append)
    assert sum(map(len, got)) < 2048


def test_chunks_of_a_short_line_each_are_never_too_small() -> None:
    body = b"".join(b"14\r\n%b\r\n" % (b"x" * 20) for _ in range(10_000)) + b"0\r\n\r\n"
    assert run(ChunkedBody(), [body]) == (b"x" * 200_000, b"", "done")


def test_data_in_front_of_a_fault_is_handed_over_first() -> None:
    got: list[bytes] = []
    with pytest.raises(BodyError):
        ChunkedBody().feed(b"5\r\nhello\r\n5\r\nworld!!", 0, got.append)
    assert got == [b"helloworld"]


@pytest.mark.parametrize("trailers", [b"", b"A: b\r\n", b"A:\r\nContent-Length: 7\r\nHost: x\r\n"])
def test_trailers_are_dropped_and_the_next_request_begins_after_them(trailers: bytes) -> None:
    assert run(ChunkedBody(), [b"2\r\nhi\r\n0\r\n" + trailers + b"\r\nGET /"]) == (b"hi", b"GET /", "done")


@pytest.mark.parametrize("size", [4095, 4096, 4097])
def test_trailers_have_a_limit(size: int) -> None:
    trailers = b"A: " + b"b" * (size - 7) + b"\r\n\r\n"
    assert len(trailers) == size
    whole = run(ChunkedBody(), [b"0\r\n" + trailers])
    assert (whole[2] == "done") is (size <= 4096)
    assert run(ChunkedBody(), split(b"0\r\n" + trailers, list(range(size)))) == whole


CHUNKISH = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=30).map(lambda data: b"%x\r\n%b\r\n" % (len(data), data)),
        st.binary(min_size=1, max_size=30).map(lambda data: b"%X;a=b\r\n%b\r\n" % (len(data), data)),
        st.sampled_from(
            [b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"0\r\nA b\r\n\r\n", b"5\r\n", b"\r\n", b"g", b";", b"\n", b"\r"]
        ),
        st.just(b"1\r\nx\r\n" * 900),
        st.binary(max_size=3),
    ),
    max_size=12,
).map(b"".join)


@given(CHUNKISH, st.lists(st.integers(min_value=0), max_size=20))
def test_how_chunks_were_split_never_matters(data: bytes, cuts: list[int]) -> None:
    assert run(ChunkedBody(), split(data, cuts)) == run(ChunkedBody(), [data])


@given(st.lists(st.binary(min_size=1, max_size=40)), st.binary(max_size=10))
def test_what_was_chunked_comes_out_again(chunks: list[bytes], behind: bytes) -> None:
    # Well formed, but a chunk of less than about ten bytes has to be among larger ones.
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert run(ChunkedBody(), [data + behind]) == (b"".join(chunks), behind, "done")
