"""Content-Type to body format (contract 2)."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Format(Enum):
    """The body formats that can be parsed."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PLAIN = "plain"
    LOKI = "loki"
    """Loki's push in protobuf, out of its snappy block."""
    LOKI_JSON = "loki_json"
    SYSLOG = "syslog"
    """Messages of syslog connections; see formats/syslog_text.py."""
    SYSLOG_UDP = "syslog_udp"
    """Messages of datagrams, whose source address proves nothing: their events say so."""
    OTLP = "otlp"
    """An ExportLogsServiceRequest in protobuf."""
    OTLP_JSON = "otlp_json"

    @property
    def label(self) -> str:
        """Return the format's name as a metric label."""
        return self.value


_FORMATS: Final[dict[bytes, Format]] = {
    b"": Format.JSON,  # no Content-Type, or an empty one, means JSON
    b"application/json": Format.JSON,
    b"application/x-ndjson": Format.NDJSON,
    b"application/ndjson": Format.NDJSON,
    b"application/jsonl": Format.NDJSON,
    b"application/jsonlines": Format.NDJSON,
    b"application/x-jsonlines": Format.NDJSON,
    b"application/x-json-stream": Format.JSON,  # objects one after another, with or without newlines between
    b"text/csv": Format.CSV,
    b"text/tab-separated-values": Format.CSV,
    b"text/plain": Format.PLAIN,
    # Between the gateways alone: what came to Loki's path, decoded.
    b"application/vnd.logops.loki+protobuf": Format.LOKI,
    b"application/vnd.logops.loki+json": Format.LOKI_JSON,
    b"application/vnd.logops.syslog": Format.SYSLOG,  # between the gateways
    b"application/vnd.logops.syslog-udp": Format.SYSLOG_UDP,
    b"application/x-protobuf": Format.OTLP,
    b"application/protobuf": Format.OTLP,
    b"application/vnd.logops.otlp+json": Format.OTLP_JSON,  # between the gateways alone
}

LOKI_PATH: Final = b"/loki/api/v1/push"

_LOKI_FORMATS: Final[dict[bytes, Format]] = {
    b"": Format.LOKI,
    b"application/x-protobuf": Format.LOKI,
    b"application/protobuf": Format.LOKI,
    b"application/octet-stream": Format.LOKI,
    b"application/json": Format.LOKI_JSON,
}


def format_of(content_type: bytes | None) -> Format | None:
    """Return the format that a Content-Type names, or None if it names no known one (415).

    Case and parameters make no difference (RFC 9110, 8.3.1); no Content-Type means JSON, as does any
    ``application/*+json`` (RFC 6839, 3.1). The charset is charset.charset_of's. OTLP in JSON has no type of its own:
    BatchHead.settled finds it.
    """
    if content_type is None:
        return Format.JSON
    # The bare lower-case names that nearly every client sends are answered by one look-up.
    known = _FORMATS.get(content_type)
    if known is None:
        name = content_type.split(b";", 1)[0].strip().lower()
        known = _FORMATS.get(name)
        if known is None and name.startswith(b"application/") and name.endswith(b"+json") and b"," not in name:
            known = Format.JSON
    return known


def loki_format_of(content_type: bytes | None) -> Format | None:
    """Return the format of a body at LOKI_PATH, or None (415): JSON if it says so, else protobuf, as Loki has it."""
    return _LOKI_FORMATS.get((content_type or b"").split(b";", 1)[0].strip().lower())
