"""The bodies that everything here is measured on: the same for us and for the others.

``mixed``: events of about 210 bytes, 30% with an e-mail address, 30% with an IPv4 address, a third under aliases
of ts, level and msg, 5% without ts or level, a few nested. ``clean``: the same without personal data. ``field``: what
the usual JSON loggers and collectors write, see `field_corpus`.
"""

from __future__ import annotations

import csv
import io
import random
from datetime import datetime
from typing import Any, Final, Literal

import orjson

from bench.field_corpus import field_event
from logops_fast.formats import snappy_block
from logops_fast.formats.media_type import LOKI_PATH
from logops_fast.formats.protobuf_wire import bytes_field, int_field

Kind = Literal["mixed", "clean", "field"]
BodyFormat = Literal["json", "ndjson", "csv", "plain", "otlp", "loki", "loki_json"]

CONTENT_TYPES: Final[dict[str, bytes]] = {
    "json": b"application/json",
    "ndjson": b"application/x-ndjson",
    "csv": b"text/csv",
    "plain": b"text/plain",
    "loki": b"application/x-protobuf",
    "loki_json": b"application/json",
    "otlp": b"application/x-protobuf",
}
TARGETS: Final[dict[str, bytes]] = {"loki": LOKI_PATH, "loki_json": LOKI_PATH}
"""Where a format goes, if not to the server's own path."""

_LEVELS: Final = ("INFO",) * 12 + ("WARN",) * 3 + ("ERROR",) * 2 + ("DEBUG",) * 3
_ALIASED_LEVELS: Final = {"INFO": "info", "WARN": "warning", "ERROR": "err", "DEBUG": "debug"}
_SERVICES: Final = ("checkout", "catalog", "payments", "identity", "search", "shipping")
_VERBS: Final = ("GET", "POST", "PUT", "DELETE")
_PATHS: Final = ("/api/v1/orders", "/api/v1/cart/items", "/health", "/login", "/api/v2/products/search")
_NAMES: Final = ("ana", "bob.smith", "chloe", "d.vader", "erin+news", "frank_l", "grace", "heidi")
_DOMAINS: Final = ("example.com", "mail.example.org", "corp.example.net")
_TEXTS: Final = (
    "request completed in {ms} ms with status {status} for {path}",
    "{verb} {path} returned {status} after {ms} ms, upstream pool 1.2.3 healthy",
    "cache miss on key session:{hex} while serving {path}, fell back to the database",
    "retrying call to inventory service (attempt 2 of 5) after timeout of {ms} ms",
    "order {hex} moved to state PAID, total 129.90 EUR, 3 items, warehouse 7",
)


def events(count: int, kind: Kind = "mixed", seed: int = 1) -> list[dict[str, Any]]:
    """``count`` events, the same for the same arguments."""
    rng = random.Random(seed)
    if kind == "field":
        return [field_event(rng, number) for number in range(count)]
    return [_event(rng, number, kind) for number in range(count)]


def _event(rng: random.Random, number: int, kind: Kind) -> dict[str, Any]:
    text = rng.choice(_TEXTS).format(
        ms=rng.randrange(1, 900),
        status=rng.choice((200, 200, 200, 201, 404, 500)),
        path=rng.choice(_PATHS),
        verb=rng.choice(_VERBS),
        hex=f"{rng.getrandbits(48):012x}",
    )
    if kind == "mixed":
        if rng.random() < 0.30:
            text += f" user {rng.choice(_NAMES)}@{rng.choice(_DOMAINS)}"
        if rng.random() < 0.30:
            text += f" from 10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    second = number % 60
    stamp = f"2026-03-{1 + number // 86400 % 28:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{second:02d}"
    stamp += f".{rng.randrange(1000):03d}Z"
    level = rng.choice(_LEVELS)
    aliased = rng.random() < 1 / 3
    event: dict[str, Any] = {}
    if rng.random() >= 0.05:
        event["timestamp" if aliased else "ts"] = stamp
    if rng.random() >= 0.05:
        event["severity" if aliased else "level"] = _ALIASED_LEVELS[level] if aliased else level
    event["message" if aliased else "msg"] = text
    event["app"] = rng.choice(_SERVICES)
    event["request_id"] = f"{rng.getrandbits(64):016x}"
    event["duration_ms"] = rng.randrange(1, 900)
    if rng.random() < 0.2:
        event["http"] = {"method": rng.choice(_VERBS), "status": 200}
    return event


def body(batch: list[dict[str, Any]], body_format: BodyFormat = "json") -> bytes:
    """The events as a request body."""
    if body_format == "json":
        return orjson.dumps(batch)
    if body_format == "ndjson":
        return b"\n".join(map(orjson.dumps, batch))
    if body_format in ("loki", "loki_json"):
        return _push(batch, protobuf=body_format == "loki")
    if body_format == "otlp":
        return _export(batch)
    rows = [
        (
            str(event.get("ts") or event.get("timestamp") or ""),
            str(event.get("level") or event.get("severity") or ""),
            str(event.get("msg") or event.get("message")),
            str(event["app"]),
        )
        for event in batch
    ]
    if body_format == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("ts", "level", "msg", "app"))
        writer.writerows(rows)
        return out.getvalue().encode()
    return "\n".join(f"<134>1 {ts or '-'} host7 {app} 4711 ID47 - {msg}" for ts, _level, msg, app in rows).encode()


def _push(batch: list[dict[str, Any]], *, protobuf: bool) -> bytes:
    """A push as a collector makes it: a stream an app and level, the message as the line, the rest as metadata."""
    streams: dict[tuple[str, str], list[Any]] = {}
    for number, event in enumerate(batch):
        labels = (event["app"], str(event.get("level") or event.get("severity") or "INFO"))
        stamp = str(event.get("ts") or event.get("timestamp") or "2026-03-01T00:00:00Z")
        nanos = int(datetime.fromisoformat(stamp).timestamp()) * 10**9 + number
        metadata = {"request_id": event["request_id"], "duration_ms": str(event["duration_ms"])}
        streams.setdefault(labels, []).append((str(nanos), event.get("msg") or event["message"], metadata))
    named = [
        ({"job": "bench", "namespace": "shop", "host": "node-7", "app": app, "level": level}, values)
        for (app, level), values in streams.items()
    ]
    if not protobuf:
        return orjson.dumps({"streams": [{"stream": labels, "values": values} for labels, values in named]})
    return snappy_block.compress(b"".join(bytes_field(1, _stream(labels, values)) for labels, values in named))


def _stream(labels: dict[str, str], values: list[Any]) -> bytes:
    text = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return bytes_field(1, f"{{{text}}}".encode()) + b"".join(
        bytes_field(
            2,
            bytes_field(1, int_field(1, int(nanos) // 10**9) + int_field(2, int(nanos) % 10**9))
            + bytes_field(2, line.encode())
            + b"".join(
                bytes_field(3, bytes_field(1, name.encode()) + bytes_field(2, value.encode()))
                for name, value in metadata.items()
            ),
        )
        for nanos, line, metadata in values
    )


_SEVERITIES: Final = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17}
_RESOURCE: Final = {
    "service.name": "checkout", "service.version": "1.4.2", "host.name": "node-7", "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.version": "1.45.2", "deployment.environment": "prod",
}  # fmt: skip


def _export(batch: list[dict[str, Any]]) -> bytes:
    """The events as an SDK of OpenTelemetry exports them: a resource, a scope, trace ids, the rest as attributes."""
    records = b"".join(bytes_field(2, _record(number, event)) for number, event in enumerate(batch))
    scope = bytes_field(1, bytes_field(1, b"shop.checkout") + bytes_field(2, b"1.2"))
    resource = b"".join(_attribute(1, name, value) for name, value in _RESOURCE.items())
    return bytes_field(1, bytes_field(1, resource) + bytes_field(2, scope + records))


def _record(number: int, event: dict[str, Any]) -> bytes:
    nanos = (1_772_323_200_000_000_000 + number * 1_000_123).to_bytes(8, "little")
    level = str(event.get("level") or event.get("severity") or "INFO")
    level = next((name for name, alias in _ALIASED_LEVELS.items() if alias == level), level)
    text = str(event.get("msg") or event.get("message"))
    rest = {name: value for name, value in event.items() if name in ("app", "request_id", "duration_ms", "http")}
    return (
        b"\x09" + nanos + int_field(2, _SEVERITIES[level]) + bytes_field(3, level.encode())
        + bytes_field(5, bytes_field(1, text.encode()))
        + b"".join(_attribute(6, name, value) for name, value in rest.items())
        + b"\x45\x01\0\0\0" + bytes_field(9, bytes.fromhex(event["request_id"]) * 2)
        + bytes_field(10, bytes.fromhex(event["request_id"])) + b"\x59" + nanos
    )  # fmt: skip


def _attribute(field: int, name: str, value: Any) -> bytes:
    if isinstance(value, dict):
        held = bytes_field(6, b"".join(_attribute(1, key, one) for key, one in value.items()))
    else:
        held = int_field(3, value) if isinstance(value, int) else bytes_field(1, str(value).encode())
    return bytes_field(field, bytes_field(1, name.encode()) + bytes_field(2, held))


def bodies(count: int, size: int, kind: Kind = "mixed", body_format: BodyFormat = "json") -> list[bytes]:
    """``count`` different bodies of ``size`` events; those of ``field`` are JSON or NDJSON."""
    return [body(events(size, kind, seed), body_format) for seed in range(count)]
