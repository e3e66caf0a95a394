"""OTLP/HTTP's answers: ExportLogsServiceResponse for what was stored, google.rpc.Status for what was refused.

Source: opentelemetry-proto, docs/specification.md, "OTLP/HTTP Response"; google/rpc/status.proto and code.proto.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from logops_fast.formats.protobuf_wire import bytes_field, int_field
from logops_fast.http.exchange import JSON, Response

PROTOBUF: Final = b"application/x-protobuf"

_NO_FAULT: Final = b'"rejected":0,'  # in the summary of nearly every batch, which then need not be parsed
_UNKNOWN: Final = 2
_CODES: Final = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    408: 4,  # DEADLINE_EXCEEDED
    413: 3,
    415: 3,
    429: 8,  # RESOURCE_EXHAUSTED
    500: 13,  # INTERNAL
    502: 14,  # UNAVAILABLE
    503: 14,
    504: 4,
}
_NEVER_RIGHT: Final = 422  # "the server MUST respond with HTTP 400": OTLP, "Failures: bad data"


def encode_protobuf(response: Response) -> Response:
    """Return the answer as a protobuf message."""
    if response.status < 300:
        rejected, sentence = _partial_success(response.body)
        body = b""
        if rejected:
            body = bytes_field(1, int_field(1, rejected) + bytes_field(2, sentence.encode()))
        return _like(response, 200, body, PROTOBUF)
    status, message = _status(response)
    body = int_field(1, _CODES.get(status, _UNKNOWN)) + bytes_field(2, message.encode())
    return _like(response, status, body, PROTOBUF)


def encode_json(response: Response) -> Response:
    """Return the answer as the JSON form of the message."""
    if response.status < 300:
        rejected, sentence = _partial_success(response.body)
        body = b"{}"
        if rejected:
            # 64-bit integers are text in protobuf's JSON.
            body = orjson.dumps({"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": sentence}})
        return _like(response, 200, body, JSON)
    status, message = _status(response)
    body = orjson.dumps({"code": _CODES.get(status, _UNKNOWN), "message": message})
    return _like(response, status, body, JSON)


def _like(response: Response, status: int, body: bytes, content_type: bytes) -> Response:
    return Response(status, body, content_type, response.headers, response.close, response.lines)


def _partial_success(summary: bytes) -> tuple[int, str]:
    """Return how many records of a stored batch were refused, and why; 0 if none was."""
    if _NO_FAULT in summary:
        return 0, ""
    held = _object(summary)
    rejected = held.get("rejected")
    if type(rejected) is not int or rejected <= 0:
        return 0, ""
    errors = held.get("errors")
    reasons = sorted({str(error["reason"]) for error in errors}) if isinstance(errors, list) else []
    return rejected, (
        f"{rejected} log records were refused ({', '.join(reasons)}) and are kept in the gateway's rejected file; "
        "do not send them again."
    )


def _status(response: Response) -> tuple[int, str]:
    """Return the status and the message of a refusal: its reason and its sentence."""
    held = _object(response.body)
    reason, detail = held.get("error", ""), held.get("detail", "")
    status = 400 if response.status == _NEVER_RIGHT else response.status
    return status, f"{reason}: {detail}" if detail else str(reason)


def _object(body: bytes) -> dict[str, Any]:
    try:
        held = orjson.loads(body)
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}
