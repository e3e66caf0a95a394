"""Request heads: from bytes to a checked ``Head``, or to the refusal that fits.

Two HTTP parsers process each request (ours, and that of the gateway it is forwarded to), and whatever they read
differently is an attack. So a head is accepted only in the one form that no parser reads differently; all else is
refused and the connection closed. llhttp (through httptools) checks every byte of names and values, and this module
checks what llhttp accepts.

A parser lives for one head and sees nothing else: neither the body nor the next request. So it does not matter where
the bytes were split, and one parser costs 0.2 us to make.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from logops_fast.errors import LogOpsError
from logops_fast.http.limits import HttpLimits
from logops_fast.http.refusal import Refusal

SINGLE_FIELDS: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
        b"expect",
        b"authorization",
    }
)
"""Fields that HTTP itself allows once; a second one is refused, because two readers may pick a different one."""

PlainReader = Callable[[bytes, int, int], "tuple[bytes, bytes, dict[bytes, bytes], int | None] | None"]
"""Reads the head that lies between two offsets of the data, if it has the form that every reader of HTTP reads alike.

That is a POST of HTTP/1.1 with one Host, no field twice, and nothing of the framing but Content-Length. Returns target,
path, fields and Content-Length, as ``parse_head`` finds them; None for any other head, right or wrong.
"""

_VERSIONS: Final[Mapping[bytes, str]] = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
# Methods that llhttp parses as they are. Every other token is passed to it under another name (see below).
_METHODS: Final[Mapping[bytes, str]] = {
    method.encode(): method for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")
}
_LONGEST_METHOD: Final = 32
_LONGEST_LENGTH: Final = 18  # digits: below 2**63, so that no reader can overflow
_TOKEN_BYTES: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"  # RFC 9110, 5.6.2
_TOKEN: Final = re.compile(rb"[" + _TOKEN_BYTES + rb"]+")
_TOKEN_START: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_CODING: Final = re.compile(rb"[" + _TOKEN_BYTES + rb"]+(?:[ \t]*;[^,]*)?")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
# The bytes of uri-host and port (RFC 9110, 7.2); their order is not checked, because nothing here routes by host.
_HOST_BYTES: Final = b"-._~!$&'()*+,;=:[]%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CR: Final = 13
_TLS_HANDSHAKE: Final = 0x16  # RFC 8446, 5.1: the content type of a ClientHello's record


def bad_request(detail: str) -> Refusal:
    """400 ``bad_request``: what was sent is not HTTP in a form that this server accepts."""
    return Refusal(400, "bad_request", detail)


_TLS: Final = bad_request(
    "This port speaks plain HTTP, and a TLS handshake arrived: use http://, or the port that has TLS."
)
_NOT_HTTP: Final = bad_request("A request must begin with its method; the first byte cannot be part of one.")
_BARE_LF: Final = bad_request("Lines of a request head must end in CRLF, one ends in a bare LF.")
_BARE_CR: Final = bad_request("Lines of a request head must end in CRLF, one holds a bare CR.")
_BAD_LINE: Final = bad_request("The request line must be a method, a target and HTTP/1.1, one space between each.")
_BAD_TARGET: Final = bad_request("The request target must be a path that starts with '/' and has no fragment.")
_NO_HOST: Final = bad_request("An HTTP/1.1 request needs exactly one Host field.")
_BAD_HOST: Final = bad_request("The Host field holds characters that no host name has.")
_BAD_LENGTH: Final = bad_request("Content-Length must be one plain decimal number below 10^18.")
_TWO_LENGTHS: Final = bad_request("Content-Length and Transfer-Encoding together leave the body's end ambiguous.")
_BAD_CODING: Final = bad_request("Transfer-Encoding must be 'chunked', given once.")
_OLD_CHUNKED: Final = bad_request("HTTP/1.0 has no Transfer-Encoding.")
_CODING_UNKNOWN: Final = Refusal(501, "bad_request", "The only transfer coding this server knows is 'chunked'.")
_VERSION_UNKNOWN: Final = Refusal(505, "bad_request", "This server speaks HTTP/1.1 and HTTP/1.0.")
_BAD_EXPECT: Final = Refusal(417, "bad_request", "The only expectation this server can meet is '100-continue'.")


class HeadError(LogOpsError):
    """A head that is refused; the connection cannot be used any further."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class Head:
    """One request head. While it is parsed it is also llhttp's callback object, which saves an object and a copy."""

    __slots__ = (
        "chunked",
        "content_length",
        "expect_continue",
        "headers",
        "keep_alive",
        "method",
        "path",
        "target",
        "version",
    )

    method: str
    target: bytes
    """The request target as sent: nothing decoded, nothing collapsed."""
    path: bytes
    """The target up to its ``?``."""
    version: str
    headers: dict[bytes, bytes]
    """Lower-case names; values without the white space around them; repeated fields joined by ``", "``."""
    content_length: int | None
    chunked: bool
    keep_alive: bool
    expect_continue: bool

    def __init__(self, headers: dict[bytes, bytes] | None = None) -> None:
        self.headers = {} if headers is None else headers

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by llhttp for each field, with a checked name and value. Half of a head's cost: nothing more here."""
        self.headers[name.lower()] = value.strip()  # llhttp keeps the white space after a value


def plain_head(read: PlainReader, data: bytes, start: int, end: int) -> Head | None:
    """Read a head by ``read``; None if ``parse_head`` has to."""
    found = read(data, start, end)
    if found is None:
        return None
    target, path, headers, length = found
    head = Head(headers)
    head.target = target
    head.path = path
    head.content_length = length
    head.method = "POST"
    head.version = "1.1"
    head.chunked = False
    head.keep_alive = True
    head.expect_continue = False
    return head


def read_head(
    plain: PlainReader | None, data: bytes, start: int, end: int, limits: HttpLimits, single: frozenset[bytes]
) -> Head:
    """Read the head in ``data[start:end]``: by ``plain`` if there is one and it can, otherwise as ``parse_head`` does.

    Raises:
        HeadError: with the refusal to answer before the connection is closed.
    """
    head = None if plain is None else plain_head(plain, data, start, end)
    return parse_head(data[start:end], limits, single) if head is None else head


def parse_head(block: bytes, limits: HttpLimits, single: frozenset[bytes] = SINGLE_FIELDS) -> Head:
    """Parse one head, from its first byte to the empty line included.

    ``single`` are the lower-case names of fields that must not be repeated.

    Raises:
        HeadError: with the refusal to answer before the connection is closed.
    """
    line_end = block.find(b"\r\n")
    lines = block.count(b"\n")
    # That lines end in CRLF and nowhere else is not left to llhttp: it takes a bare LF after the target as the end of
    # an HTTP/0.9 line and reads on (nodejs/llhttp#877), and once took bare CRs between fields (CVE-2023-30589).
    if (
        line_end > limits.request_line
        or len(block) - line_end - 2 > limits.header_bytes
        or lines > limits.header_fields + 2
        or block.count(b"\r\n") != lines
        or block.count(b"\r") != lines
    ):
        _fail(block, limits, _BARE_CR)
    parts = block[:line_end].split(b" ")
    if len(parts) != 3:
        _fail(block, limits, _BAD_LINE)
    method, target, version = parts

    head = Head()
    known = _METHODS.get(method)
    if known is None:
        # llhttp knows a fixed list of methods, some with rules of their own (CONNECT, PRI); any token is a method
        # (RFC 9110, 9.1), and what to answer to it is the application's matter. So llhttp reads POST instead.
        if len(method) > _LONGEST_METHOD or not _TOKEN.fullmatch(method):
            _fail(block, limits, _BAD_LINE)
        known = method.decode("ascii")
        block_read = b"POST" + block[len(method) :]
    else:
        block_read = block
    head.method = known
    try:
        head.version = _VERSIONS[version]
    except KeyError:
        _fail(block, limits, _VERSION_UNKNOWN if _VERSION.fullmatch(version) else _BAD_LINE)
    # Origin form only (RFC 9112, 3.2.1): a gateway that also takes the absolute form has a second host to disagree on.
    # (find(), here and below: `in` tries its operand as a number first, which costs twice the search.)
    if target[:1] != b"/" or target.find(b"#") >= 0:
        _fail(block, limits, _BAD_TARGET)
    head.target = target
    query = target.find(b"?")
    head.path = target if query < 0 else target[:query]
    try:
        HttpRequestParser(head).feed_data(block_read)
    except HttpParserUpgrade:
        pass  # the offer to change protocols is ignored (RFC 9110, 7.8); the whole head has been read
    except HttpParserError as error:
        # llhttp's messages are fixed sentences, never text of the request.
        _fail(block, limits, bad_request(f"The request head is not valid HTTP/1.1: {error}."))
    if len(head.headers) != lines - 2:
        _join_repeated(head.headers, block[line_end + 2 : -4], single)
    if block.find(b"_") >= 0:
        _refuse_underscores(head.headers, single)
    _settle(head)
    return head


def _join_repeated(headers: dict[bytes, bytes], fields: bytes, single: frozenset[bytes]) -> None:
    """Some names are repeated: refuse those that must not be, join the others' values (RFC 9110, 5.2)."""
    headers.clear()
    for line in fields.split(b"\r\n"):  # llhttp has read them all, so each is a name, a colon and a value
        raw_name, _, value = line.partition(b":")
        name = raw_name.lower()
        if name not in headers:
            headers[name] = value.strip()
        elif name in single:
            raise HeadError(_NO_HOST if name == b"host" else bad_request(f"{_title(name)} must not be sent twice."))
        else:
            headers[name] += b", " + value.strip()


def _refuse_underscores(headers: dict[bytes, bytes], single: frozenset[bytes]) -> None:
    # A reader that maps names to variables (CGI, WSGI, some proxies) takes Content_Length for Content-Length.
    for name in headers:
        if b"_" in name and name.replace(b"_", b"-") in single:
            raise HeadError(bad_request(f"A field name with '_' can be read as {_title(name)}: write it with '-'."))


def _settle(head: Head) -> None:
    """Set what the fields mean for the connection and the body (RFC 9112, 6 and 9.3)."""
    headers = head.headers
    modern = head.version == "1.1"

    host = headers.get(b"host")
    if host is None:
        if modern:
            raise HeadError(_NO_HOST)
    elif host.translate(None, _HOST_BYTES):
        raise HeadError(_BAD_HOST)

    length = headers.get(b"content-length")
    coding = headers.get(b"transfer-encoding")
    head.content_length = None
    head.chunked = False
    if coding is not None:
        if length is not None:
            raise HeadError(_TWO_LENGTHS)
        if not modern:
            raise HeadError(_OLD_CHUNKED)
        if coding.lower() != b"chunked":
            raise HeadError(_CODING_UNKNOWN if _is_foreign_coding(coding) else _BAD_CODING)
        head.chunked = True
    elif length is not None:
        if not length.isdigit() or len(length) > _LONGEST_LENGTH:
            raise HeadError(_BAD_LENGTH)
        head.content_length = int(length)

    head.keep_alive = modern
    connection = headers.get(b"connection")
    if connection is not None:
        options = {option.strip() for option in connection.lower().split(b",")}
        if b"close" in options:
            head.keep_alive = False
        elif b"keep-alive" in options:
            head.keep_alive = True

    head.expect_continue = False
    expect = headers.get(b"expect")
    if expect is not None and modern:  # RFC 9110, 10.1.1: an HTTP/1.0 expectation is ignored
        if expect.lower() != b"100-continue":
            raise HeadError(_BAD_EXPECT)
        head.expect_continue = True


def _is_foreign_coding(coding: bytes) -> bool:
    """Whether a list is well formed and ends in its only ``chunked``, so that it is unknown rather than wrong."""
    codings = [one.strip() for one in coding.lower().split(b",")]
    return codings[-1] == b"chunked" and codings.count(b"chunked") == 1 and all(map(_CODING.fullmatch, codings))


def _title(name: bytes) -> str:
    return name.replace(b"_", b"-").decode("ascii").title()


def _fail(block: bytes, limits: HttpLimits, refusal: Refusal) -> NoReturn:
    # What scan_head finds comes first, because it may have been found, and answered, before the head was complete.
    raise HeadError(scan_head(block, limits) or refusal)


def scan_head(block: bytes, limits: HttpLimits) -> Refusal | None:
    """Return the first thing wrong with a head that may be incomplete: not HTTP, a bare LF, a limit passed.

    The answer depends only on the bytes up to the fault, so it is the same however they were split. Called with at
    least one byte, and only off the fast path: for heads that come in pieces and for bad ones.
    """
    first = block[0]
    if first == _TLS_HANDSHAKE:
        return _TLS
    if first not in _TOKEN_START:
        return _NOT_HTTP
    end = block.find(b"\n", 0, limits.request_line + 2)
    if end < 0:
        return uri_too_long(limits) if len(block) > limits.request_line + 1 else None
    if block[end - 1] != _CR:
        return _BARE_LF
    stop = end + 1 + limits.header_bytes
    fields = 0
    while True:
        newline = block.find(b"\n", end + 1, stop)
        if newline < 0:
            return headers_too_large(limits) if len(block) > stop else None
        if block[newline - 1] != _CR:
            return _BARE_LF
        if newline == end + 2:
            return None
        fields += 1
        if fields > limits.header_fields:
            return headers_too_large(limits)
        end = newline


def uri_too_long(limits: HttpLimits) -> Refusal:
    """414: the request line is over its limit."""
    return Refusal(414, "uri_too_long", f"The request line is longer than {limits.request_line} bytes.")


def headers_too_large(limits: HttpLimits) -> Refusal:
    """431: too many fields, or too many bytes of them."""
    return Refusal(
        431,
        "headers_too_large",
        f"The header is over the limit of {limits.header_fields} fields or {limits.header_bytes} bytes.",
    )
