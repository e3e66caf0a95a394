"""Refusals: every answer that is not a success has one shape and a fixed reason."""

from __future__ import annotations

from typing import Literal, NamedTuple

import orjson

Reason = Literal[
    # HTTP (RFC 9110 and 9112)
    "bad_request",
    "not_found",
    "method_not_allowed",
    "header_timeout",
    "body_timeout",
    "uri_too_long",
    "headers_too_large",
    "internal_error",
    "overloaded",
    "too_many_connections",
    "draining",
    "no_worker",
    # who sent it
    "missing_headers",
    "bad_timestamp",
    "bad_nonce",
    "bad_content_sha256",
    "unknown_client",
    "clock_skew",
    "bad_signature",
    "bad_signature_version",
    "replay",
    "too_many_nonces",
    "tls_required",
    "emitter_not_allowed",
    "auth_failures",
    # what it is
    "bad_emitter",
    "bad_scenario_id",
    "bad_batch_id",
    "bad_tenant",
    "personal_data_in_name",
    "unsupported_media_type",
    "unsupported_charset",
    "unsupported_encoding",
    "too_large_hdr",
    "too_large",
    "too_many_items",
    "empty",
    "malformed",
    "otlp_not_supported",
    "unsupported_envelope",
    "no_valid_events",
    "batch_in_progress",
    "batch_id_reused",
    # what it would cost
    "rate_limited",
    # what it depends on
    "circuit_open",
    "downstream_error",
    "downstream_timeout",
    "sink_failed",
    "sink_stalled",
    "state_unavailable",
    # what the shipper depends on
    "loki_unreachable",
    "loki_refuses",
    "files_unreadable",
    "ship_failed",
]
"""The fixed vocabulary of refusals: in the answer's ``error``, in metrics and in docs/troubleshooting.md.

A type, so that a misspelt reason fails the type check instead of becoming a metric label nobody alerts on.
"""


class Refusal(NamedTuple):
    """A request that is turned away.

    ``reason`` is from the fixed vocabulary; ``detail`` is one sentence a person can act on and never contains
    unescaped text of the request. ``retry_after`` is in whole seconds; 429 and 503 carry at least 1.
    """

    status: int
    reason: Reason
    detail: str
    retry_after: int = 0

    def body(self) -> bytes:
        """Return the JSON body: ``{"error": reason, "detail": detail}``."""
        return orjson.dumps({"error": self.reason, "detail": self.detail})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return Retry-After (RFC 9110, 10.2.3) for 429 and 503, x-backpressure-reason for 413 and 503."""
        fields: list[tuple[bytes, bytes]] = []
        if self.status in (429, 503):
            fields.append((b"retry-after", b"%d" % max(1, self.retry_after)))
        if self.status in (413, 503):
            fields.append((b"x-backpressure-reason", self.reason.encode()))
        return fields
