"""Requests that HTTP servers are known to disagree on, with the one answer this server gives.

Each is a complete, bad request; whatever follows it must never be read as another.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.http.support import chunked, post


class Case(NamedTuple):
    name: str
    data: bytes
    status: int = 400
    reason: str = "bad_request"


def _with(*fields: bytes) -> bytes:
    return post(b"", *fields, length=False)


def _line(line: bytes) -> bytes:
    return post(b"", line=line, length=False)


def _chunks(body: bytes) -> bytes:
    return chunked(end=body)


_LENGTHS = [
    Case(f"content-length {value!r}", _with(b"Content-Length: " + value) + b"12345")
    for value in (b"+1", b"-0", b"-1", b"0_1", b"3 1", b"5, 5", b"", b"18446744073709551616", b"9" * 19, b"0x5", b"1.0")
] + [
    Case("content-length twice, the same", _with(b"Content-Length: 5", b"Content-Length: 5") + b"12345"),
    Case("content-length twice, different", _with(b"Content-Length: 5", b"Content-Length: 6") + b"123456"),
    Case("content-length, space before the colon", _with(b"Content-Length : 5") + b"12345"),
    Case("content-length with NUL", _with(b"Content-Length: 5\0") + b"12345"),
    Case("content_length", _with(b"Content_Length: 5") + b"12345"),
    Case(
        "content_length after a method that begins with an underscore",
        post(b"12345", b"Content_Length: 5", line=b"_POST / HTTP/1.1", length=False),
    ),
]

_TWO_CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
_CODINGS = [
    Case(f"transfer-encoding {value!r}", _with(b"Transfer-Encoding: " + value) + _TWO_CHUNKS, status)
    for value, status in (
        (b"chunked, gzip", 400),
        (b"gzip, chunked", 501),
        (b"gzip;q=1, chunked", 501),
        (b"gzip", 400),
        (b"identity", 400),
        (b"identity, chunked", 501),
        (b"chunkedchunked", 400),
        (b",chunked", 400),
        (b"chunked,", 400),
        (b"\xa0chunked", 400),
        (b"\x0bchunked", 400),
        (b"chunked, chunked", 400),
        (b'"chunked"', 400),
        (b"", 400),
    )
] + [
    Case("length, then coding", _with(b"Content-Length: 5", b"Transfer-Encoding: chunked") + _TWO_CHUNKS),
    Case("coding, then length", _with(b"Transfer-Encoding: chunked", b"Content-Length: 5") + _TWO_CHUNKS),
    Case("chunked twice", _with(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + _TWO_CHUNKS),
    Case(
        "chunked in HTTP/1.0",
        post(_TWO_CHUNKS, b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0", length=False),
    ),
    Case("transfer_encoding", _with(b"Transfer_Encoding: chunked") + _TWO_CHUNKS),
    Case("transfer-encoding, space before the colon", _with(b"Transfer-Encoding : chunked") + _TWO_CHUNKS),
    Case("transfer-encoding folded", _with(b"Transfer-Encoding:\r\n chunked") + _TWO_CHUNKS),
]

_CHUNKS = [
    Case(f"chunk size {size!r}", _chunks(size + b"\r\nhello\r\n0\r\n\r\n"))
    for size in (b"6_0", b"+5", b"-5", b"0x5", b"", b" 5", b"5 ", b"5\t", b"5 ;a", b"0" * 16 + b"5", b"g", b"5\0")
] + [
    Case("bare CR in an extension", _chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n")),
    Case("bare LF in an extension", _chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    Case("extension too long", _chunks(b"5;" + b"a" * 255 + b"\r\nhello\r\n0\r\n\r\n")),
    Case("size line ends in LF", _chunks(b"5\nhello\r\n0\r\n\r\n")),
    Case("data not ended by CRLF", _chunks(b"5\r\nhelloXX0\r\n\r\n")),
    Case("data ended by LF", _chunks(b"5\r\nhello\n0\r\n\r\n")),
    Case("data ended by CR", _chunks(b"5\r\nhello\rX0\r\n\r\n")),
    Case("data shorter than its size", _chunks(b"6\r\nhello\r\n0\r\n\r\n")),
    Case("no CRLF behind the last chunk", _chunks(b"0\r\nPOST / HTTP/1.1\r\n\r\n")),
    Case("one-byte chunks without end", _chunks(b"1\r\nx\r\n" * 3000)),
    Case("trailer with a space in its name", _chunks(b"0\r\nA b: c\r\n\r\n")),
    Case("trailer folded", _chunks(b"0\r\nA: b\r\n c\r\n\r\n")),
    Case("trailer with NUL", _chunks(b"0\r\nA: b\0\r\n\r\n")),
    Case("trailers too long", _chunks(b"0\r\n" + b"A: b\r\n" * 1000 + b"\r\n")),
]

_FIELDS = [
    Case(f"field {field!r}", _with(field))
    for field in (
        b"A: b\0c",
        b"A: b\rc",
        b"A: b\nC: d",
        b"A: b\x07",
        b"A: b\x7f",
        b"A\0: b",
        b"A\r: b",
        b"A\x7f: b",
        b"\xc3\xa4: b",
        b": b",
        b"A b: c",
        b"A",
        b"A: b\r\n c",
        b"A: b\r\n\tc",
        b"Host: other.example",
        b"Host: logs.example",
        b"X_Signature: a",
        b"Authorization: a\r\nauthorization: b",
        b"Content-Type: a/b\r\nContent-Type: a/c",
        b"Content-Encoding: gzip\r\nContent-Encoding: gzip",
    )
] + [
    Case("space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    Case("no host", b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"),
    Case("host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    Case("host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    Case("host with user", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    Case("x-signature twice", _with(b"X-Signature: a", b"x-signature: a")),
    Case("one field over the limit", _with(b"A: " + b"x" * 16_384), 431, "headers_too_large"),
    Case("all fields over the limit", _with(*[b"A: " + b"x" * 1000] * 17), 431, "headers_too_large"),
    Case("65 fields", _with(*[b"A: b"] * 64), 431, "headers_too_large"),
    Case("expect something else", _with(b"Expect: the-unexpected"), 417),
]

_LINES = [
    Case("bare LF in the request line", b"GET\n/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    # llhttp alone takes the next two: it reads the first line as HTTP/0.9's.
    Case("bare LF behind the target, a field in its line", b"POST /a\nHost:b HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
    Case("bare LF behind the target, a length in its line", b"POST /a\nA:b HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("bare CR behind the target", b"POST /a\rA:b HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("bare LF behind the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    Case("every line ends in LF", b"GET / HTTP/1.1\nHost: a\n\n"),
    Case("bare LF ends the head", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    Case("8 KiB + 1", _line(b"GET /" + b"a" * (8193 - 14) + b" HTTP/1.1"), 414, "uri_too_long"),
    Case("no end of the request line", b"A" * 9000, 414, "uri_too_long"),
    Case("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)),
    Case("garbage", bytes(range(0x80, 0x100))),
    Case("empty line in front", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
] + [
    Case(f"request line {line!r}", _line(line), status)
    for line, status in (
        (b"GET / HTTP/1.11", 400),
        (b"GET / HTTP/11.1", 400),
        (b"GET / HTTP/1,1", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET /", 400),
        (b"GET", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET /\tHTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET / HTTP/1.1\r", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET /\0 HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xe4 HTTP/1.1", 400),
        (b"GET /#a HTTP/1.1", 400),
        (b"G\xc4T / HTTP/1.1", 400),
        (b"G(T / HTTP/1.1", 400),
        (b"M" * 33 + b" / HTTP/1.1", 400),
        (b"OPTIONS * HTTP/1.1", 400),
        (b"CONNECT logs.example:443 HTTP/1.1", 400),
        (b"GET http://logs.example/ HTTP/1.1", 400),
        (b"GET logs.example HTTP/1.1", 400),
        (b"GET / RTSP/1.0", 400),
        (b"SOURCE / ICE/1.0", 400),
    )
]

BAD: list[Case] = [*_LENGTHS, *_CODINGS, *_CHUNKS, *_FIELDS, *_LINES]

GOOD: list[tuple[str, bytes]] = [
    ("get", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("post", post(b'{"msg": "x"}')),
    ("empty post", post(b"")),
    ("no length at all", post(b"", length=False)),
    ("length with zeros", post(b"", b"Content-Length: 005", length=False) + b"12345"),
    ("chunked", chunked(b"hello", b" ", b"world" * 100)),
    ("chunked, upper case", post(_TWO_CHUNKS, b"TRANSFER-ENCODING: Chunked", length=False)),
    ("chunked and empty", chunked()),
    ("chunk size in upper case, with zeros", _chunks(b"000A\r\n0123456789\r\n0\r\n\r\n")),
    ("chunk extension", _chunks(b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n')),
    ("longest chunk extension", _chunks(b"5;" + b"a" * 254 + b"\r\nhello\r\n0\r\n\r\n")),
    ("trailer Content-Length", _chunks(b"5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n")),
    ("trailer Host and key", _chunks(b"5\r\nhello\r\n0\r\nHost: b\r\nX-Api-Key: c\r\n\r\n")),
    ("64 fields", _with(*[b"A: b"] * 63)),
    ("longest request line", _line(b"GET /" + b"a" * (8192 - 14) + b" HTTP/1.1")),
    ("percent and doubled slashes", _line(b"GET //a/%2e%2e//b%00?x=%20//&y=? HTTP/1.1")),
    ("unknown method", _line(b"BREW /pot HTTP/1.1")),
    ("lower-case method", _line(b"post / HTTP/1.1")),
    ("a proxy's method, own path", _line(b"CONNECT / HTTP/1.1")),
    ("upgrade offered", _with(b"Connection: upgrade", b"Upgrade: websocket")),
    ("white space around a value", _with(b"A:\t b \t")),
    ("latin-1 in a value", _with(b"A: \xe4")),
    ("empty value", _with(b"A:")),
    ("underscore elsewhere", _with(b"X_Other: a_b")),
    ("repeated list field", _with(b"Accept: a", b"Accept: b")),
    ("kept HTTP/1.0", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ("expect 100", post(b"hello", b"Expect: 100-Continue")),
    ("expect 100 without a body", post(b"", b"Expect: 100-continue")),
    ("IPv6 host", b"GET / HTTP/1.1\r\nHost: [::1]:8081\r\n\r\n"),
    ("empty host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
]
