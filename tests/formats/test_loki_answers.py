from __future__ import annotations

from typing import Any, cast

import pytest

from logops_fast.formats.answer_encoding import encoder_of
from logops_fast.formats.loki_answers import encode
from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal
from tests.support.tables import each_of


def test_a_stored_batch_is_204_whatever_was_refused_in_it() -> None:
    answer = encode(Response(200, b'{"accepted":1,"rejected":2}', headers=((b"x-ratelimit-limit", b"5"),)))
    assert (answer.status, answer.body, tuple(answer.headers)) == (204, b"", ((b"x-ratelimit-limit", b"5"),))


@each_of("status", [400, 401, 403, 404, 413, 415, 422, 429, 500, 502, 503, 504])
def test_a_refusal_is_a_line_of_text_with_its_status_and_headers(status: int) -> None:
    answer = encode(Response.of(Refusal(status, "rate_limited", "Send less.", 7)))
    assert (answer.status, answer.body) == (status, b"rate_limited: Send less.\n")
    assert answer.content_type == b"text/plain; charset=utf-8"
    assert dict(answer.headers).get(b"retry-after") == (b"7" if status in (429, 503) else None)
    assert dict(answer.headers)[b"x-content-type-options"] == b"nosniff"


@each_of("body", [b"", b"<html>", b"[]", b'{"error":1}'])
def test_a_foreign_body_is_passed_on(body: bytes) -> None:
    assert encode(Response(502, body)).body == body


def test_the_end_of_a_connection_is_kept() -> None:
    assert encode(Response(413, b"{}", close=True)).close


class Asked:
    def __init__(self, path: bytes, headers: dict[bytes, bytes]) -> None:
        self.path = path
        self.headers = headers


@pytest.mark.interpreted  # a stand-in for a class that compiled code checks
@pytest.mark.parametrize("content_type", [b"application/x-protobuf", b"application/json", b"text/css"])
def test_lokis_path_is_answered_so_whatever_is_sent(content_type: bytes) -> None:
    def chosen(path: bytes, **headers: bytes) -> Any:
        fields = {b"content-type": content_type} | {name.encode(): value for name, value in headers.items()}
        return encoder_of(cast("Request", Asked(path, fields)))

    assert chosen(b"/loki/api/v1/push") is encode
    assert chosen(b"/loki/api/v1/push", accept=b"application/vnd.logops+json") is None
    assert chosen(b"/v1/logs") is not encode
