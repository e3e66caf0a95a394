"""Loki's answers to a push: 204 for what was stored, a line of text for what was refused.

Loki's own are Go's ``http.Error``: text, and a status that senders go by. They retry 429 and 5xx, and drop the rest.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from logops_fast.http.exchange import Response

TEXT: Final = b"text/plain; charset=utf-8"


def encode(response: Response) -> Response:
    """Return the answer as Loki gives it; entries that were refused by themselves are no reason for another status."""
    if response.status < 300:
        return Response(204, b"", TEXT, response.headers, response.close, response.lines)
    return Response(
        response.status,
        _sentence(response.body),
        TEXT,
        (*response.headers, (b"x-content-type-options", b"nosniff")),
        response.close,
        response.lines,
    )


def _sentence(body: bytes) -> bytes:
    try:
        held: Any = orjson.loads(body)
        return f"{held['error']}: {held['detail']}\n".encode()
    except (ValueError, KeyError, TypeError):
        return body
