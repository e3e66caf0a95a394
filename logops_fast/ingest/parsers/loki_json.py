"""Loki's push in JSON: streams of labels and values (Loki's HTTP API, "Ingest logs")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from logops_fast.formats.json_pieces import json_pieces
from logops_fast.formats.json_text import BrokenJsonError, elements
from logops_fast.formats.loki_push import json_streams
from logops_fast.formats.pieces import PIECE_BYTES, Piece, PieceKind
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.json_values import UNREADABLE, check_writable, decode, read_event
from logops_fast.ingest.parsers.loki_entries import EntryReader
from logops_fast.ingest.parsers.loki_labels import MAX_LABELS_BYTES

_WHOLE: Final = Piece(PieceKind.ITEMS, b"", 0)


def read_pieces(body: bytes, limits: base.Limits) -> Iterator[base.Parsed]:
    """Read a push in steps, entries over the limit set aside; indexes of faults restart in each step.

    Raises base.MalformedBody, by a step: ``malformed``, or ``too_large`` for what the labels come to.
    """
    reader = EntryReader()
    try:
        for stream in json_streams(body):
            if stream is None:
                yield reader.take()
                continue
            if stream.values:
                _begin(reader, stream.labels)
                for piece in _pieces(stream.values, limits.max_event_bytes):
                    yield from _read(reader, piece)
                    reader.read(len(piece.text))  # metadata may be most of it
                    if reader.full:
                        yield reader.take()
            else:
                reader.fault(base.BAD_ENTRY, stream.labels)
            if reader.full:
                yield reader.take()
    except BrokenJsonError as broken:
        raise base.MalformedBody(base.MALFORMED, f"The body is not a Loki push request in JSON: {broken}.") from None
    yield reader.take()


def _begin(reader: EntryReader, text: bytes) -> None:
    """Begin a stream whose labels are this text."""
    if len(text) <= MAX_LABELS_BYTES:
        labels = read_event(text)
        if isinstance(labels, dict):
            reader.begin(labels, len(text))
            return
    reader.begin(None, 0)


def _pieces(values: bytes, limit: int) -> Iterator[Piece]:
    if len(values) <= min(PIECE_BYTES, limit):
        return iter((_WHOLE._replace(text=values),))
    return json_pieces(values, limit)


def _read(reader: EntryReader, piece: Piece) -> Iterator[base.Parsed]:
    if piece.kind is PieceKind.TOO_LARGE:
        reader.fault(base.EVENT_TOO_LARGE, piece.text)
    elif piece.kind is PieceKind.ITEMS:
        try:
            entries = decode(piece.text)
            check_writable(entries)
        except UNREADABLE:
            for text in elements(piece.text):
                # The reader of a broken event reads a broken entry, as its only element.
                held = read_event(b'{"":' + text + b"}")
                if isinstance(held, str):
                    reader.fault(held, text)
                else:
                    reader.add_json(held[""])
                if reader.full:
                    yield reader.take()
        else:
            for entry in entries:
                reader.add_json(entry)
                if reader.full:
                    yield reader.take()
