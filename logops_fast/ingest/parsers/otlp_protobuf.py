"""Reads OTLP in protobuf: an ExportLogsServiceRequest becomes events, field by field from the wire.

Messages are not built: each record becomes its event at once, one over the limit of an event is set aside by its length
before anything of it is read, and the work can be done in steps. Unknown fields are skipped, as the wire format wants;
a known field with another wire type is a fault of the sender, and the body is refused.

Source: opentelemetry-proto 1.x, collector/logs/v1/logs_service.proto, logs/v1/logs.proto, resource/v1/resource.proto,
common/v1/common.proto.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from logops_fast.formats.pieces import KEPT_BYTES, PIECE_BYTES, PIECE_ITEMS
from logops_fast.formats.protobuf_steps import LARGE_BYTES, Pace
from logops_fast.formats.protobuf_wire import WireError, read_length, read_varint, skip
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.otlp_event import (
    MOST_LEVELS,
    NO_ORIGIN,
    Clock,
    Origin,
    identifier,
    make,
    of_resource,
    of_scope,
)
from logops_fast.ingest.parsers.otlp_steps import members_in_steps
from logops_fast.ingest.parsers.otlp_values import any_value, key_value, skip_other, text

_SECTION_FIELDS: Final = 20  # fields that cost as much as one resource or scope
_STEP_FIELDS: Final = 20_000  # fields looked at in one step, when none of them is a record


def parse(body: bytes, limits: base.Limits) -> base.Parsed:
    """Return the events of a body. Raises base.MalformedBody: ``malformed``, ``too_large`` or ``too_many_items``."""
    parsed = base.Parsed([], [])
    for piece in read_pieces(body, limits):
        parsed = base.joined(parsed, piece)
    return parsed


def read_pieces(body: bytes, limits: base.Limits) -> Generator[base.Parsed, None, None]:
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

    def pieces(self) -> Generator[base.Parsed, None, None]:
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
                pos = skip_other(body, tag, pos, end, 1)
            if self._is_step():
                yield self._piece()
        yield self._piece()

    def _resource_logs(self, start: int, end: int) -> Generator[base.Parsed, None, None]:
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
                pos = skip_other(body, tag, pos, end, 3)
            if self._is_step():
                yield self._piece()
        size = resource_end - resource_start + len(schema_url)
        if size > self._limits.max_event_bytes:
            origin = NO_ORIGIN._replace(size=size)  # no record of it can be stored
        else:
            attributes: dict[str, Any] = {}
            head = body
            if size > LARGE_BYTES:
                steps = members_in_steps(body, resource_start, resource_end, 0x0A, attributes, 2, Pace())
                head = yield from self._steps(steps)
                resource_start, resource_end = 0, len(head)
            dropped = _resource(head, resource_start, resource_end, attributes)
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

    def _scope_logs(self, origin: Origin, start: int, end: int) -> Generator[base.Parsed, None, None]:
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
                pos = skip_other(body, tag, pos, end, 3)
            if self._is_step():
                yield self._piece()
        size = scope_end - scope_start + len(schema_url)
        if origin.size + size > limit:
            origin = origin._replace(size=origin.size + size)
        elif size:
            attributes: dict[str, Any] = {}
            head = body
            if size > LARGE_BYTES:
                steps = members_in_steps(body, scope_start, scope_end, 0x1A, attributes, 4, Pace())
                head = yield from self._steps(steps)
                scope_start, scope_end = 0, len(head)
            origin = _scope(head, scope_start, scope_end, origin, schema_url, size, attributes)
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
                    if size <= LARGE_BYTES:
                        event = _record(body, at, pos, origin, self._clock, {}, None)
                    else:
                        event = yield from self._steps(_large_record(body, at, pos, origin, self._clock))
                    self._events.append(event)
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

    def _steps(self, steps: Generator[None, None, Any]) -> Generator[base.Parsed, None, Any]:
        """Read one large message, and hand on what there is between its steps; returns what it holds."""
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            yield self._piece()

    def _begin_section(self) -> None:
        """Count a resource or scope: of those, too, a body has no more than records."""
        self._sections -= 1
        self._looked += _SECTION_FIELDS
        if self._sections < 0:
            raise base.too_many_items(self._limits.max_items)

    def _short_text(self, start: int, end: int) -> str:
        """Return a text of a resource or scope, which is in each of its events, if an event can hold it."""
        return text(self._body, start, end) if end - start <= self._limits.max_event_bytes else ""

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


def _resource(body: bytes, pos: int, end: int, attributes: dict[str, Any]) -> int:
    """Read a Resource: attributes = 1, dropped_attributes_count = 2. entity_refs = 3 name attributes again."""
    dropped = 0
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            key_value(body, at, pos, attributes, MOST_LEVELS)
        elif tag == 0x10:
            dropped, pos = read_varint(body, pos, end)
        else:
            pos = skip_other(body, tag, pos, end, 2)
    return dropped


def _scope(
    body: bytes, pos: int, end: int, origin: Origin, schema_url: str, size: int, attributes: dict[str, Any]
) -> Origin:
    """Read an InstrumentationScope: name = 1, version = 2, attributes = 3, dropped_attributes_count = 4."""
    name = version = ""
    dropped = 0
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == 0x0A:
            at, pos = read_length(body, pos, end)
            name = text(body, at, pos)
        elif tag == 0x12:
            at, pos = read_length(body, pos, end)
            version = text(body, at, pos)
        elif tag == 0x1A:
            at, pos = read_length(body, pos, end)
            key_value(body, at, pos, attributes, MOST_LEVELS)
        elif tag == 0x20:
            dropped, pos = read_varint(body, pos, end)
        else:
            pos = skip_other(body, tag, pos, end, 4)
    return of_scope(origin, name, version, attributes, schema_url, dropped, size)


def _record(
    body: bytes, pos: int, end: int, origin: Origin, clock: Clock, attributes: dict[str, Any], message: Any
) -> dict[str, Any]:
    """Read a LogRecord; the numbers of its fields are beside their tags.

    ``attributes`` and ``message`` are what was read of them already: nothing, unless it was a large one.
    """
    time = observed = severity_number = flags = dropped = 0
    severity_text = trace_id = span_id = event_name = ""
    while pos < end:
        tag = body[pos]
        if tag < 0x80:
            pos += 1
        else:
            tag, pos = read_varint(body, pos, end)
        if tag == 0x32:  # attributes = 6
            at, pos = read_length(body, pos, end)
            key_value(body, at, pos, attributes, MOST_LEVELS)
        elif tag == 0x09:  # time_unix_nano = 1, fixed64
            time, pos = _fixed64(body, pos, end)
        elif tag == 0x59:  # observed_time_unix_nano = 11, fixed64
            observed, pos = _fixed64(body, pos, end)
        elif tag == 0x10:  # severity_number = 2
            severity_number, pos = read_varint(body, pos, end)
        elif tag == 0x1A:  # severity_text = 3
            at, pos = read_length(body, pos, end)
            severity_text = text(body, at, pos)
        elif tag == 0x2A:  # body = 5
            at, pos = read_length(body, pos, end)
            message = any_value(body, at, pos, MOST_LEVELS)
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
            event_name = text(body, at, pos)
        elif tag == 0x22:  # name = 4, removed in 2022
            _, pos = read_length(body, pos, end)
        else:
            pos = skip_other(body, tag, pos, end, 12)
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


def _large_record(
    body: bytes, pos: int, end: int, origin: Origin, clock: Clock
) -> Generator[None, None, dict[str, Any]]:
    """As ``_record``, in steps."""
    attributes: dict[str, Any] = {}
    message: list[Any] = [None]
    rest = yield from members_in_steps(body, pos, end, 0x32, attributes, 12, Pace(), 0x2A, message)
    return _record(rest, 0, len(rest), origin, clock, attributes, message[0])


def _fixed64(body: bytes, pos: int, end: int) -> tuple[int, int]:
    if end - pos < 8:
        raise WireError("a number is cut off")
    return int.from_bytes(body[pos : pos + 8], "little"), pos + 8
