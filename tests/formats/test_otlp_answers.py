from __future__ import annotations

import orjson
import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from logops_fast.formats.otlp_answers import encode_json, encode_protobuf
from logops_fast.http.exchange import Response
from logops_fast.http.refusal import Refusal
from tests.support.tables import each_of

STORED = Response(
    200, orjson.dumps({"accepted": 3, "rejected": 0, "errors": []}), headers=((b"x-ratelimit-limit", b"9"),)
)
PARTLY = Response(
    200,
    orjson.dumps({"accepted": 1, "rejected": 300, "errors": [{"index": 1, "reason": "event_too_large"}]}),
)
BUSY = Response.of(Refusal(503, "sink_failed", "Send it again.", 7))


def test_a_stored_batch_is_answered_by_an_empty_message() -> None:
    assert (encode_protobuf(STORED).status, encode_protobuf(STORED).body) == (200, b"")
    assert (encode_json(STORED).status, encode_json(STORED).body) == (200, b"{}")
    assert encode_protobuf(STORED).headers == encode_json(STORED).headers == STORED.headers
    assert encode_protobuf(STORED).content_type == b"application/x-protobuf"
    assert encode_json(STORED).content_type == b"application/json"


def test_refused_records_are_a_partial_success_with_their_number_and_why() -> None:
    binary, text = ExportLogsServiceResponse(), ExportLogsServiceResponse()
    binary.ParseFromString(encode_protobuf(PARTLY).body)
    json_format.Parse(encode_json(PARTLY).body, text)
    assert binary == text
    assert binary.partial_success.rejected_log_records == 300
    assert "event_too_large" in binary.partial_success.error_message


def test_a_refusal_is_a_status_with_reason_and_sentence_and_keeps_its_headers() -> None:
    binary, text = Status(), Status()
    binary.ParseFromString(encode_protobuf(BUSY).body)
    json_format.Parse(encode_json(BUSY).body, text)
    assert binary == text == Status(code=14, message="sink_failed: Send it again.")
    assert (b"retry-after", b"7") in encode_protobuf(BUSY).headers
    assert encode_protobuf(BUSY).status == 503


@pytest.mark.parametrize("encode", [encode_protobuf, encode_json])
def test_what_can_never_be_right_is_400(encode: object) -> None:
    refused = Response.of(Refusal(422, "no_valid_events", "None of the 2 events could be read."))
    assert callable(encode)
    assert encode(refused).status == 400


@each_of("body", [b"", b"<html>", b"[]", b'{"rejected":"many"}', b'{"rejected":-1}'])
@each_of("status", [200, 502])
def test_a_foreign_body_is_encoded_all_the_same(body: bytes, status: int) -> None:
    assert encode_protobuf(Response(status, body)).status == status
    assert encode_json(Response(status, body)).status == status
