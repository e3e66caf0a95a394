"""URLs of servers, taken apart."""

from __future__ import annotations

import pytest

from logops_fast.http.endpoint import Endpoint

ENDPOINTS = {
    "http://h": Endpoint(False, "h", 80, b"h", b"/"),
    "http://h:80/v1/logs": Endpoint(False, "h", 80, b"h", b"/v1/logs"),
    "https://H.example:443/a?b=c": Endpoint(True, "h.example", 443, b"h.example", b"/a?b=c"),
    "http://127.0.0.1:8080/v1/logs": Endpoint(False, "127.0.0.1", 8080, b"127.0.0.1:8080", b"/v1/logs"),
    "https://[2001:db8::1]:8443/": Endpoint(True, "2001:db8::1", 8443, b"[2001:db8::1]:8443", b"/"),
}


def test_urls_are_taken_apart() -> None:
    for url, endpoint in ENDPOINTS.items():
        assert Endpoint.parse(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://h/",
        "http://",
        "http://h:0/",
        "http://h:65536/",
        "http://h:x/",
        "http://u:p@h/",
        "http://h/#f",
        "http://h/a b",
        "http://h/\r\nx: y",
        "http://h\u00e9/",
        "http://[::1/",
        "http://[zz::1]/",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Endpoint.parse(url)
