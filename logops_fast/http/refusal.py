"""Refusals: every answer that is not a success has one shape and a fixed reason."""

from __future__ import annotations

from typing import NamedTuple

import orjson


class Refusal(NamedTuple):
    """A request that is turned away.

    ``reason`` is from the fixed vocabulary; ``detail`` is one sentence a person can act on and never holds
    unescaped text of the request. ``retry_after`` is in whole seconds; 429 and 503 carry at least 1.
    """

    status: int
    reason: str
    detail: str
    retry_after: int = 0

    def body(self) -> bytes:
        """The JSON body: ``{"error": reason, "detail": detail}``."""
        return orjson.dumps({"error": self.reason, "detail": self.detail})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Retry-After (RFC 9110, 10.2.3) for 429 and 503; x-backpressure-reason for 413 and 503."""
        fields: list[tuple[bytes, bytes]] = []
        if self.status in (429, 503):
            fields.append((b"retry-after", b"%d" % max(1, self.retry_after)))
        if self.status in (413, 503):
            fields.append((b"x-backpressure-reason", self.reason.encode()))
        return fields
