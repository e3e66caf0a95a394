from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.http.head import Head, HeadError, PlainReader, parse_head, read_head, scan_head
from logops_fast.http.limits import HttpLimits
from tests.http.support import SINGLE, post
from tests.support.tables import each_of

LIMITS = HttpLimits()


def parse(*fields: bytes, line: bytes = b"POST /v1/logs HTTP/1.1", limits: HttpLimits = LIMITS) -> Head:
    return parse_head(post(b"", *fields, line=line, length=False), limits)


def refusal_of(block: bytes, limits: HttpLimits = LIMITS) -> tuple[int, str, str]:
    with pytest.raises(HeadError) as caught:
        parse_head(block, limits, SINGLE)
    refusal = caught.value.refusal
    assert str(caught.value) == refusal.detail
    return refusal.status, refusal.reason, refusal.detail


def test_names_are_lowered_and_values_lose_the_white_space_around_them() -> None:
    assert parse(b"X-Key: \t a b\t ", b"Empty: ").headers == {
        b"host": b"logs.example",
        b"x-key": b"a b",
        b"empty": b"",
    }


def test_the_target_is_kept_as_sent_and_the_path_ends_at_the_first_question_mark() -> None:
    head = parse(line=b"GET //a/%2E%2e//?b=/c?d HTTP/1.1")
    assert (head.method, head.target, head.path) == ("GET", b"//a/%2E%2e//?b=/c?d", b"//a/%2E%2e//")


@each_of("method", ["GET", "HEAD", "get", "BREW", "CONNECT", "PRI", "M-SEARCH", "X" * 32])
def test_every_token_is_a_method(method: str) -> None:
    assert parse(line=method.encode() + b" / HTTP/1.1").method == method


def test_repeated_fields_are_joined_in_order_unless_they_must_be_single() -> None:
    assert parse(b"Accept: a", b"ACCEPT: b", b"accept:c").headers[b"accept"] == b"a, b, c"
    assert refusal_of(post(b"", b"X-Api-Key: a", b"x-api-KEY: a"))[:2] == (400, "bad_request")
    assert parse(b"X-Api-Key: a", b"X-Api-Key: b").headers[b"x-api-key"] == b"a, b"


def test_the_framing_is_read_from_length_or_coding() -> None:
    head = parse(b"Content-Length: 0012")
    assert (head.content_length, head.chunked) == (12, False)
    head = parse(b"Transfer-Encoding: CHUNKED")
    assert (head.content_length, head.chunked) == (None, True)
    head = parse()
    assert (head.content_length, head.chunked) == (None, False)


@each_of(
    ("version", "connection", "kept"),
    [
        ("1.1", None, True),
        ("1.1", b"close", False),
        ("1.1", b"Close , x", False),
        ("1.1", b"keep-alive", True),
        ("1.1", b"keep-alive, close", False),
        ("1.1", b"closed", True),
        ("1.0", None, False),
        ("1.0", b"Keep-Alive", True),
        ("1.0", b"close", False),
    ],
)
def test_a_connection_is_kept_by_version_and_connection_options(
    version: str, connection: bytes | None, kept: bool
) -> None:
    fields = [] if connection is None else [b"Connection: " + connection]
    assert parse(*fields, line=f"GET / HTTP/{version}".encode()).keep_alive is kept


def test_an_expectation_counts_from_http_1_1_on() -> None:
    assert parse(b"Expect: 100-CONTINUE").expect_continue
    assert not parse().expect_continue
    assert not parse(b"Expect: anything", line=b"POST / HTTP/1.0").expect_continue


def test_http_1_0_needs_no_host() -> None:
    assert parse_head(b"GET / HTTP/1.0\r\n\r\n", LIMITS).headers == {}


def test_a_tls_hello_on_the_plain_port_is_answered_with_the_reason() -> None:
    status, reason, detail = refusal_of(b"\x16\x03\x01\x00\xa5\r\n\r\n")
    assert (status, reason) == (400, "bad_request")
    assert "TLS" in detail


def test_no_detail_repeats_text_of_the_request() -> None:
    for block in (post(b"", b"<script>: 1"), post(b"", line=b"<script> / HTTP/1.1"), post(b"", b"Host: <script>")):
        assert "script" not in refusal_of(block)[2]


@pytest.mark.parametrize("size", [199, 200, 201])
def test_the_limit_of_the_header_counts_fields_line_ends_and_the_empty_line(size: int) -> None:
    limits = HttpLimits(header_bytes=200)
    fields = b"Host: a\r\nA: "
    block = b"GET / HTTP/1.1\r\n" + fields + b"x" * (size - len(fields) - 4) + b"\r\n\r\n"
    if size <= 200:
        assert parse_head(block, limits).method == "GET"
        assert scan_head(block, limits) is None
    else:
        assert refusal_of(block, limits)[:2] == (431, "headers_too_large")


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5])
def test_each_field_counts_once_and_the_end_of_the_head_is_none(count: int) -> None:
    limits = HttpLimits(header_fields=4)
    block = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * count + b"\r\n"
    refusal = scan_head(block, limits)
    assert (refusal is None) == (count <= 4)
    assert scan_head(block + b"a body\r\n" * 9, limits) == refusal


def test_a_field_that_comes_twice_is_named_and_two_hosts_are_no_host() -> None:
    twice = post(b"", b"X-Signature: a", b"X-Signature: b")
    assert refusal_of(twice)[2] == "X-Signature must not be sent twice."
    with pytest.raises(HeadError, match="exactly one Host"):
        parse_head(post(b"", b"Host: b"), LIMITS)


@pytest.mark.parametrize("length", [None, 5])
def test_a_reader_of_plain_heads_is_asked_first(length: int | None) -> None:
    asked: list[tuple[bytes, int, int]] = []

    def read(data: bytes, start: int, end: int) -> tuple[bytes, bytes, dict[bytes, bytes], int | None]:
        asked.append((data, start, end))
        return b"/a?b", b"/a", {b"host": b"a"}, length

    head = read_head(read, b"..HEAD..", 2, 6, LIMITS, SINGLE)
    assert asked == [(b"..HEAD..", 2, 6)]
    assert (head.method, head.target, head.path, head.version) == ("POST", b"/a?b", b"/a", "1.1")
    assert (head.headers, head.content_length) == ({b"host": b"a"}, length)
    assert (head.chunked, head.keep_alive, head.expect_continue) == (False, True, False)


@pytest.mark.parametrize("reader", [None, lambda data, start, end: None], ids=["none", "one that cannot"])
def test_what_is_no_plain_head_is_parsed(reader: PlainReader | None) -> None:
    block = b"GET /a HTTP/1.0\r\n\r\n"
    head = read_head(reader, b"before" + block + b"after", 6, 6 + len(block), LIMITS, SINGLE)
    assert (head.method, head.path, head.version) == ("GET", b"/a", "1.0")
    with pytest.raises(HeadError):
        read_head(reader, b"GET /a\r\n\r\n", 0, 10, LIMITS, SINGLE)


@pytest.mark.parametrize("size", [99, 100, 101])
def test_the_limit_of_the_request_line_does_not_count_its_line_end(size: int) -> None:
    limits = HttpLimits(request_line=100)
    block = b"GET /" + b"x" * (size - 14) + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    if size <= 100:
        assert len(parse_head(block, limits).target) == size - 13
    else:
        assert refusal_of(block, limits)[:2] == (414, "uri_too_long")


HEADISH = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"GET",
                b"POST",
                b" ",
                b"/",
                b"HTTP/1.1",
                b"HTTP/1.0",
                b"\r\n",
                b"\r\n",
                b"\n",
                b"\r",
                b"Host: a",
                b"A: b",
                b"Content-Length: 5",
                b"Transfer-Encoding: chunked",
                b"\t",
                b"\0",
                b"#",
                b"GET /\nA:b HTTP/1.1\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\n",
                b"x" * 40,
            ]
        ),
        st.binary(max_size=3),
    ),
    max_size=14,
).map(lambda parts: (b"".join(parts) + b"\r\n\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n")


@given(HEADISH)
def test_what_is_refused_early_is_refused_whole_and_in_the_same_words(block: bytes) -> None:
    limits = HttpLimits(request_line=60, header_bytes=90, header_fields=3)
    early = next((found for end in range(1, len(block)) if (found := scan_head(block[:end], limits))), None)
    whole = None
    try:
        parse_head(block, limits, SINGLE)
    except HeadError as error:
        whole = error.refusal
    if early is not None or whole is None:
        assert whole == early


class Plain:
    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.whole = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.whole = True


@given(HEADISH)
def test_what_is_taken_means_the_same_to_plain_llhttp(block: bytes) -> None:
    try:
        head = parse_head(block, LIMITS, SINGLE)
    except HeadError:
        return
    plain = Plain()
    parser = httptools.HttpRequestParser(plain)
    if head.method in ("GET", "POST"):
        parser.feed_data(block)
        assert plain.whole
        assert parser.get_method().decode() == head.method
        assert plain.target == head.target
        assert {name.lower() for name, _ in plain.fields} == set(head.headers)
        assert parser.should_keep_alive() == head.keep_alive
