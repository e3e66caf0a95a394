"""Reads OTLP in JSON: an ExportLogsServiceRequest becomes events, in steps if it is large.

A record in which a known member is of the wrong type is a fault by itself; the others are stored. What the members
mean is in ``otlp_json_records``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from logops_fast.formats.json_text import BrokenJsonError, items
from logops_fast.formats.lines import without_bom
from logops_fast.formats.otlp_json import NO_SPAN, Cutter, Group, Span, TooManySectionsError
from logops_fast.formats.pieces import PIECE_BYTES, PieceKind
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.json_values import UNREADABLE, decode, read_event
from logops_fast.ingest.parsers.otlp_event import NO_ORIGIN, Clock, Origin
from logops_fast.ingest.parsers.otlp_json_records import (
    BadMemberError,
    as_text,
    event_of,
    resource_of,
    scope_of,
    sections,
)

_MOST_SHARED: Final = 16 * PIECE_BYTES  # of an export that is read in one step


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
        for origin, records in sections(export):
            for record in records:
                event = event_of(record, origin, self._clock) if isinstance(record, dict) else base.NOT_AN_OBJECT
                if isinstance(event, str):
                    faults.append(base.fault(len(events) + len(faults), event, as_text(record)))
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
        for origin, records in sections(export):
            left -= origin.size * len(records)
            if left < 0:
                raise base.too_large_as_lines(_MOST_SHARED)
            for record in records:
                event = event_of(record, origin, clock) if isinstance(record, dict) else base.NOT_AN_OBJECT
                found.append((event, record) if isinstance(event, str) else event)
    except BadMemberError as bad:
        raise base.MalformedBody(base.MALFORMED, f"An OTLP export of the body cannot be read: {bad}.") from None
    return found
