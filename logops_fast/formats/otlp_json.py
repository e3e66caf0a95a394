"""OTLP in JSON as text: which bodies are an export, how many records one holds, and where to cut a large one.

Names are protobuf's own or its JSON names (``resource_logs``, ``resourceLogs``); unknown ones are skipped. Source:
opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding"; protobuf.dev/programming-guides/json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from logops_fast.errors import LogOpsError
from logops_fast.formats.json_text import BrokenJsonError, replace_lone_surrogates, skip_blanks, value_end, where
from logops_fast.formats.lines import without_bom
from logops_fast.formats.pieces import NOTHING, PIECE_BYTES, PIECE_ITEMS, Piece, PieceKind, too_large

_SHAPE: Final = re.compile(
    rb'(?:\xef\xbb\xbf)?[ \t\r\n]*\{[ \t\r\n]*"resource(?:Logs|_logs)"[ \t\r\n]*:[ \t\r\n]*(?:\[|null)'
)
_NAME: Final = re.compile(rb'[ \t\r\n]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_LONGEST_NAME: Final = 2048  # bytes, with the white space around it
_SCALAR: Final = re.compile(rb"(?:true|false|null|-?(?:0|[1-9][0-9]{0,18}))(?=[ \t\r\n]*[,}])")
_STEP_MEMBERS: Final = 10_000
_COMMA: Final = 0x2C
_OPEN: Final = 0x5B
_CLOSE: Final = 0x5D
_OBJECT_END: Final = 0x7D
_NULL: Final = 0x6E


def _message(name: str, member: str, other: str, element: Any) -> Any:
    """Return the type of a message of which one repeated field is read, under its JSON name and protobuf's own.

    Made by a call: mypyc cannot compile a class of msgspec's. It takes `list[element]` for an alias that no code needs.
    """
    generic: Any = list
    repeated: Any = generic[element] | None
    return msgspec.defstruct(name, [(member, repeated, None), (other, repeated, None)])


_SCOPE_LOGS: Final = _message("ScopeLogs", "logRecords", "log_records", msgspec.Raw)
_RESOURCE_LOGS: Final = _message("ResourceLogs", "scopeLogs", "scope_logs", _SCOPE_LOGS)
_FRAME: Final = msgspec.json.Decoder(_message("Export", "resourceLogs", "resource_logs", _RESOURCE_LOGS))


def is_export(body: bytes) -> bool:
    """Return whether a JSON body is an ExportLogsServiceRequest: an object whose first member is ``resourceLogs``."""
    return _SHAPE.match(body) is not None


def count(body: bytes) -> int:
    """Return how many log records the body holds, without building them; 0 if it is broken."""
    text = without_bom(body)
    for _ in range(2):
        try:
            return _count(_FRAME.decode(text))
        except (msgspec.DecodeError, RecursionError):
            text = replace_lone_surrogates(text)
    return 0


def _count(export: Any) -> int:
    total = 0
    for resource in export.resourceLogs or export.resource_logs or ():
        for scope in resource.scopeLogs or resource.scope_logs or ():
            total += len(scope.logRecords or scope.log_records or ())
    return total


Span = tuple[int, int]
"""Where a value begins and ends in the body; equal numbers: there is none."""

NO_SPAN: Final = (0, 0)


class Group(NamedTuple):
    """Some records of one resource and scope: a Piece, and where in the body the other values of their section are."""

    piece: Piece
    resource: Span = NO_SPAN
    resource_url: Span = NO_SPAN
    scope: Span = NO_SPAN
    scope_url: Span = NO_SPAN


_STEP: Final = Group(NOTHING)


class TooManySectionsError(LogOpsError):
    """The body has more resources and scopes than one may have records."""


class Cutter:
    """Cuts the JSON text of an export, without a byte order mark, into groups of records in bounded steps.

    A record over ``limit`` bytes is set aside without being parsed. Records are not looked into: some may not be
    objects. The position of each value is found by reading it at memory speed.
    """

    __slots__ = ("_limit", "_sections", "_size", "_view", "text")

    def __init__(self, text: bytes, limit: int, max_sections: int) -> None:
        self._limit = limit
        self._sections = max_sections
        self._take(text)

    def _take(self, text: bytes) -> None:
        self.text = text
        """What the spans are positions in."""
        self._view = memoryview(text)
        self._size = len(text)

    def groups(self) -> Iterator[Group]:
        """Cut the whole text. Raises BrokenJsonError or TooManySectionsError, by a step."""
        spans: dict[bytes, Span] = {}
        try:
            yield from self._head(spans)
        except BrokenJsonError:
            replaced = replace_lone_surrogates(self.text)
            if replaced is self.text:
                raise
            self._take(replaced)
            spans.clear()
            yield from self._head(spans)
        for start in self._elements(_one_of(spans, b"resourceLogs", b"resource_logs")):
            yield _STEP
            yield from self._resource_logs(start)

    def _head(self, spans: dict[bytes, Span]) -> Iterator[Group]:
        """Read the outermost object, and so the whole text."""
        end = 0
        for end in self._members(skip_blanks(self.text, 0), spans):
            if end < 0:
                yield _STEP
        if skip_blanks(self.text, end) < self._size:
            raise self._broken(end)

    def _resource_logs(self, start: int) -> Iterator[Group]:
        spans: dict[bytes, Span] = {}
        for end in self._members(start, spans):
            if end < 0:
                yield _STEP
        head = Group(NOTHING, spans.get(b"resource", NO_SPAN), _one_of(spans, b"schemaUrl", b"schema_url"))
        yield head
        for at in self._elements(_one_of(spans, b"scopeLogs", b"scope_logs")):
            yield from self._scope_logs(at, head)

    def _scope_logs(self, start: int, head: Group) -> Iterator[Group]:
        spans: dict[bytes, Span] = {}
        for end in self._members(start, spans):
            if end < 0:
                yield _STEP
        head = head._replace(scope=spans.get(b"scope", NO_SPAN), scope_url=_one_of(spans, b"schemaUrl", b"schema_url"))
        yield head
        for piece in self._records(_one_of(spans, b"logRecords", b"log_records")):
            yield head._replace(piece=piece)

    def _members(self, pos: int, spans: dict[bytes, Span]) -> Iterator[int]:
        """Note where the values of the object at ``pos`` are; -1 for each step, then the end of the object.

        Of two members of one name the last counts, as for every JSON parser here.
        """
        text = self.text
        if text[pos : pos + 1] != b"{":
            raise self._broken(pos)
        pos = skip_blanks(text, pos + 1)
        looked = 0
        if text[pos : pos + 1] == b"}":
            yield pos + 1
            return
        while True:
            name = _NAME.match(text, pos, min(self._size, pos + _LONGEST_NAME))
            if name is None:
                raise self._broken(pos)
            start = name.end()
            scalar = _SCALAR.match(text, start)
            end = self._value_end(start) if scalar is None else scalar.end()
            key = name[1]
            if key in _READ:
                spans[key] = (start, end)
            pos = skip_blanks(text, end)
            looked += 1 + (end - start) // 1024
            if looked >= _STEP_MEMBERS or end - start > PIECE_BYTES:
                looked = 0
                yield -1
            byte = text[pos] if pos < self._size else 0
            if byte == _OBJECT_END:
                yield pos + 1
                return
            if byte != _COMMA:
                raise self._broken(pos)
            pos += 1

    def _elements(self, span: Span) -> Iterator[int]:
        """Return where the elements of an array of objects begin; each has been read when the next is asked for."""
        pos, stop = span
        text = self.text
        if pos == stop or text[pos] == _NULL:
            return
        if text[pos] != _OPEN:
            raise self._broken(pos)
        pos = skip_blanks(text, pos + 1)
        while text[pos] != _CLOSE:
            self._sections -= 1
            if self._sections < 0:
                raise TooManySectionsError
            end = self._value_end(pos)
            yield pos
            pos = skip_blanks(text, end)
            if text[pos] == _COMMA:
                pos = skip_blanks(text, pos + 1)

    def _records(self, span: Span) -> Iterator[Piece]:
        """Cut an array into pieces that are arrays of some of its elements."""
        pos, stop = span
        text, view, limit = self.text, self._view, self._limit
        if pos == stop or text[pos] == _NULL:
            return
        if text[pos] != _OPEN:
            raise self._broken(pos)
        pos = skip_blanks(text, pos + 1)
        begun = last = pos
        number = 0
        while text[pos] != _CLOSE:
            end = value_end(view, pos, min(stop, pos + limit + 1))
            if end < 0 or end > pos + limit:
                if number:
                    yield Piece(PieceKind.ITEMS, b"[" + text[begun:last] + b"]", number)
                    number = 0
                end = self._value_end(pos)
                yield too_large(text, pos, end)
                begun = -1
            else:
                number += 1
                last = end
            pos = skip_blanks(text, end)
            if text[pos] == _COMMA:
                pos = skip_blanks(text, pos + 1)
            if begun < 0:
                begun = pos
            elif last - begun >= PIECE_BYTES or number >= PIECE_ITEMS:
                yield Piece(PieceKind.ITEMS, b"[" + text[begun:last] + b"]", number)
                begun = pos
                number = 0
        if number:
            yield Piece(PieceKind.ITEMS, b"[" + text[begun:last] + b"]", number)

    def _value_end(self, pos: int) -> int:
        end = value_end(self._view, pos, self._size)
        if end < 0:
            raise self._broken(pos)
        return end

    def _broken(self, pos: int) -> BrokenJsonError:
        if self._size <= PIECE_BYTES:
            return BrokenJsonError(where(self.text))
        return BrokenJsonError(f"at or after byte {pos} of the body")


_READ: Final = frozenset(
    (
        b"resourceLogs", b"resource_logs", b"scopeLogs", b"scope_logs", b"logRecords", b"log_records",
        b"resource", b"scope", b"schemaUrl", b"schema_url",
    )
)  # fmt: skip


def _one_of(spans: dict[bytes, Span], name: bytes, other: bytes) -> Span:
    return spans.get(name) or spans.get(other, NO_SPAN)
