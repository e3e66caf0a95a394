"""Reads OTLP in protobuf: an ExportLogsServiceRequest becomes events, field by field from the wire.

Messages are not built: each record becomes its event at once, one over the limit of an event is set aside by its length
before anything of it is read, and the work can be done in steps. Unknown fields are skipped, as the wire format wants;
a known field with another wire type is a fault of the sender, and the body is refused.

Source: opentelemetry-proto 1.x, collector/logs/v1/logs_service.proto, logs/v1/logs.proto, resource/v1/resource.proto,
common/v1/common.proto.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from struct import unpack_from
from typing import Any, Final

from logops_fast.formats.pieces import KEPT_BYTES, PIECE_BYTES, PIECE_ITEMS
from logops_fast.formats.protobuf_wire import WireError, read_length, read_varint, signed, skip
from logops_fast.ingest.parsers import base
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

_SECTION_FIELDS: Final = 20  # fields that cost as much as one resource or scope
_STEP_FIELDS: Final = 20_000  # fields looked at in one step, when none of them is a record


def parse(body: bytes, limits: base.Limits) -> base.Parsed:
    """Return the events of a body. Raises base.MalformedBody: ``malformed``, ``too_large`` or ``too_many_items``."""
    parsed = base.Parsed([], [])
    for piece in read_pieces(body, limits):
        parsed = base.joined(parsed, piece)
    return parsed


def read_pieces(body: bytes, limits: base.Limits) -> Iterator[base.Parsed]:
    """Read a body in steps; indexes of faults restart in each. Raises as ``parse`` does."""
    try:
        yield from _Reader(body, limits).pieces()
    except WireError as error:
        raise base.MalformedBody(base.MALFORMED, f"The body is not an OTLP export in protobuf: {error}.") from None


class _Reader:
    """Reads one body, and collects the events of a piece."""

    __slots__ = ("_body", "_clock", "_events", "_faults", "_left", "_limits", "_looked", "_room", "_sections")

    def __init__(self, body: bytes, limits: base.Limits) -> None:
        self._body = body
        self._limits = limits
        self._clock = Clock()
        self._events: list[dict[str, Any]] = []
        self._faults: list[base.Fault] = []
        self._left = PIECE_BYTES  # bytes that the piece may still take
        self._looked = 0
        self._room = limits.max_stored_bytes
        self._sections = limits.max_items

    def pieces(self) -> Iterator[base.Parsed]:
        """Read an ExportLogsServiceRequest: resource_logs = 1."""
        body = self._body
        pos, end = 0, len(body)
        while pos < end:
            tag, pos = read_varint(body, pos, end)
            if tag == 0x0A:
                start, pos = read_length(body, pos, end)
                self._begin_section()
                yield from self._resource_logs(start, pos)
            else:
                pos = _skip(body, tag, pos, end, 1)
            if self._is_step():
                yield self._piece()
        yield self._piece()

    def _resource_logs(self, start: int, end: int) -> Iterator[base.Parsed]:
        """Read a ResourceLogs: resource = 1, scope_logs = 2, schema_url = 3. The resource may come last."""
        body = self._body
        resource_start = resource_end = 0
        schema_url = ""
        pos = start
        while pos < end:
            tag, pos = read_varint(body, pos, end)
            if tag == 0x0A:
                resource_start, resource_end = read_length(body, pos, end)
                pos = resource_end
            elif tag == 0x1A:
                at, pos = read_length(body, pos, end)
                schema_url = self._short_text(at, pos)
            elif tag == 0x12:
                _, pos = read_length(body, pos, end)
            else:
                pos = _skip(body, tag, pos, end, 3)
            if self._is_step():
                yield self._piece()
        size = resource_end - resource_start + len(schema_url)
        if size > self._limits.max_event_bytes:
            origin = NO_ORIGIN._replace(size=size)  # no record of it can be stored
        else:
            attributes, dropped = _resource(body, resource_start, resource_end)
            origin = of_resource(attributes, schema_url, dropped, size)
            self._left -= size
        pos = start
        while pos < end:
            tag, pos = read_varint(body, pos, end)
            if tag == 0x12:
                at, pos = read_length(body, pos, end)
                self._begin_section()
                yield from self._scope_logs(origin, at, pos)
            else:
                pos = skip(body, tag & 7, pos, end)
            if self._is_step():
                yield self._piece()

    def _scope_logs(self, origin: Origin, start: int, end: int) -> Iterator[base.Parsed]:
        """Read a ScopeLogs: scope = 1, log_records = 2, schema_url = 3."""
        body = self._body
        limit = self._limits.max_event_bytes
        scope_start = scope_end = 0
        schema_url = ""
        pos = start
        while pos < end:
            tag, pos = read_varint(body, pos, end)
            if tag == 0x12:
                _, pos = read_length(body, pos, end)
            elif tag == 0x0A:
                scope_start, scope_end = read_length(body, pos, end)
                pos = scope_end
            elif tag == 0x1A:
                at, pos = read_length(body, pos, end)
                schema_url = self._short_text(at, pos)
            else:
                pos = _skip(body, tag, pos, end, 3)
            if self._is_step():
                yield self._piece()
        size = scope_end - scope_start + len(schema_url)
        if origin.size + size > limit:
            origin = origin._replace(size=origin.size + size)
        elif size:
            origin = _scope(body, scope_start, scope_end, origin, schema_url, size)
            self._left -= size
        shared = origin.size
        pos = start
        while pos < end:
            tag, pos = read_varint(body, pos, end)
            if tag == 0x12:
                at, pos = read_length(body, pos, end)
                size = pos - at
                if shared + size > limit:
                    place = len(self._events) + len(self._faults)
                    self._faults.append(base.fault(place, base.EVENT_TOO_LARGE, body[at : min(pos, at + KEPT_BYTES)]))
                    size = KEPT_BYTES
                else:
                    self._events.append(_record(body, at, pos, origin, self._clock))
                    size += shared
                    self._room -= size
                    if self._room < 0:
                        raise base.too_large_as_lines(self._limits.max_stored_bytes)
                self._left -= size
                if self._left <= 0 or len(self._events) + len(self._faults) >= PIECE_ITEMS:
                    yield self._piece()
            else:
                pos = skip(body, tag & 7, pos, end)
                if self._is_step():
                    yield self._piece()

    def _begin_section(self) -> None:
        """Count a resource or scope: of those, too, a body has no more than records."""
        self._sections -= 1
        self._looked += _SECTION_FIELDS
        if self._sections < 0:
            raise base.too_many_items(self._limits.max_items)

    def _short_text(self, start: int, end: int) -> str:
        """Return a text of a resource or scope, which is in each of its events, if an event can hold it."""
        return _text(self._body, start, end) if end - start <= self._limits.max_event_bytes else ""

    def _is_step(self) -> bool:
        """Count a field that was looked at; return whether these were enough for one step."""
        self._looked += 1  # a section costs some twenty times what another field does: see `_begin_section`
        return self._looked >= _STEP_FIELDS or self._left <= 0

    def _piece(self) -> base.Parsed:
        parsed = base.Parsed(self._events, self._faults)
        self._events, self._faults = [], []
        self._looked = 0
        self._left = PIECE_BYTES
        return parsed


def _resource(body: bytes, pos: int, end: int) -> tuple[dict[str, Any], int]:
    """Read a Resource: attributes = 1, dropped_attributes_count = 2. entity_refs = 3 name attributes again."""
    attributes: dict[str, Any] = {}
    dropped = 0
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            _key_value(body, at, pos, attributes, MOST_LEVELS)
        elif tag == 0x10:
            dropped, pos = read_varint(body, pos, end)
        else:
            pos = _skip(body, tag, pos, end, 2)
    return attributes, dropped


def _scope(body: bytes, pos: int, end: int, origin: Origin, schema_url: str, size: int) -> Origin:
    """Read an InstrumentationScope: name = 1, version = 2, attributes = 3, dropped_attributes_count = 4."""
    name = version = ""
    attributes: dict[str, Any] = {}
    dropped = 0
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            name = _text(body, at, pos)
        elif tag == 0x12:
            at, pos = read_length(body, pos, end)
            version = _text(body, at, pos)
        elif tag == 0x1A:
            at, pos = read_length(body, pos, end)
            _key_value(body, at, pos, attributes, MOST_LEVELS)
        elif tag == 0x20:
            dropped, pos = read_varint(body, pos, end)
        else:
            pos = _skip(body, tag, pos, end, 4)
    return of_scope(origin, name, version, attributes, schema_url, dropped, size)


def _record(body: bytes, pos: int, end: int, origin: Origin, clock: Clock) -> dict[str, Any]:
    """Read a LogRecord; the numbers of its fields are beside their tags."""
    time = observed = severity_number = flags = dropped = 0
    severity_text = trace_id = span_id = event_name = ""
    message: Any = None
    attributes: dict[str, Any] = {}
    while pos < end:
        tag = body[pos]
        if tag < 0x80:
            pos += 1
        else:
            tag, pos = read_varint(body, pos, end)
        if tag == 0x32:  # attributes = 6
            at, pos = read_length(body, pos, end)
            _key_value(body, at, pos, attributes, MOST_LEVELS)
        elif tag == 0x09:  # time_unix_nano = 1, fixed64
            time, pos = _fixed64(body, pos, end)
        elif tag == 0x59:  # observed_time_unix_nano = 11, fixed64
            observed, pos = _fixed64(body, pos, end)
        elif tag == 0x10:  # severity_number = 2
            severity_number, pos = read_varint(body, pos, end)
        elif tag == 0x1A:  # severity_text = 3
            at, pos = read_length(body, pos, end)
            severity_text = _text(body, at, pos)
        elif tag == 0x2A:  # body = 5
            at, pos = read_length(body, pos, end)
            message = _any_value(body, at, pos, MOST_LEVELS)
        elif tag == 0x4A:  # trace_id = 9
            at, pos = read_length(body, pos, end)
            trace_id = identifier(body[at:pos].hex())
        elif tag == 0x52:  # span_id = 10
            at, pos = read_length(body, pos, end)
            span_id = identifier(body[at:pos].hex())
        elif tag == 0x45:  # flags = 8, fixed32
            if end - pos < 4:
                raise WireError("a number is cut off")
            flags = int.from_bytes(body[pos : pos + 4], "little")
            pos += 4
        elif tag == 0x38:  # dropped_attributes_count = 7
            dropped, pos = read_varint(body, pos, end)
        elif tag == 0x62:  # event_name = 12
            at, pos = read_length(body, pos, end)
            event_name = _text(body, at, pos)
        elif tag == 0x22:  # name = 4, removed in 2022
            _, pos = read_length(body, pos, end)
        else:
            pos = _skip(body, tag, pos, end, 12)
    return make(
        origin,
        clock,
        time,
        observed,
        severity_text,
        severity_number,
        message,
        attributes,
        trace_id,
        span_id,
        event_name,
        flags,
        dropped,
    )


def _key_value(body: bytes, pos: int, end: int, members: dict[str, Any], levels: int) -> None:
    """Read a KeyValue, key = 1 and value = 2, into ``members``. Of two equal keys the last wins, as in JSON."""
    key = ""
    value: Any = None
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            key = _text(body, at, pos)
        elif tag == 0x12:
            at, pos = read_length(body, pos, end)
            value = _any_value(body, at, pos, levels)
        else:
            pos = _skip(body, tag, pos, end, 2)
    members[key] = value


def _any_value(body: bytes, pos: int, end: int, levels: int) -> Any:
    """Read an AnyValue; the last of its fields counts, none is null."""
    value: Any = None
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:  # string_value = 1
            at, pos = read_length(body, pos, end)
            value = _text(body, at, pos)
        elif tag == 0x18:  # int_value = 3
            number, pos = read_varint(body, pos, end)
            value = signed(number)
        elif tag == 0x10:  # bool_value = 2
            number, pos = read_varint(body, pos, end)
            value = number != 0
        elif tag == 0x21:  # double_value = 4
            if end - pos < 8:
                raise WireError("a number is cut off")
            value = double(unpack_from("<d", body, pos)[0])
            pos += 8
        elif tag == 0x2A:  # array_value = 5
            at, pos = read_length(body, pos, end)
            value = _array(body, at, pos, _deeper(levels))
        elif tag == 0x32:  # kvlist_value = 6
            at, pos = read_length(body, pos, end)
            value = _list(body, at, pos, _deeper(levels))
        elif tag == 0x3A:  # bytes_value = 7
            at, pos = read_length(body, pos, end)
            value = b64encode(body[at:pos]).decode()
        else:
            pos = _skip(body, tag, pos, end, 7)
    return value


def _array(body: bytes, pos: int, end: int, levels: int) -> list[Any]:
    """Read an ArrayValue: values = 1."""
    values: list[Any] = []
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            values.append(_any_value(body, at, pos, levels))
        else:
            pos = _skip(body, tag, pos, end, 1)
    return values


def _list(body: bytes, pos: int, end: int, levels: int) -> dict[str, Any]:
    """Read a KeyValueList: values = 1."""
    members: dict[str, Any] = {}
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            _key_value(body, at, pos, members, levels)
        else:
            pos = _skip(body, tag, pos, end, 1)
    return members


def _deeper(levels: int) -> int:
    if levels == 0:
        raise WireError(f"a value nests more than {MOST_LEVELS} levels deep")
    return levels - 1


def _text(body: bytes, start: int, end: int) -> str:
    try:
        return body[start:end].decode()
    except UnicodeDecodeError:
        return body[start:end].decode("utf-8", "replace")


def _fixed64(body: bytes, pos: int, end: int) -> tuple[int, int]:
    if end - pos < 8:
        raise WireError("a number is cut off")
    return int.from_bytes(body[pos : pos + 8], "little"), pos + 8


def _skip(body: bytes, tag: int, pos: int, end: int, known: int) -> int:
    """Return the position after an unknown field; ``known``: the highest number of the message's own fields.

    Those come here only with a wire type that is not theirs.
    """
    if tag >> 3 <= known:
        raise WireError("a field has a wire type that is not its own")
    return skip(body, tag & 7, pos, end)
