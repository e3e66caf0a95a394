from __future__ import annotations

import pytest

from logops_fast.formats.answer_encoding import encoder_of
from logops_fast.formats.otlp_answers import encode_json, encode_protobuf
from logops_fast.http.exchange import Encoder
from tests.http.support import Echo, Wire, make_server, post


def chosen(*fields: bytes) -> Encoder | None:
    app = Echo()
    Wire(server=make_server(app)).send(post(b"", *fields))
    return encoder_of(app.requests[0])


@pytest.mark.parametrize(
    "content_type",
    [b"application/x-protobuf", b"Application/X-Protobuf; charset=utf-8", b"application/protobuf"],
)
def test_a_sender_of_protobuf_is_answered_in_protobuf(content_type: bytes) -> None:
    assert chosen(b"content-type: " + content_type) is encode_protobuf


def test_a_sender_of_json_is_answered_in_otlps_json_if_it_says_that_it_is_an_exporter() -> None:
    assert chosen(b"content-type: application/json") is None
    agent = b"user-agent: OTel-OTLP-Exporter-JavaScript/0.57.0"
    assert chosen(b"content-type: application/json", agent) is encode_json
    assert chosen(b"content-type: application/x-protobuf", agent) is encode_protobuf


@pytest.mark.parametrize("field", [b"content-type: text/plain", b"content-type: application/x-ndjson", b"x-other: 1"])
def test_all_others_are_answered_in_the_gateways_own_form(field: bytes) -> None:
    assert chosen(field) is None


def test_a_gateway_gets_the_own_form_whatever_it_forwards() -> None:
    assert chosen(b"content-type: application/x-protobuf", b"accept: application/vnd.logops+json") is None
