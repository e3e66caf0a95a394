"""Why a request had no answer, in a few words: they become keys of a counter, so they hold no address and no number."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Mapping
from typing import Final

from logops_fast.errors import one_line
from logops_fast.http.response_reader import ClientError

_MAX_WORDS: Final = 120  # characters
_TIMED_OUT: Final = "timed out"
_CLOSED: Final = "connection closed by the peer"
_NO_HTTP: Final = "not an HTTP answer"
_KINDS: Final[Mapping[str, str]] = {
    "connect_timeout": _TIMED_OUT,
    "read_timeout": _TIMED_OUT,
    "closed": _CLOSED,
    "protocol": _NO_HTTP,
}


def cause_of(error: BaseException) -> str:
    """Return the cause of an exception of ``HttpPool``, ``http.client``, ``socket`` or ``ssl``."""
    match error:
        case ClientError():
            words = cause_of(error.__cause__) if error.__cause__ else _KINDS.get(error.kind, error.detail)
        case ssl.SSLCertVerificationError():
            words = f"TLS: certificate verify failed: {error.verify_message}"
        case ssl.SSLError():
            words = f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
        case TimeoutError():
            words = _TIMED_OUT
        case socket.gaierror():
            words = "host name not found"
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            words = _CLOSED
        case http.client.HTTPException():
            words = _NO_HTTP
        case OSError() if error.errno:
            words = os.strerror(error.errno).lower()
        case _:
            words = type(error).__name__
    return one_line(words)[:_MAX_WORDS]
