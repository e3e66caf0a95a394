"""From the decoded JSON of an OTLP export to events: the members of resources, scopes and records, each checked.

Names are the JSON names or protobuf's own; unknown ones are skipped, as OTLP wants. Ids are in hex, 64-bit integers
text or numbers, enumerations numbers or names, bytes base64.

Source: opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding"; protobuf.dev/programming-guides/json.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any, Final

import orjson

from logops_fast.errors import LogOpsError
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.json_values import INT_MAX, INT_MIN
from logops_fast.ingest.parsers.otlp_event import (
    MOST_LEVELS,
    Clock,
    Origin,
    double,
    identifier,
    make,
    of_resource,
    of_scope,
)

_DIGITS: Final = re.compile(r"-?[0-9]{1,20}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_NOT_FINITE: Final = {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}
_SEVERITIES: Final = {"SEVERITY_NUMBER_UNSPECIFIED": 0} | {
    f"SEVERITY_NUMBER_{name}{step or ''}": first + (step - 1 if step else 0)
    for first, name in zip(range(1, 25, 4), ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"), strict=True)
    for step in (0, 2, 3, 4)
}
_UINT32: Final = 0xFFFF_FFFF


class BadMemberError(LogOpsError):
    """A member is of the wrong type; the text names it."""


def sections(export: dict[str, Any]) -> Iterator[tuple[Origin, list[Any]]]:
    """Return the records of each resource and scope with what they have in common. Raises BadMemberError."""
    for resource_logs in _objects(export, "resourceLogs", "resource_logs"):
        resource = _object(resource_logs, "resource", "resource")
        url = _get(resource_logs, "schemaUrl", "schema_url")
        of_resource = resource_of(resource, url, len(as_text(resource)))
        for scope_logs in _objects(resource_logs, "scopeLogs", "scope_logs"):
            scope = _object(scope_logs, "scope", "scope")
            url = _get(scope_logs, "schemaUrl", "schema_url")
            origin = scope_of(of_resource, scope, url, len(as_text(scope)))
            yield origin, _list(scope_logs, "logRecords", "log_records")


def resource_of(resource: Any, schema_url: Any, size: int) -> Origin:
    """Return the origin of a resource. Raises BadMemberError."""
    held = {} if resource is None else resource
    if not isinstance(held, dict):
        raise BadMemberError("resource is not an object")
    dropped = _unsigned(held, "droppedAttributesCount", "dropped_attributes_count", _UINT32)
    return of_resource(_attributes(held, MOST_LEVELS), _checked_text(schema_url, "schemaUrl"), dropped, size)


def scope_of(origin: Origin, scope: Any, schema_url: Any, size: int) -> Origin:
    """Return the origin with a scope. Raises BadMemberError."""
    held = {} if scope is None else scope
    if not isinstance(held, dict):
        raise BadMemberError("scope is not an object")
    return of_scope(
        origin,
        _text(held, "name", "name"),
        _text(held, "version", "version"),
        _attributes(held, MOST_LEVELS),
        _checked_text(schema_url, "schemaUrl"),
        _unsigned(held, "droppedAttributesCount", "dropped_attributes_count", _UINT32),
        size,
    )


def event_of(record: dict[str, Any], origin: Origin, clock: Clock) -> dict[str, Any] | str:
    """Return the event of a LogRecord, or the reason why it is not one."""
    try:
        return make(
            origin,
            clock,
            _unsigned(record, "timeUnixNano", "time_unix_nano", INT_MAX),
            _unsigned(record, "observedTimeUnixNano", "observed_time_unix_nano", INT_MAX),
            _text(record, "severityText", "severity_text"),
            _severity(_get(record, "severityNumber", "severity_number")),
            _any_value(record.get("body"), MOST_LEVELS),
            _attributes(record, MOST_LEVELS),
            _id(_text(record, "traceId", "trace_id"), 16),
            _id(_text(record, "spanId", "span_id"), 8),
            _text(record, "eventName", "event_name"),
            _unsigned(record, "flags", "flags", _UINT32),
            _unsigned(record, "droppedAttributesCount", "dropped_attributes_count", _UINT32),
        )
    except BadMemberError:
        return base.BAD_RECORD


def _get(held: dict[str, Any], name: str, other: str) -> Any:
    value = held.get(name)
    return held.get(other) if value is None else value


def _object(held: dict[str, Any], name: str, other: str) -> dict[str, Any]:
    value = _get(held, name, other)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadMemberError(f"{name} is not an object")
    return value


def _list(held: dict[str, Any], name: str, other: str) -> list[Any]:
    value = _get(held, name, other)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadMemberError(f"{name} is not an array")
    return value


def _objects(held: dict[str, Any], name: str, other: str) -> list[dict[str, Any]]:
    values = _list(held, name, other)
    if not all(isinstance(value, dict) for value in values):
        raise BadMemberError(f"an element of {name} is not an object")
    return values


def _text(held: dict[str, Any], name: str, other: str) -> str:
    return _checked_text(_get(held, name, other), name)


def _checked_text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadMemberError(f"{name} is not text")
    return value


def _unsigned(held: dict[str, Any], name: str, other: str, most: int) -> int:
    value = _get(held, name, other)
    if value is None:
        return 0
    number = _integer(value)
    if not 0 <= number <= most:
        raise BadMemberError(f"{name} is out of range")
    return number


def _integer(value: Any) -> int:
    """Return a whole number, sent as a number or as text."""
    if type(value) is int:
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e19:
        return int(value)
    raise BadMemberError("an integer is not a whole number")


def _severity(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str) and value in _SEVERITIES:
        return _SEVERITIES[value]
    number = _integer(value)
    return number if 0 <= number <= _UINT32 else 0


def _id(text: str, size: int) -> str:
    """Return an id in lower-case hex. Some senders write base64, as protobuf's own JSON does."""
    if not text:
        return ""
    if len(text) != 2 * size and len(text) % 4 == 0:
        try:
            raw = b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) == size:
            return identifier(raw.hex())
    if _HEX.fullmatch(text) is None:
        raise BadMemberError("an id is not in hex")
    return identifier(text.lower())


def _attributes(held: dict[str, Any], levels: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    attributes = held.get("attributes")
    if attributes is not None:
        if not isinstance(attributes, list):
            raise BadMemberError("attributes is not an array")
        _key_values(attributes, members, levels)
    return members


def _key_values(pairs: list[Any], members: dict[str, Any], levels: int) -> None:
    for pair in pairs:
        if not isinstance(pair, dict):
            raise BadMemberError("an attribute is not an object")
        members[_text(pair, "key", "key")] = _any_value(pair.get("value"), levels)


def _any_value(value: Any, levels: int) -> Any:
    """Return what an AnyValue holds; null if it holds nothing."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadMemberError("a value is not an object")
    for name, held in value.items():
        if held is None:
            continue
        if name == "stringValue" or name == "string_value":
            return _checked_text(held, name)
        if name == "intValue" or name == "int_value":
            number = _integer(held)
            if not INT_MIN <= number <= -INT_MIN - 1:
                raise BadMemberError("an integer is out of range")
            return number
        if name == "boolValue" or name == "bool_value":
            if not isinstance(held, bool):
                raise BadMemberError("boolValue is neither true nor false")
            return held
        if name == "doubleValue" or name == "double_value":
            return _double(held)
        if name == "arrayValue" or name == "array_value":
            return [_any_value(one, _deeper(levels)) for one in _values(held)]
        if name == "kvlistValue" or name == "kvlist_value":
            members: dict[str, Any] = {}
            _key_values(_values(held), members, _deeper(levels))
            return members
        if name == "bytesValue" or name == "bytes_value":
            return _base64(held)
    return None


def _values(held: Any) -> list[Any]:
    if not isinstance(held, dict):
        raise BadMemberError("an array or a list is not an object")
    return _list(held, "values", "values")


def _double(held: Any) -> float | str:
    if isinstance(held, str):
        if held in _NOT_FINITE:
            return held
        try:
            return double(float(held))
        except ValueError:
            raise BadMemberError("doubleValue is not a number") from None
    if isinstance(held, bool) or not isinstance(held, (int, float)):
        raise BadMemberError("doubleValue is not a number")
    try:
        return double(float(held))
    except OverflowError:  # a whole number of more digits than a double has: as `1e400` is read
        return "Infinity" if held > 0 else "-Infinity"


def _base64(held: Any) -> str:
    """Return bytes in standard base64, whichever of its alphabets they came in (protobuf's JSON takes both)."""
    text = _checked_text(held, "bytesValue").replace("-", "+").replace("_", "/")
    try:
        return b64encode(b64decode(text + "=" * (-len(text) % 4), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise BadMemberError("bytesValue is not base64") from None


def _deeper(levels: int) -> int:
    if levels == 0:
        raise BadMemberError(f"a value nests more than {MOST_LEVELS} levels deep")
    return levels - 1


def as_text(value: Any) -> bytes:
    """Return a decoded value as text again, to be kept or to be measured."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # it nests deeper than orjson goes
        return repr(value).encode("utf-8", "replace")
