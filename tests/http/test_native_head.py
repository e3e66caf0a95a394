"""What the kernel reads of a head is what the reference reads: `make test-native` runs these."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logops_fast.http.head import Head, PlainReader, parse_head, plain_head
from logops_fast.http.limits import HttpLimits
from logops_fast.runtime.wiring import plain_reader
from tests.http.cases import BAD, GOOD
from tests.http.support import SINGLE, post
from tests.support.examples import examples

pytestmark = pytest.mark.native

LIMITS = HttpLimits()
SMALL = HttpLimits(request_line=30, header_fields=4, header_bytes=80)

USUAL = (
    post(b"", b"User-Agent: curl/7.88.1", b"Accept: */*", b"Content-Type: application/json", b"X-Nonce: a.b~c-1"),
    post(
        b"",
        b"Accept-Encoding: gzip, deflate",
        b"Connection: keep-alive",
        b"X-Signature: ab+/cd==",
        b"content-encoding: gzip",
    ),
    post(b"", b"X-Timestamp: 2026-03-01T00:00:01+00:00", b"x-api-key:web-1", line=b"POST /v1/logs?a=b%20c&d HTTP/1.1"),
    post(b"", b"Content-Length: 0012", length=False),
)
LINES = (
    b"Host: logs.example",
    b"host:a:80",
    b"Host: [::1]",
    b"Host:",
    b"Host: a b",
    b"Content-Length: 5",
    b"Content-Length:05",
    b"content-length: 5 ",
    b"Content-Length: 1234567890123456789",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Keep-Alive, x",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"Proxy-Connection: x",
    b"X-Api-Key: a",
    b"x-API-key: a",
    b"X_Api_Key: a",
    b"A: b",
    b"a: b",
    b"A : b",
    b" A: b",
    b"A:\tb",
    b"A: b\t",
    b"A: \xe9",
    b"A: \x00",
    b"A: b\x7f",
    b"A: b\rc",
    b"A",
    b":a",
    b"",
    b"!#$%&'*+-.^`|~: 1",
    b"Keep-Alive: timeout=5",
    b"TE: trailers",
)
STARTS = (
    b"POST / HTTP/1.1",
    b"POST /a?b=/c?d HTTP/1.1",
    b"POST //a/%2E%2e HTTP/1.1",
    b"POST /a;b=c,d*e'f(g)!h@i$j&k+l:m~n HTTP/1.1",
    b"GET / HTTP/1.1",
    b"post / HTTP/1.1",
    b"POST / HTTP/1.0",
    b"POST / HTTP/2.0",
    b"POST a HTTP/1.1",
    b"POST /a#b HTTP/1.1",
    b"POST  / HTTP/1.1",
    b"POST / HTTP/1.1 ",
    b"POST /a\tb HTTP/1.1",
    b"POST * HTTP/1.1",
    b"POST /\xe9 HTTP/1.1",
    b"POST /",
    b'POST /<a>[b]{c}|d\\e^f"g HTTP/1.1',
)


def reader(limits: HttpLimits = LIMITS) -> PlainReader:
    found = plain_reader(limits)
    assert found is not None, "the kernel is not installed: make test-native installs it"
    return found


def is_read(read: PlainReader, block: bytes, limits: HttpLimits = LIMITS) -> bool:
    """Whether the kernel reads the head; it must then read what the reference does, which refuses none of these."""
    head = plain_head(read, b"x" + block + b"y", 1, len(block) + 1)
    if head is None:
        return False
    reference = parse_head(block, limits, SINGLE)
    for name in Head.__slots__:
        assert getattr(head, name) == getattr(reference, name), (name, block)
    return True


@pytest.mark.parametrize("block", USUAL)
def test_the_heads_of_most_senders_are_read(block: bytes) -> None:
    assert is_read(reader(), block)


def test_bad_heads_are_handed_back() -> None:
    read = reader()
    for case in BAD:
        end = case.data.find(b"\r\n\r\n") + 4
        if end >= 4:
            is_read(read, case.data[:end])


def test_good_heads_are_read_alike_or_handed_back() -> None:
    read = reader()
    found = [is_read(read, data[: data.find(b"\r\n\r\n") + 4]) for _, data in GOOD]
    assert any(found)


@given(st.sampled_from(STARTS), st.lists(st.sampled_from(LINES), max_size=6), st.booleans())
def test_heads_of_any_lines(start: bytes, lines: list[bytes], small: bool) -> None:
    limits = SMALL if small else LIMITS
    block = b"\r\n".join([start, b"Host: x", *lines, b"", b""])
    is_read(reader(limits), block[: block.find(b"\r\n\r\n") + 4], limits)


@given(
    st.sampled_from(USUAL),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=2), st.booleans()), max_size=3),
)
@settings(max_examples=examples(100))
def test_heads_with_bytes_changed(block: bytes, changes: list[tuple[int, bytes, bool]]) -> None:
    for place, piece, instead in changes:
        at = place % len(block)
        block = block[:at] + piece + block[at + len(piece) * instead :]
    end = block.find(b"\r\n\r\n") + 4
    if end >= 4:
        is_read(reader(), block[:end])


def test_the_limits_are_the_references() -> None:
    read = reader(SMALL)
    for size in range(10, 40):
        is_read(read, post(b"", line=b"POST /" + b"t" * size + b" HTTP/1.1", length=False), SMALL)
    for size in range(50, 90):
        is_read(read, b"POST / HTTP/1.1\r\nHost: " + b"x" * size + b"\r\n\r\n", SMALL)
    for number in range(8):
        fields = b"".join(b"A%d: b\r\n" % one for one in range(number))
        is_read(read, b"POST / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n", SMALL)
    assert is_read(read, b"POST / HTTP/1.1\r\nHost: " + b"x" * 70 + b"\r\n\r\n", SMALL)


def test_offsets_outside_the_data_read_nothing() -> None:
    assert reader()(USUAL[0], 5, len(USUAL[0]) + 1) is None
    assert reader()(USUAL[0], 9, 5) is None
