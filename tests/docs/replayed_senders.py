"""What the senders send that the tests cannot install: requests made from the recipes.

Each function reads a recipe of docs/senders.md and returns the request that its sender makes of it; what a recipe
leaves out has the sender's default. Where a docstring says "source", the rules were read in that source code: Fluent
Bit's http and loki outputs, Vector's http and loki sinks, Logstash. The others follow their documentation.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import tomllib
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import yaml

SECONDS: Final = 1_764_064_800  # 2025-11-25T10:00:00Z
NANOSECONDS: Final = SECONDS * 10**9 + 123_456_789
MESSAGE: Final = "payment refused"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


class Sent(NamedTuple):
    """A request as its sender makes it: where to, with which fields, and the fields that its event must have."""

    host: str
    port: int
    path: str
    headers: dict[str, str]
    body: bytes
    stored: dict[str, Any]


def otel_collector(recipe: str) -> Sent:
    """Make the request of otlphttpexporter, by its documentation: protobuf, gzip by default."""
    exporter = yaml.safe_load(recipe)["exporters"]["otlphttp/logops"]
    headers = {"Content-Type": PROTOBUF, "User-Agent": "OpenTelemetry Collector Contrib/0.161.0 (linux/amd64)"}
    headers |= exporter["headers"]
    if exporter.get("compression", "gzip") == "gzip":
        headers["Content-Encoding"] = "gzip"
    return _to(exporter["logs_endpoint"], headers, gzip.compress(_otlp("INFO")), {"level": "INFO", "app": "shop"})


def fluent_bit_http(recipe: str) -> Sent:
    """Make the request of out_http (source: http.c, flb_pack.c): a record a line, with its time as ``date``."""
    output = _fluent_bit(recipe, "http")
    assert output["format"] == "json_lines"
    record = {"date": SECONDS + 0.123456, "log": MESSAGE, "stream": "stderr"}
    body = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    headers = {"Content-Type": "application/x-ndjson", "User-Agent": "Fluent-Bit"} | _fluent_bit_header(output)
    if output.get("compress") == "gzip":
        headers["Content-Encoding"], body = "gzip", gzip.compress(body)
    stored = {"ts": "2025-11-25T10:00:00.123456Z", "stream": "stderr"}
    return Sent(output["host"], output["port"], output["uri"], headers, body, stored)


def fluent_bit_opentelemetry(recipe: str) -> Sent:
    """Make the request of the opentelemetry output, by its documentation: protobuf, a string body under ``log``."""
    output = _fluent_bit(recipe, "opentelemetry")
    headers = {"Content-Type": PROTOBUF, "User-Agent": "Fluent-Bit"} | _fluent_bit_header(output)
    return Sent(output["host"], output["port"], output["logs_uri"], headers, _otlp(), {"app": "shop"})


def fluent_bit_loki(recipe: str) -> Sent:
    """Make the request of out_loki (source: loki.c): JSON, the record as a line of JSON, Basic credentials."""
    output = _fluent_bit(recipe, "loki")
    labels = dict(pair.strip().split("=") for pair in output["labels"].split(","))
    credentials = base64.b64encode(f"{output['http_user']}:{output['http_passwd']}".encode()).decode()
    headers = {"User-Agent": "Fluent-Bit", "Content-Type": JSON, "Authorization": f"Basic {credentials}"}
    line = json.dumps({"log": MESSAGE, "stream": "stderr"})
    body = json.dumps({"streams": [{"stream": labels, "values": [[str(NANOSECONDS), line]]}]}).encode()
    stored = {"ts": "2025-11-25T10:00:00.123456789Z", "stream": "stderr", "job": "fluent-bit", "app": "shop"}
    return Sent(output["host"], output["port"], "/loki/api/v1/push", headers, body, stored)


def vector_http(recipe: str) -> Sent:
    """Make the request of the http sink (source: src/sinks/http): ``framing`` and ``encoding`` choose type and body."""
    sink = _vector(recipe)
    assert (sink["encoding"]["codec"], sink["framing"]["method"]) == ("json", "newline_delimited")
    body = json.dumps(_VECTOR_EVENT, separators=(",", ":")).encode() + b"\n"
    headers = {"content-type": "application/x-ndjson", "user-agent": "Vector/0.58.0", "accept-encoding": "identity"}
    headers |= _bearer(sink["auth"])
    if sink["compression"] == "gzip":
        headers["content-encoding"], body = "gzip", gzip.compress(body)
    return _to(sink["uri"], headers, body, {"ts": _VECTOR_EVENT["timestamp"], "source_type": "file"})


def vector_loki(recipe: str) -> Sent:
    """Make the request of the loki sink (source: src/sinks/loki): snappy protobuf; the time moves to the entry."""
    sink = _vector(recipe)
    headers = {"content-type": PROTOBUF, "content-encoding": "snappy", "user-agent": "Vector/0.58.0"}
    headers |= _bearer(sink["auth"])
    line = json.dumps({name: value for name, value in _VECTOR_EVENT.items() if name != "timestamp"})
    body = _snappy(_push_request(sink["labels"], line))
    stored = {"ts": "2025-11-25T10:00:00.123456789Z", "app": "shop", "source_type": "file"}
    return _to(f"{sink['endpoint']}/loki/api/v1/push", headers, body, stored)


def vector_opentelemetry(recipe: str) -> Sent:
    """Make the request of the opentelemetry sink, by its documentation: an ExportLogsServiceRequest."""
    protocol = _vector(recipe)["protocol"]
    assert (protocol["type"], protocol["encoding"]["codec"]) == ("http", "otlp")
    headers = {"content-type": PROTOBUF, "user-agent": "Vector/0.58.0"} | _bearer(protocol["auth"])
    return _to(protocol["uri"], headers, _otlp("INFO"), {"level": "INFO", "app": "shop"})


def promtail(recipe: str) -> Sent:
    """Make the request of Promtail, by its documentation: snappy protobuf, without a Content-Encoding."""
    (client,) = yaml.safe_load(recipe)["clients"]
    return _push(client["url"], client["bearer_token"], "promtail/3.5.0")


def alloy(recipe: str) -> Sent:
    """Make the request of loki.write, by its documentation: the same as Promtail's."""
    settings = dict(re.findall(r'^\s*(\w+)\s*=\s*"(.*)"$', recipe, re.MULTILINE))
    return _push(settings["url"], settings["bearer_token"], "Alloy/v1.12.0")


def logstash(recipe: str) -> Sent:
    """Make the request of logstash-output-http (source): with ``json_batch`` an array of events as they are."""
    settings = dict(re.findall(r'^\s*(\w+) => "(.*)"$', recipe, re.MULTILINE))
    (header,) = re.findall(r'headers => \{ "(.*)" => "(.*)" \}', recipe)
    assert (settings["http_method"], settings["format"]) == ("post", "json_batch")
    event = {
        "@timestamp": "2025-11-25T10:00:00.123Z",
        "@version": "1",
        "message": MESSAGE,
        "host": {"name": "web-1"},
        "event": {"original": MESSAGE},
    }
    name, value = header
    headers = {"Content-Type": JSON, "User-Agent": "Manticore 0.9.1", name: value}
    return _to(settings["url"], headers, json.dumps([event]).encode(), {"ts": "2025-11-25T10:00:00.123Z"})


REPLAYED: Final[dict[str, Callable[[str], Sent]]] = {
    "otel-collector.yaml": otel_collector,
    "fluent-bit-http.yaml": fluent_bit_http,
    "fluent-bit-opentelemetry.yaml": fluent_bit_opentelemetry,
    "fluent-bit-loki.yaml": fluent_bit_loki,
    "vector-http.toml": vector_http,
    "vector-loki.toml": vector_loki,
    "vector-opentelemetry.toml": vector_opentelemetry,
    "promtail.yaml": promtail,
    "config.alloy": alloy,
    "logstash.conf": logstash,
}
"""The replayed recipes, and what makes the request of each."""

_VECTOR_EVENT: Final = {
    "file": "/var/log/shop.log",
    "host": "web-1",
    "message": MESSAGE,
    "source_type": "file",
    "timestamp": "2025-11-25T10:00:00.123456789Z",
}


def _to(url: str, headers: dict[str, str], body: bytes, stored: dict[str, Any]) -> Sent:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return Sent(parts.hostname, parts.port, parts.path, headers, body, stored)


def _push(url: str, token: str, agent: str) -> Sent:
    headers = {"Content-Type": PROTOBUF, "User-Agent": agent, "Authorization": f"Bearer {token}"}
    body = _snappy(_push_request({"filename": "/var/log/shop.log", "job": "shop"}, MESSAGE))
    return _to(url, headers, body, {"ts": "2025-11-25T10:00:00.123456789Z", "job": "shop"})


def _otlp(severity: str = "") -> bytes:
    """Encode an ExportLogsServiceRequest of one record (opentelemetry/proto/logs/v1/logs.proto)."""
    name = _field(1, "service.name") + _field(2, _field(1, "shop"))
    time = b"\x09" + struct.pack("<Q", NANOSECONDS)  # field 1, of eight bytes
    record = time + (_field(3, severity) if severity else b"") + _field(5, _field(1, MESSAGE))
    resource_logs = _field(1, _field(1, name)) + _field(2, _field(2, record))
    return _field(1, resource_logs)


def _push_request(labels: dict[str, str], line: str) -> bytes:
    """Encode a logproto.PushRequest of one entry (loki/pkg/push/push.proto)."""
    text = "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
    seconds, nanoseconds = divmod(NANOSECONDS, 10**9)
    time = b"\x08" + _varint(seconds) + b"\x10" + _varint(nanoseconds)
    return _field(1, _field(1, text) + _field(2, _field(1, time) + _field(2, line)))


def _field(number: int, value: bytes | str) -> bytes:
    """Encode a length-delimited field of protobuf."""
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _snappy(data: bytes) -> bytes:
    """Return a snappy block of literals alone, each of at most 60 bytes: their length is in the tag."""
    pieces = [data[start : start + 60] for start in range(0, len(data), 60)]
    return _varint(len(data)) + b"".join(bytes([len(piece) - 1 << 2]) + piece for piece in pieces)


def _fluent_bit(recipe: str, name: str) -> dict[str, Any]:
    (output,) = yaml.safe_load(recipe)["pipeline"]["outputs"]
    assert output["name"] == name
    return dict(output)


def _fluent_bit_header(output: dict[str, Any]) -> dict[str, str]:
    # A header is a name, a blank, and the rest.
    name, _, value = output["header"].partition(" ")
    return {name: value}


def _vector(recipe: str) -> dict[str, Any]:
    return dict(tomllib.loads(recipe)["sinks"]["logops"])


def _bearer(auth: dict[str, str]) -> dict[str, str]:
    assert auth["strategy"] == "bearer"
    return {"authorization": f"Bearer {auth['token']}"}
