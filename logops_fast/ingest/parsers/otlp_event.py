"""Makes events of OpenTelemetry's log records: what the protobuf and the JSON form have in common.

Source: opentelemetry-proto, logs/v1/logs.proto and common/v1/common.proto; contract 10 for the names of the fields.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from logops_fast.ingest.epoch import utc_seconds
from logops_fast.ingest.levels import OTEL, level_of

MOST_LEVELS: Final = 64
"""Levels that a value may nest arrays and lists of key and value. OpenTelemetry's own limit in practice is 32."""

_APP: Final = "service.name"
_HOST: Final = "host.name"
_NANOS: Final = 1_000_000_000


class Origin(NamedTuple):
    """What all records of one resource and scope have in common.

    ``resource`` and ``scope`` are shared by their events, so that nothing may change them. ``size``: the bytes that
    they take in each line, about.
    """

    app: str
    host: str
    resource: dict[str, Any]
    scope: dict[str, Any]
    size: int


NO_ORIGIN: Final = Origin("", "", {}, {}, 0)


def of_resource(attributes: dict[str, Any], schema_url: str, dropped: int, size: int) -> Origin:
    """Return the origin of a resource; ``service.name`` and ``host.name`` become fields of their own if they are text.

    ``dropped`` is the number of attributes that the sender left out, ``size`` the bytes of the resource as sent.
    """
    rest = dict(attributes)
    app, host = rest.get(_APP), rest.get(_HOST)
    app = rest.pop(_APP) if isinstance(app, str) and app else ""
    host = rest.pop(_HOST) if isinstance(host, str) and host else ""
    _describe(rest, schema_url, dropped)
    return Origin(app, host, rest, {}, size)


def of_scope(
    origin: Origin, name: str, version: str, attributes: dict[str, Any], schema_url: str, dropped: int, size: int
) -> Origin:
    """Return the origin with an instrumentation scope: its name, its version and, as an object, its attributes."""
    scope: dict[str, Any] = {}
    if name:
        scope["name"] = name
    if version:
        scope["version"] = version
    if attributes:
        scope["attributes"] = attributes
    _describe(scope, schema_url, dropped)
    return origin._replace(scope=scope, size=origin.size + size)


def _describe(members: dict[str, Any], schema_url: str, dropped: int) -> None:
    if schema_url:
        members.setdefault("schema_url", schema_url)
    if dropped:
        members.setdefault("dropped_attributes_count", dropped)


class Clock:
    """Writes nanoseconds since 1970 as RFC 3339; remembers the last second, which most records of a batch share."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, nanos: int) -> str:
        """Return ``YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ``; ``nanos`` is below 2^64."""
        second = nanos // _NANOS
        if second != self._second:
            self._second = second
            self._text = utc_seconds(second) + "."
        return self._text + str(_NANOS + nanos - second * _NANOS)[1:] + "Z"


def make(
    origin: Origin,
    clock: Clock,
    time: int,
    observed: int,
    severity_text: str,
    severity_number: int,
    body: Any,
    attributes: dict[str, Any],
    trace_id: str,
    span_id: str,
    event_name: str,
    flags: int,
    dropped: int,
) -> dict[str, Any]:
    """Return the event of a record. Times are in nanoseconds since 1970; 0 and empty values mean that it has none."""
    event: dict[str, Any] = {}
    if time:
        event["ts"] = clock.text(time)
    elif observed:
        event["ts"] = clock.text(observed)
    level = level_of(severity_text) if severity_text else None
    by_number = level_of(severity_number, OTEL) if severity_number else None
    if level is None:
        level = by_number
        if level is not None:
            event["level"] = level
        if severity_text:
            event["level" if level is None else "level_raw"] = severity_text
    else:
        event["level"] = level
    event["msg"] = body if type(body) is str else "" if body is None else orjson.dumps(body).decode()
    if origin.app:
        event["app"] = origin.app
    if origin.host:
        event["host"] = origin.host
    if trace_id:
        event["trace_id"] = trace_id
    if span_id:
        event["span_id"] = span_id
    if event_name:
        event["event_name"] = event_name
    if severity_number and (by_number != level or (severity_number - 1) % 4):
        event["severity_number"] = severity_number  # it says more than the level: DEBUG2, or another than the text
    if flags:
        event["trace_flags"] = flags
    if time and observed and observed != time:
        event["observed_ts"] = clock.text(observed)
    if attributes:
        event["attributes"] = attributes
    if dropped:
        event["dropped_attributes_count"] = dropped
    if origin.resource:
        event["resource"] = origin.resource
    if origin.scope:
        event["scope"] = origin.scope
    return event


def double(value: float) -> float | str:
    """Return a double as JSON can hold it: what is not finite is text, as in protobuf's JSON."""
    if value - value == 0.0:
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def identifier(text: str) -> str:
    """Return a trace or span id in hex; one of zeros only says that there is none (W3C Trace Context, 3.2.2.3)."""
    return text if text.strip("0") else ""
