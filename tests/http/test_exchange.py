from __future__ import annotations

import pytest

from logops_fast.http.exchange import Response, render
from logops_fast.http.refusal import Refusal
from tests.support.tables import each_of

DATE = b"date: now\r\n"


def rendered(response: Response, *, head_only: bool = False, version: str = "1.1", close: bool = False) -> bytes:
    return render(response, DATE, head_only=head_only, version=version, close=close)


def test_an_answer_in_full() -> None:
    response = Response(200, b"hi", b"text/plain", [(b"allow", b"GET"), (b"x-a", b"b")], close=True)
    assert rendered(response, close=True) == (
        b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n"
        b"allow: GET\r\nx-a: b\r\nconnection: close\r\n\r\nhi"
    )


def test_the_answer_to_head_says_the_length_it_leaves_out() -> None:
    assert rendered(Response(200, b"hi"), head_only=True) == rendered(Response(200, b"hi")).removesuffix(b"hi")


def test_a_kept_http_1_0_connection_says_so() -> None:
    assert b"\r\nconnection: keep-alive\r\n" in rendered(Response(200, b""), version="1.0")
    assert b"\r\nconnection: close\r\n" in rendered(Response(200, b""), version="1.0", close=True)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_no_length(status: int) -> None:
    answer = rendered(Response(status, b""))
    assert b"content-" not in answer
    assert answer.endswith(b"date: now\r\n\r\n")


def test_an_unregistered_status_has_an_empty_phrase() -> None:
    assert rendered(Response(499, b"")).startswith(b"HTTP/1.1 499 \r\n")


@each_of("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b"])
@each_of("place", [0, 1])
def test_a_header_cannot_break_out_of_its_line(value: bytes, place: int) -> None:
    field = (value, b"x") if place == 0 else (b"x", value)
    with pytest.raises(ValueError, match="line break"):
        rendered(Response(200, b"", headers=[(b"a", b"b"), field]))


@each_of(
    ("refusal", "headers"),
    [
        (Refusal(401, "bad_signature", "No."), []),
        (Refusal(429, "rate_limited", "Wait.", 7), [(b"retry-after", b"7")]),
        (Refusal(503, "overloaded", "Wait."), [(b"retry-after", b"1"), (b"x-backpressure-reason", b"overloaded")]),
        (Refusal(413, "too_large", "Less."), [(b"x-backpressure-reason", b"too_large")]),
    ],
)
def test_a_refusal_renders_as_its_answer(refusal: Refusal, headers: list[tuple[bytes, bytes]]) -> None:
    response = Response.of(refusal)
    assert response.status == refusal.status
    assert response.body == b'{"error":"%b","detail":"%b"}' % (refusal.reason.encode(), refusal.detail.encode())
    assert response.content_type == b"application/json"
    assert list(response.headers) == headers
    assert not response.close
