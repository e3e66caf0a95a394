"""Parsers by format: a whole body in one step, or a large one piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from logops_fast.formats import syslog_text
from logops_fast.formats.csv_text import DELIMITERS
from logops_fast.formats.line_pieces import csv_pieces, line_pieces
from logops_fast.formats.lines import frames, is_blank, without_bom
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS, STEP_BYTES, Piece, PieceKind, groups
from logops_fast.ingest.parsers import (
    base,
    csv_rows,
    json_array,
    loki_json,
    loki_protobuf,
    ndjson,
    otlp_json,
    otlp_protobuf,
    plain,
    syslog_body,
)
from logops_fast.ingest.parsers.base import Limits, Parsed, TextOptions
from logops_fast.ingest.parsers.json_reader import JsonReader

DEFAULT_LIMITS: Final = Limits()
DEFAULT_TEXT: Final = TextOptions()

_NOTHING: Final = Parsed([], [])
_DELIMITERS: Final = tuple(mark.encode() for mark in DELIMITERS)
_STRUCTURED: Final = b'="'
_DENSE: Final = 8  # bytes a cell, below which CSV costs several times as much for each byte


def parse(
    format: Format,
    body: bytes,
    now: float,
    limits: Limits = DEFAULT_LIMITS,
    text: TextOptions = DEFAULT_TEXT,
    *,
    checked: bool = True,
) -> Parsed:
    """Return the events and faults of a decoded body; ``now`` in epoch seconds, for dates that come without a year.

    ``checked``: false if the serialiser notices events that cannot be written as they are, and the caller reads the
    body once more: to write each event twice is a sixth of what JSON takes to read.

    Raises base.MalformedBody if the body as a whole is refused, and if an envelope is not ``checked``,
    orjson.JSONEncodeError. Nothing else is ever raised, whatever the bytes.
    """
    if len(body) <= limits.max_event_bytes:
        parsed = _parse_whole(format, body, now, limits, text, checked)
    else:
        parsed = _NOTHING
        for piece in parse_pieces(format, body, now, limits, text):
            parsed = base.joined(parsed, piece)
    if len(parsed.events) + len(parsed.faults) > limits.max_items:
        raise base.too_many_items(limits.max_items)
    return parsed


def parse_clean(format: Format, body: bytes, *, checked: bool = True) -> Parsed | None:
    """Return what ``parse`` does of JSON, quickly, if every item is itself an event and not an envelope; else None."""
    if format is Format.NDJSON:
        return ndjson.parse_clean(body, checked=checked)
    return json_array.parse_clean(body, checked=checked)


def parse_at_once(
    format: Format,
    body: bytes,
    now: float,
    limits: Limits = DEFAULT_LIMITS,
    text: TextOptions = DEFAULT_TEXT,
    *,
    checked: bool = True,
) -> Parsed | None:
    """Return what ``parse`` does, or None if the body may take long and is to be read with ``parse_pieces``."""
    if len(body) > STEP_BYTES:
        match format:
            case Format.JSON | Format.NDJSON:
                return parse_clean(format, body, checked=checked)
            case Format.CSV:
                if max(map(body.count, _DELIMITERS)) > len(body) // _DENSE:
                    return None
            case Format.PLAIN | Format.SYSLOG | Format.SYSLOG_UDP:
                if _STRUCTURED in body:
                    return None
            case Format.OTLP | Format.OTLP_JSON | Format.LOKI | Format.LOKI_JSON:
                pass  # their pieces are made one by one: see `shares`
            case _:
                assert_never(format)
    return parse(format, body, now, limits, text, checked=checked)


def parse_pieces(
    format: Format, body: bytes, now: float, limits: Limits = DEFAULT_LIMITS, text: TextOptions = DEFAULT_TEXT
) -> Iterator[Parsed]:
    """Read a body in steps, none of which looks at more than about a megabyte; indexes of faults restart in each.

    Raises base.MalformedBody, by a step, as ``parse`` does.
    """
    total = 0
    for parsed in _pieces(format, body, now, limits, text):
        total += len(parsed.events) + len(parsed.faults)
        if total > limits.max_items:
            raise base.too_many_items(limits.max_items)
        yield parsed


def shares(format: Format) -> bool:
    """Return whether events of this format share what is in each of their lines: a small body may be a large batch."""
    return format is Format.OTLP or format is Format.OTLP_JSON or format is Format.LOKI or format is Format.LOKI_JSON


def may_be_empty(format: Format) -> bool:
    """Return whether a body without any event is a success, as the sender's protocol has it."""
    return format is Format.OTLP or format is Format.OTLP_JSON


def _parse_whole(format: Format, body: bytes, now: float, limits: Limits, text: TextOptions, checked: bool) -> Parsed:
    match format:
        case Format.JSON:
            return json_array.parse(body, checked=checked)
        case Format.NDJSON:
            return ndjson.parse(body, checked=checked)
        case Format.CSV:
            return csv_rows.parse(body)
        case Format.PLAIN:
            return plain.parse(body, now, text)
        case Format.LOKI | Format.LOKI_JSON:
            return _in_one(_pieces(format, body, now, limits, text))
        case Format.SYSLOG | Format.SYSLOG_UDP:
            return syslog_body.parse(body, now, text, unproven=format is Format.SYSLOG_UDP)
        case Format.OTLP:
            return otlp_protobuf.parse(body, limits)
        case Format.OTLP_JSON:
            return otlp_json.parse(body, limits)
        case _:
            assert_never(format)


def _pieces(format: Format, body: bytes, now: float, limits: Limits, text: TextOptions) -> Iterator[Parsed]:
    if format is Format.LOKI:
        return loki_protobuf.read_pieces(body, limits)
    if format is Format.OTLP:
        return otlp_protobuf.read_pieces(body, limits)  # an empty body is an empty export
    if is_blank(body[:PIECE_BYTES]) and is_blank(without_bom(body)):
        raise base.empty_body()
    match format:
        case Format.JSON:
            return json_array.read_pieces(body, limits)
        case Format.NDJSON:
            return _ndjson(without_bom(body), limits.max_event_bytes)
        case Format.CSV:
            return _csv(without_bom(body), limits.max_event_bytes)
        case Format.PLAIN:
            return _plain(without_bom(body), now, limits.max_event_bytes, text)
        case Format.LOKI_JSON:
            return loki_json.read_pieces(body, limits)
        case Format.SYSLOG | Format.SYSLOG_UDP:
            return _syslog(body, now, limits.max_event_bytes, text, format is Format.SYSLOG_UDP)
        case Format.OTLP_JSON:
            return otlp_json.read_pieces(body, limits)
        case _:
            assert_never(format)


def _in_one(pieces: Iterator[Parsed]) -> Parsed:
    parsed = next(pieces)
    for piece in pieces:
        parsed = base.joined(parsed, piece)
    return parsed


def _ndjson(body: bytes, limit: int) -> Iterator[Parsed]:
    reader = JsonReader()
    for piece in line_pieces(body, limit):
        if _filled(piece):
            yield from ndjson.read_steps(reader, piece.text)
        else:
            yield _set_aside(piece)
    yield reader.finish()


def _plain(body: bytes, now: float, limit: int, text: TextOptions) -> Iterator[Parsed]:
    reader = plain.Reader(now, text)  # one for all pieces: a continuation line may begin the next one
    framed = frames(body)
    if framed is None:
        yield from _line_pieces(body, reader, limit)
    else:
        for first in range(0, len(framed), PIECE_ITEMS):
            yield _frames(framed[first : first + PIECE_ITEMS], reader, limit)
    yield Parsed(reader.finish(), [])


def _syslog(body: bytes, now: float, limit: int, text: TextOptions, unproven: bool) -> Iterator[Parsed]:
    for part in syslog_text.parts_of(body):
        reader = plain.Reader(now, text)
        messages = syslog_text.messages(part)
        if messages is None:
            pieces = _line_pieces(part, reader, limit)
        else:
            steps = range(0, len(messages), PIECE_ITEMS)
            pieces = (_frames(messages[first : first + PIECE_ITEMS], reader, limit) for first in steps)
        for parsed in pieces:
            yield syslog_body.marked(parsed, unproven)
        yield syslog_body.marked(Parsed(reader.finish(), []), unproven)


def _line_pieces(body: bytes, reader: plain.Reader, limit: int) -> Iterator[Parsed]:
    for piece in line_pieces(body, limit):
        if not _filled(piece):
            yield _set_aside(piece)
            continue
        lines = plain.lines(piece.text)
        # Structured data costs ten times what other text does.
        for some in groups(lines, PIECE_ITEMS) if _STRUCTURED in piece.text else (lines,):
            yield Parsed(reader.read_piece(list(some)), [])


def _frames(framed: list[bytes], reader: plain.Reader, limit: int) -> Parsed:
    events = reader.read_piece([frame.decode("utf-8", "replace") for frame in framed if len(frame) <= limit])
    return Parsed(
        events, [base.fault(at, base.EVENT_TOO_LARGE, frame) for at, frame in enumerate(framed) if len(frame) > limit]
    )


def _csv(body: bytes, limit: int) -> Iterator[Parsed]:
    if b"\n" not in body:
        body = body.replace(b"\r", b"\n")  # lines may end in CR alone
    body = body.lstrip()
    header = body[: body.find(b"\n", 0, limit) + 1]
    columns = csv_rows.columns_of(header) if header and b'"' not in header else None
    if columns is None:
        columns = csv_rows.default_columns(header)
    else:
        body = body[len(header) :]
    for piece in csv_pieces(body, limit, columns.delimiter.encode()):
        yield csv_rows.parse_rows(piece.text, columns) if _filled(piece) else _set_aside(piece)


def _filled(piece: Piece) -> bool:
    return piece.kind is PieceKind.ITEMS and not is_blank(piece.text)


def _set_aside(piece: Piece) -> Parsed:
    if piece.kind is PieceKind.TOO_LARGE:
        return Parsed([], [base.fault(0, base.EVENT_TOO_LARGE, piece.text)])
    return _NOTHING
