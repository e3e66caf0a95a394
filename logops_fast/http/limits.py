"""The bounds of the HTTP server: sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one peer, and all of them together, may cost. Every value is at least 1 (rates and times: above 0)."""

    request_line: int = 8192
    """Bytes of the request line without its CRLF; past it 414 ``uri_too_long``."""
    header_fields: int = 64
    """Field lines of one request; past it 431 ``headers_too_large``."""
    header_bytes: int = 16_384
    """Bytes of all field lines together, their CRLFs and the closing empty line included; past it 431."""
    header_timeout: float = 10.0
    """Seconds from the first byte of a head to its last; past it 408 ``header_timeout``. The TLS handshake's too."""
    body_min_rate: int = 1024
    """Bytes per second at which a body must arrive once its grace period is used up; slower is 408 ``body_timeout``."""
    body_grace: float = 10.0
    """Seconds a body may lag behind ``body_min_rate``, at its start or in a pause."""
    idle_timeout: float = 75.0
    """Seconds a connection may wait for its next request; then it is closed without an answer."""
    first_byte_timeout: float = 10.0
    """Seconds a new connection may wait before its first byte; then it is closed without an answer."""
    max_connections: int = 10_000
    """Connections of the process; one more is answered 503 ``overloaded`` and closed."""
    max_connections_per_address: int = 1024
    """Connections from one address; one more is answered 503 ``too_many_connections`` and closed."""
    max_inflight_bytes: int = 268_435_456
    """Bytes of the process that wait to be read or answered; what would pass it is answered 503 ``overloaded``."""
