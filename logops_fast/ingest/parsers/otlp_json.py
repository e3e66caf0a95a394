"""Reads OTLP in JSON: an ExportLogsServiceRequest becomes events.

Names are the JSON names or protobuf's own; unknown ones are skipped, as OTLP wants. Ids are in hex, 64-bit integers
text or numbers, enumerations numbers or names, bytes base64. A record in which a known member is of the wrong type is a
fault by itself; the others are stored.

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
from logops_fast.formats.json_text import BrokenJsonError, items
from logops_fast.formats.lines import without_bom
from logops_fast.formats.otlp_json import NO_SPAN, Cutter, Group, Span, TooManySectionsError
from logops_fast.formats.pieces import PIECE_BYTES, PieceKind
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.json_values import INT_MAX, INT_MIN, UNREADABLE, decode, read_event
from logops_fast.ingest.parsers.otlp_event import (
    MOST_LEVELS,
    NO_ORIGIN,
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
_MOST_SHARED: Final = 16 * PIECE_BYTES  # of an export that is read in one step


class BadMemberError(LogOpsError):
    """A member is of the wrong type; the text names it."""


def parse(body: bytes, limits: base.Limits) -> base.Parsed:
    """Return the events of a body. Raises base.MalformedBody, as ``read_pieces`` does."""
    parsed = base.Parsed([], [])
    for piece in read_pieces(body, limits):
        parsed = base.joined(parsed, piece)
    return parsed


def read_pieces(body: bytes, limits: base.Limits) -> Iterator[base.Parsed]:
    """Read a body in steps; indexes of faults restart in each.

    Raises base.MalformedBody: ``malformed``, ``too_large`` or ``too_many_items``.
    """
    reader = _Reader(body, limits)
    try:
        yield from reader.pieces()
    except BrokenJsonError as broken:
        raise base.MalformedBody(base.MALFORMED, f"The body is not valid JSON: {broken}.") from None
    except BadMemberError as bad:
        raise base.MalformedBody(base.MALFORMED, f"The body is not an OTLP export: {bad}.") from None
    except TooManySectionsError:
        raise base.too_many_items(limits.max_items) from None


class _Reader:
    """Reads one body; remembers the resource and scope of the records before."""

    __slots__ = ("_clock", "_cutter", "_limits", "_of_resource", "_origin", "_resource", "_room", "_scope")

    def __init__(self, body: bytes, limits: base.Limits) -> None:
        self._limits = limits
        self._cutter = Cutter(without_bom(body), limits.max_event_bytes, limits.max_items)
        self._clock = Clock()
        self._room = limits.max_stored_bytes
        self._resource: tuple[Span, Span] = (NO_SPAN, NO_SPAN)
        self._of_resource = NO_ORIGIN
        self._scope: tuple[Span, Span] = (NO_SPAN, NO_SPAN)
        self._origin = NO_ORIGIN

    def pieces(self) -> Iterator[base.Parsed]:
        """Read all records."""
        text = self._cutter.text
        if len(text) <= self._limits.max_event_bytes:
            try:
                export = decode(text)
            except UNREADABLE:
                export = None  # broken somewhere, or holds what is read more slowly
            if type(export) is dict:
                yield from self._read_small(export, len(text))
                return
        for group in self._cutter.groups():
            piece = group.piece
            if piece.kind is PieceKind.NOTHING:
                yield base.Parsed([], [])
            elif piece.kind is PieceKind.TOO_LARGE:
                yield base.Parsed([], [base.fault(0, base.EVENT_TOO_LARGE, piece.text)])
            else:
                yield from self._read(group)
        yield base.Parsed([], [])

    def _read_small(self, export: dict[str, Any], size: int) -> Iterator[base.Parsed]:
        """Read an export that was decoded as a whole; no record of it is over the limit."""
        events: list[dict[str, Any]] = []
        faults: list[base.Fault] = []
        left = PIECE_BYTES - size
        for origin, records in _sections(export):
            for record in records:
                event = event_of(record, origin, self._clock) if isinstance(record, dict) else base.NOT_AN_OBJECT
                if isinstance(event, str):
                    faults.append(base.fault(len(events) + len(faults), event, _as_text(record)))
                    continue
                events.append(event)
                left -= origin.size
                if left <= 0:
                    self._room -= PIECE_BYTES
                    if self._room < 0:
                        raise base.too_large_as_lines(self._limits.max_stored_bytes)
                    yield base.Parsed(events, faults)
                    events, faults = [], []
                    left = PIECE_BYTES
        yield base.Parsed(events, faults)

    def _read(self, group: Group) -> Iterator[base.Parsed]:
        """Read the records of a group, fewer in a step the more they share."""
        origin = self._origin_of(group)
        limit = self._limits.max_event_bytes
        events: list[dict[str, Any]] = []
        faults: list[base.Fault] = []
        left = PIECE_BYTES
        for item in items(group.piece.text):
            size = len(item) + origin.size
            if size > limit:
                faults.append(base.fault(len(events) + len(faults), base.EVENT_TOO_LARGE, item))
            else:
                record = read_event(item)
                event = record if isinstance(record, str) else event_of(record, origin, self._clock)
                if isinstance(event, str):
                    faults.append(base.fault(len(events) + len(faults), event, item))
                else:
                    events.append(event)
                    self._room -= size
                    left -= size
            if self._room < 0:
                raise base.too_large_as_lines(self._limits.max_stored_bytes)
            if left <= 0:
                yield base.Parsed(events, faults)
                events, faults = [], []
                left = PIECE_BYTES
        yield base.Parsed(events, faults)

    def _origin_of(self, group: Group) -> Origin:
        resource, scope = (group.resource, group.resource_url), (group.scope, group.scope_url)
        if resource != self._resource or self._of_resource is NO_ORIGIN:
            size = _length(group.resource) + _length(group.resource_url)
            self._resource = resource
            self._of_resource = NO_ORIGIN._replace(size=size)
            if size <= self._limits.max_event_bytes:
                self._of_resource = resource_of(self._value(group.resource), self._value(group.resource_url), size)
            self._scope = (NO_SPAN, NO_SPAN)
            self._origin = self._of_resource
        if scope != self._scope:
            size = _length(group.scope) + _length(group.scope_url)
            self._scope = scope
            self._origin = self._of_resource._replace(size=self._of_resource.size + size)
            if self._origin.size <= self._limits.max_event_bytes:
                self._origin = scope_of(self._of_resource, self._value(group.scope), self._value(group.scope_url), size)
        return self._origin

    def _value(self, span: Span) -> Any:
        if span == NO_SPAN:
            return None
        held = read_event(b'{"":' + self._cutter.text[span[0] : span[1]] + b"}")
        if isinstance(held, str):
            raise BadMemberError("a resource or a scope cannot be read")
        return held[""]


def _as_text(value: Any) -> bytes:
    """Return a decoded value as text again, to be kept or to be measured."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # it nests deeper than orjson goes
        return repr(value).encode("utf-8", "replace")


def _length(span: Span) -> int:
    return span[1] - span[0]


def unwrap(export: dict[str, Any]) -> list[dict[str, Any] | tuple[str, Any]]:
    """Return the events of an export that is one of several items of a body, and faults with their reasons.

    Raises base.MalformedBody: ``malformed``, or ``too_large`` if what its records share would make them too many bytes.
    """
    clock = Clock()
    found: list[dict[str, Any] | tuple[str, Any]] = []
    left = _MOST_SHARED
    try:
        for origin, records in _sections(export):
            left -= origin.size * len(records)
            if left < 0:
                raise base.too_large_as_lines(_MOST_SHARED)
            for record in records:
                event = event_of(record, origin, clock) if isinstance(record, dict) else base.NOT_AN_OBJECT
                found.append((event, record) if isinstance(event, str) else event)
    except BadMemberError as bad:
        raise base.MalformedBody(base.MALFORMED, f"An OTLP export of the body cannot be read: {bad}.") from None
    return found


def _sections(export: dict[str, Any]) -> Iterator[tuple[Origin, list[Any]]]:
    """Return the records of each resource and scope with what they have in common. Raises BadMemberError."""
    for resource_logs in _objects(export, "resourceLogs", "resource_logs"):
        resource = _object(resource_logs, "resource", "resource")
        url = _get(resource_logs, "schemaUrl", "schema_url")
        of_resource = resource_of(resource, url, len(_as_text(resource)))
        for scope_logs in _objects(resource_logs, "scopeLogs", "scope_logs"):
            scope = _object(scope_logs, "scope", "scope")
            url = _get(scope_logs, "schemaUrl", "schema_url")
            origin = scope_of(of_resource, scope, url, len(_as_text(scope)))
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
