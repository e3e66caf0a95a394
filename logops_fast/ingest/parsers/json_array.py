"""application/json: one object, an array of objects, or several objects one after another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from logops_fast.formats import json_text
from logops_fast.formats.json_pieces import json_pieces
from logops_fast.formats.lines import is_blank, without_bom
from logops_fast.formats.pieces import Piece, PieceKind
from logops_fast.ingest.parsers import base, envelopes, loki_json
from logops_fast.ingest.parsers.json_reader import JsonReader
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode, read_event
from logops_fast.ingest.parsers.loki_entries import MAX_REPEATED_IN_ENVELOPE, EntryReader

# How a large envelope begins: what holds its events may be far over the limit of one event, so it is cut itself.
_WRAPPER: Final = re.compile(rb'"(?:events|logs|records|logEvents|streams)"[ \t\r\n]*:[ \t\r\n]*\[')
_WRAPPER_HEAD: Final = 8192
_WRAPPER_END: Final = re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*\Z")
_END_BYTES: Final = 256
_DENSE: Final = 16_384  # brackets in a piece, above which it takes ten times as long as others, and the collector runs


def parse(body: bytes, *, checked: bool = True) -> base.Parsed:
    """Return the events of a JSON body. What is no object, or spoilt inside, is a fault of its own.

    ``checked``: see `registry.parse`.
    Raises base.MalformedBody: ``empty``; ``malformed`` if the text is not JSON (the detail says where);
    ``otlp_not_supported`` or ``unsupported_envelope``, by the first event.
    """
    text = without_bom(body)
    if is_blank(text):
        raise base.empty_body()
    events = _objects(text, checked)
    if events is not None and (not events or envelopes.TELLTALE_KEYS.isdisjoint(events[0])):
        return base.Parsed(events, [])
    if events is not None and not checked:
        check_writable(events)
    reader = JsonReader()
    # Spoilt somewhere, or a sequence: item by item.
    parsed = reader.items(_items(body)) if events is None else reader.events(events)
    return base.joined(parsed, reader.finish())


def parse_clean(body: bytes, *, checked: bool = True) -> base.Parsed | None:
    """Return what ``parse`` does, quickly, if every item is itself an event and not an envelope; else None."""
    events = _objects(without_bom(body), checked)
    return base.Parsed(events, []) if events and envelopes.TELLTALE_KEYS.isdisjoint(events[0]) else None


def _objects(text: bytes, checked: bool = True) -> list[dict[str, Any]] | None:
    """Return the events of a text of which every item is an object that, if it is checked, can be stored; else None."""
    try:
        value = decode(text)
        events = value if type(value) is list else [value]
        if set(map(type, events)) <= {dict}:
            if checked:
                check_writable(events)
            return events
    except UNREADABLE:
        pass
    return None


def _items(body: bytes) -> list[bytes]:
    try:
        return json_text.items(body)
    except json_text.BrokenJsonError as broken:
        raise _malformed(broken) from None


def _malformed(broken: json_text.BrokenJsonError) -> base.MalformedBody:
    return base.MalformedBody(base.MALFORMED, f"The body is not valid JSON: {broken}.")


def read_pieces(body: bytes, limits: base.Limits) -> Iterator[base.Parsed]:
    """Read a large body in steps, events over the limit set aside; indexes of faults restart in each step.

    Raises base.MalformedBody, by a step, as ``parse`` does.
    """
    text = without_bom(body)
    if is_blank(text):
        raise base.empty_body()
    limit = limits.max_event_bytes
    opened = _wrapper(text)
    try:
        if opened is not None:
            head, start, stop = opened
            if envelopes.wrapper_key(head) == "streams":
                yield from loki_json.read_pieces(text, limits)
                return
            # What follows the list is known only once its end is found; until then nothing is read.
            whole = False
            try:
                count = 0
                for piece in json_pieces(text, limit, start=start, stop=stop):
                    count += piece.count
                    if count > limits.max_items:
                        raise base.too_many_items(limits.max_items)
                    yield base.Parsed([], [])
                whole = True
            except json_text.BrokenJsonError:
                pass
            if whole:
                pieces = json_pieces(text, limit, start=start, stop=stop)
                yield from _read_wrapped(pieces, head)
                return
        yield from _read(json_pieces(text, limit))
    except json_text.BrokenJsonError as broken:
        raise _malformed(broken) from None


def _read(pieces: Iterator[Piece]) -> Iterator[base.Parsed]:
    reader = JsonReader()
    for piece in pieces:
        yield from _read_piece(reader, piece)
    yield reader.finish()


def _read_piece(reader: JsonReader, piece: Piece) -> Iterator[base.Parsed]:
    if piece.kind is PieceKind.ITEMS:
        if piece.text.count(b"[") + piece.text.count(b"{") > _DENSE:
            yield from reader.in_steps(json_text.items(piece.text))
            return
        events = _objects(piece.text)
        if events is None:
            yield base.Parsed([], [])  # that it is spoilt was a step's work
            yield from reader.in_steps(json_text.items(piece.text))
        else:
            yield reader.events(events)
    elif piece.kind is PieceKind.TOO_LARGE:
        yield base.Parsed([], [base.fault(0, base.EVENT_TOO_LARGE, piece.text)])
    elif piece.kind is PieceKind.BROKEN:
        yield reader.items([piece.text])
    else:
        yield base.Parsed([], [])


def _wrapper(text: bytes) -> tuple[dict[str, Any], int, int] | None:
    """Return the head of a large envelope, and where its list begins and ends; None if the body is none."""
    begun = json_text.skip_blanks(text, 0)
    if text[begun : begun + 1] != b"{":
        return None
    end = _WRAPPER_END.search(text, max(0, len(text) - _END_BYTES))
    found = _WRAPPER.search(text, begun, begun + _WRAPPER_HEAD)
    if end is None or found is None:
        return None
    head = read_event(text[begun : found.end()] + b"]}")
    if isinstance(head, str) or not envelopes.wrapper_key(head):
        return None
    return head, found.end() - 1, end.start() + 1


def _read_wrapped(pieces: Iterator[Piece], head: dict[str, Any]) -> Iterator[base.Parsed]:
    key = envelopes.wrapper_key(head)
    entries = EntryReader(MAX_REPEATED_IN_ENVELOPE)
    for piece in pieces:
        if piece.kind is not PieceKind.ITEMS:
            yield from _read_piece(JsonReader(), piece)
            continue
        parts: list[envelopes.Unwrapped] = []
        for item in json_text.items(piece.text):
            event = read_event(item)
            if isinstance(event, str):
                parts.append((event, item))
            else:
                parts += envelopes.unwrap({**head, key: [event]}, entries)
        yield envelopes.collect(parts)
