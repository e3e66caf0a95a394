"""The case list through nginx as the front: it gives the same verdict, or the reason for another is given here.

The verdict of nginx on a request is whether it forwards it. Where it forwards what the gateway refuses, it does so in
a form of its own making, so that both see one and the same request; that is checked as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.proxy import Proxy
from tests.http.cases import BAD, GOOD, Case
from tests.support.gateway import Gateway, request, running
from tests.support.nginx import nginx
from tests.support.wire import exchange

pytestmark = [pytest.mark.process, pytest.mark.service, pytest.mark.slow]

REFUSED_HERE_ALONE: dict[str, tuple[str, ...]] = {
    "nginx drops fields with an underscore in silence; a server behind CGI rules would read them as the dashed name, "
    "so the gateway refuses the few that matter": (
        "content_length",
        "content_length after a method that begins with an underscore",
        "transfer_encoding",
        "field b'X_Signature: a'",
    ),
    "nginx allows white space around a chunk size; RFC 9112, 7.1 has none there, and servers disagree on it": (
        "chunk size b'5 '",
        "chunk size b'5\\t'",
        "chunk size b'5 ;a'",
    ),
    "nginx takes any number of leading zeros; seventeen digits overflow somewhere": (
        "chunk size b'00000000000000005'",
    ),
    "nginx sets no bound to chunk extensions and trailers of its own; unbounded ones cost memory and hide things": (
        "extension too long",
        "trailers too long",
    ),
    "nginx takes a bare LF as the end of a line (RFC 9112, 2.2 allows it); smuggling lives on just that": (
        "size line ends in LF",
        "data ended by LF",
        "field b'A: b\\nC: d'",
        "bare LF behind the request line",
        "every line ends in LF",
        "bare LF ends the head",
    ),
    "nginx takes the LF in the data for the data's last byte and reads on leniently; it forwards what it counted": (
        "data shorter than its size",
    ),
    "nginx skips what follows the last chunk without looking at it": (
        "no CRLF behind the last chunk",
        "trailer with a space in its name",
        "trailer folded",
        "trailer with NUL",
    ),
    "nginx passes control characters in values on; RFC 9110, 5.5 calls them invalid": (
        "field b'A: b\\x07'",
        "field b'A: b\\x7f'",
    ),
    "nginx drops or repairs field lines whose name is no token": ("field b'\\xc3\\xa4: b'", "field b'A'"),
    "nginx does not know which fields must be single; for the gateway two answers to one question are none": (
        "field b'Content-Type: a/b\\r\\nContent-Type: a/c'",
        "field b'Content-Encoding: gzip\\r\\nContent-Encoding: gzip'",
        "x-signature twice",
    ),
    "nginx reads user@host as host; the gateway wants a bare host and port": ("host with user",),
    "nginx's limits were set wider than the gateway's, as in front of other services": (
        "all fields over the limit",
        "65 fields",
        "8 KiB + 1",
    ),
    "nginx passes over an Expect it does not know; RFC 9110, 10.1.1 allows 417": ("expect something else",),
    "nginx skips an empty line in front (RFC 9112, 2.2 allows it); the gateway's clients send none": (
        "empty line in front",
    ),
    "nginx reads any HTTP/1.x as 1.1, and a line without a version as HTTP/0.9": (
        "request line b'GET / HTTP/1.11'",
        "request line b'GET / HTTP/1.2'",
        "request line b'GET /'",
    ),
    "nginx takes more than one space in the request line (RFC 9112, 3 allows it); the grammar has exactly one": (
        "request line b'GET  / HTTP/1.1'",
        "request line b'GET /  HTTP/1.1'",
        "request line b'GET / HTTP/1.1 '",
    ),
    "nginx takes any byte in a target, and fragments; RFC 3986 has neither": (
        "request line b'GET /\\xe4 HTTP/1.1'",
        "request line b'GET /#a HTTP/1.1'",
    ),
    "nginx sets no bound to a method": ("request line b'MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM / HTTP/1.1'",),
    "nginx is a proxy and takes absolute targets, which RFC 9112, 3.2.2 asks of servers too; the signature is over the "
    "target as sent, so the gateway has one form only": ("request line b'GET http://logs.example/ HTTP/1.1'",),
}
REFUSED_BY_NGINX_ALONE: dict[str, tuple[str, ...]] = {
    "nginx decodes and normalises paths, and a NUL in one is an error; the gateway compares bytes: 404": (
        "percent and doubled slashes",
    ),
    "nginx wants methods in upper case; for the gateway it is an unknown method: 405": ("lower-case method",),
    "nginx refuses CONNECT whatever its target; the gateway answers 405": ("a proxy's method, own path",),
    "nginx wants a Host that is not empty; RFC 9112, 3.2 allows an empty one": ("empty host",),
}


@dataclass
class Front:
    """nginx, a recorder, and the gateway."""

    port: int
    gateway: Gateway
    seen: list[bytes]

    def verdict(self, data: bytes) -> tuple[bool, list[int]]:
        """Whether nginx forwarded the request, and the statuses of its answers."""
        before = len(self.seen)
        received = exchange(self.port, [data], timeout=3)
        answers = [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.1 ([2-5]\d\d)", received)]
        forwarded = len(self.seen) - before
        assert forwarded <= 1, self.seen[before:]
        # The kept connection behind nginx is still in step: the next request gets its own answer.
        assert request(self.port, "GET", "/healthz").json["status"] == "ok"
        return forwarded == 1, answers


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    with (
        running(folder / "ingest", "ingest") as gateway,
        Proxy(gateway.ingest_port) as between,
        nginx(folder / "nginx", between.port) as port,
    ):
        between.record = []
        yield Front(port, gateway, between.record)


def reasons(table: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Case names with the reason for each."""
    return {name: reason for reason, names in table.items() for name in names}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_what_the_gateway_refuses_nginx_refuses_or_the_reason_is_written(front: Front, case: Case) -> None:
    forwarded, _ = front.verdict(case.data)
    if forwarded:
        assert case.name in reasons(REFUSED_HERE_ALONE), front.seen[-1]


@pytest.mark.parametrize(("name", "data"), GOOD, ids=[name for name, _ in GOOD])
def test_what_the_gateway_takes_nginx_takes_or_the_reason_is_written(front: Front, name: str, data: bytes) -> None:
    forwarded, answers = front.verdict(data)
    assert len(answers) == 1
    if not forwarded:
        assert name in reasons(REFUSED_BY_NGINX_ALONE), answers


def test_every_written_reason_is_about_a_case_of_the_list() -> None:
    assert set(reasons(REFUSED_HERE_ALONE)) <= {case.name for case in BAD}
    assert set(reasons(REFUSED_BY_NGINX_ALONE)) <= {name for name, _ in GOOD}
