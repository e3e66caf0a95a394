"""The lingering close: after a last answer the rest of the request is read and dropped for a while.

Closing a socket with unread bytes in it makes the kernel send RST, on which the client may lose the answer (RFC 9112,
9.6).
"""

from __future__ import annotations

import asyncio
from typing import Final

LINGER: Final = 3.0
"""Seconds after the last answer; enough for a body of usual size."""

LINGER_BYTES: Final = 8_388_608
"""Bytes that are dropped before the connection is closed all the same."""


def begin_lingering(transport: asyncio.Transport, unread: bool) -> bool:
    """Close our half, once all is written; return whether to linger.

    ``unread``: whether the peer may still send. TLS has no half-close: there the peer knows by ``connection: close``.
    """
    if transport.can_write_eof():
        transport.write_eof()
        return True
    return unread
