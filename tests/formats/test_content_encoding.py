from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.formats.content_encoding import MAX_MEMBERS, EncodingError, decode, decoding, supported
from tests.support.tables import each_of

CAP = 1 << 20
BODY = b'{"msg":"hello"}\n' * 1000


def streamed_zstd(data: bytes) -> bytes:
    """A frame whose header does not tell its size."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


PACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"zstd": zstandard.compress,
    b" ZSTD ": streamed_zstd,
}
packed = pytest.mark.parametrize("encoding", PACKERS)


def refusal(body: bytes, encoding: bytes, cap: int = CAP) -> tuple[int, str]:
    with pytest.raises(EncodingError) as caught:
        decode(body, encoding, cap)
    assert caught.value.refusal.detail.endswith(".")
    return caught.value.refusal[:2]


@each_of("encoding", [None, b"", b"identity", b"Identity"])
def test_an_uncoded_body_comes_back_as_it_is(encoding: bytes | None) -> None:
    assert decode(BODY, encoding, CAP) is BODY


@packed
def test_a_coded_body_is_decoded(encoding: bytes) -> None:
    assert decode(PACKERS[encoding](BODY), encoding, CAP) == BODY


@packed
def test_several_members_are_one_body(encoding: bytes) -> None:
    pack = PACKERS[encoding]
    assert (
        decode(pack(b"a") + pack(b"") + pack(b"b" * 70_000) + pack(b"c"), encoding, CAP) == b"a" + b"b" * 70_000 + b"c"
    )


@packed
def test_the_cap_is_exact(encoding: bytes) -> None:
    body = PACKERS[encoding](BODY)
    assert len(decode(body, encoding, len(BODY))) == len(BODY)
    assert refusal(body, encoding, len(BODY) - 1) == (413, "too_large")


@packed
def test_the_cap_counts_all_members_together(encoding: bytes) -> None:
    assert refusal(PACKERS[encoding](BODY) * 3, encoding, 2 * len(BODY)) == (413, "too_large")


def test_an_uncoded_body_over_the_cap_is_refused() -> None:
    assert refusal(b"x" * 11, b"identity", 10) == (413, "too_large")


@packed
def test_a_bomb_stops_at_the_cap(encoding: bytes) -> None:
    bomb = PACKERS[encoding](bytes(16 << 20))
    tracemalloc.start()
    try:
        assert refusal(bomb, encoding) == (413, "too_large")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * CAP


def test_a_zstd_header_that_lies_about_its_size_is_no_bomb() -> None:
    frame = bytearray(zstandard.compress(bytes(8 << 20)))
    assert zstandard.frame_content_size(bytes(frame)) == 8 << 20
    frame[6:10] = (1000).to_bytes(4, "little")
    assert zstandard.frame_content_size(bytes(frame)) == 1000
    assert refusal(bytes(frame), b"zstd")[0] in (400, 413)


@packed
def test_each_cut_is_malformed(encoding: bytes) -> None:
    body = PACKERS[encoding](b"hello world")
    for length in range(1, len(body)):
        assert refusal(body[:length], encoding) == (400, "malformed"), length


@packed
@pytest.mark.parametrize("junk", [b"\0", b"junk", b"\x1f", b"\x1f\x8b", b"(", b"\x28\xb5\x2f\xfd"])
def test_junk_after_the_body_is_malformed(encoding: bytes, junk: bytes) -> None:
    assert refusal(PACKERS[encoding](BODY) + junk, encoding) == (400, "malformed")


def test_a_wrong_checksum_is_malformed() -> None:
    body = bytearray(gzip.compress(BODY))
    body[-6] ^= 1
    assert refusal(bytes(body), b"gzip") == (400, "malformed")


@packed
def test_a_body_of_nothing_but_empty_members_is_bounded(encoding: bytes) -> None:
    empty = PACKERS[encoding](b"")
    assert decode(empty * MAX_MEMBERS, encoding, CAP) == b""
    assert refusal(empty * (MAX_MEMBERS + 1), encoding) == (400, "malformed")


@packed
def test_an_empty_body_stays_empty(encoding: bytes) -> None:
    assert decode(b"", encoding, CAP) == b""


@pytest.mark.parametrize(
    "encoding", [b"br", b"deflate, gzip", b"gzip, gzip", b"gzip,zstd", b"identity, gzip", b"\xff", b"gzipp"]
)
def test_an_unknown_or_stacked_coding_is_415(encoding: bytes) -> None:
    assert not supported(encoding)
    assert refusal(BODY, encoding) == (415, "unsupported_encoding")


@pytest.mark.parametrize("encoding", [b"", b"identity", *PACKERS])
def test_what_can_be_decoded_is_said_to_be_supported(encoding: bytes) -> None:
    assert supported(encoding)


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("pack", [zlib.compress, raw_deflate])
def test_deflate_is_read_with_and_without_a_zlib_header(pack: Callable[[bytes], bytes]) -> None:
    assert supported(b"Deflate")
    for body in (BODY, b"x", bytes(3 << 20)):
        assert decode(pack(body), b"deflate", 3 << 20) == body
    assert refusal(pack(bytes(CAP + 1)), b"deflate") == (413, "too_large")
    assert refusal(pack(BODY)[:-1], b"deflate") == (400, "malformed")
    assert refusal(pack(BODY) + b"x", b"deflate") == (400, "malformed")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, streamed_zstd])
def test_no_step_makes_much_more_than_a_megabyte(pack: Callable[[bytes], bytes]) -> None:
    encoding = b"gzip" if pack is gzip.compress else b"deflate" if pack is zlib.compress else b"zstd"
    body = pack(bytes(16 << 20))
    steps = decoding(body, encoding, 16 << 20)
    assert sum(1 for _ in steps) >= 15


def test_a_bomb_is_refused_at_the_cap() -> None:
    bomb = gzip.compress(bytes(64 << 20), 1)
    made = [0]

    def counted() -> None:
        for _ in decoding(bomb, b"gzip", 4 << 20):
            made[0] += 1

    with pytest.raises(EncodingError):
        counted()
    assert made[0] < 5


def test_a_raw_deflate_stream_is_not_gzip() -> None:
    assert refusal(zlib.compress(BODY), b"gzip") == (400, "malformed")


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"zstd"]), st.booleans())
def test_arbitrary_bytes_raise_nothing_else(body: bytes, encoding: bytes, spoil_a_good_one: bool) -> None:
    if spoil_a_good_one:
        good = bytearray(PACKERS[encoding](BODY))
        for place in body:
            good[place % len(good)] ^= place
        body = bytes(good)
    try:
        assert len(decode(body, encoding, CAP)) <= CAP
    except EncodingError as error:
        assert error.refusal.status in (400, 413)  # noqa: PT017
