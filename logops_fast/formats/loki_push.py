"""The body of Loki's push API, without building events: its streams, and how many entries they hold.

Protobuf, out of its snappy block: ``PushRequest {repeated StreamAdapter streams = 1}``, ``StreamAdapter {string
labels = 1; repeated EntryAdapter entries = 2; uint64 hash = 3}`` (grafana/loki, pkg/push/push.proto). JSON:
``{"streams": [{"stream": {labels}, "values": [[time, line], [time, line, {metadata}]]}]}``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import GenericAlias
from typing import Any, Final, NamedTuple

import msgspec

from logops_fast.formats.json_pieces import json_pieces
from logops_fast.formats.json_text import BrokenJsonError, elements, replace_lone_surrogates, where
from logops_fast.formats.lines import without_bom
from logops_fast.formats.pieces import PIECE_BYTES, PieceKind
from logops_fast.formats.protobuf_wire import BYTES, WireError, read_length, read_varint, skip
from logops_fast.formats.steps import result_of

STREAMS: Final = 1
LABELS: Final = 1
ENTRIES: Final = 2

STEP_FIELDS: Final = 20_000
"""Most fields that are looked at in one step."""

_FIELDS_AN_ITEM: Final = 4
"""Fields besides entries that are read for each item of the limit: a body of nothing else would take half a second."""
_FREE_FIELDS: Final = 1024

_BROKEN: Final = (msgspec.DecodeError, RecursionError)
# Types made by a function: mypyc cannot compile a class that derives from msgspec's.
_RAW_PUSH: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(
    msgspec.defstruct("RawPush", [("streams", msgspec.Raw)])
)
_RAW_STREAM: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(
    msgspec.defstruct("RawStream", [("values", msgspec.Raw), ("stream", msgspec.Raw, msgspec.Raw(b"null"))])
)
_COUNTED_STREAM: Final = msgspec.defstruct("CountedStream", [("values", list[msgspec.Raw])])
_COUNTED_PUSH: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(
    msgspec.defstruct("CountedPush", [("streams", GenericAlias(list, (_COUNTED_STREAM,)))])
)


class JsonStream(NamedTuple):
    """One stream of a JSON push: the texts of its labels and of its list of entries.

    ``values`` is empty if the element is no stream; ``labels`` is then the element.
    """

    labels: bytes
    values: bytes


def streams(body: bytes) -> Iterator[tuple[int, int]]:
    """Return where each stream of a protobuf push begins and ends; for any other field an empty range.

    Raises WireError, by a step.
    """
    pos, end = 0, len(body)
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == STREAMS << 3 | BYTES:
            begin, pos = read_length(body, pos, end)
            yield begin, pos
        else:
            pos = skip(body, tag & 7, pos, end)
            yield pos, pos


def count(body: bytes, limit: int | None = None) -> int:
    """Return the number of entries of a protobuf push, 0 if it is broken; over ``limit`` any number over it."""
    return result_of(counting(body, len(body) if limit is None else limit))


def counting(body: bytes, limit: int) -> Generator[None, None, int]:
    """Count the entries of a protobuf push in steps; the result is that of ``count``."""
    entries = looked = 0
    spare = _FIELDS_AN_ITEM * limit + _FREE_FIELDS
    try:
        for begin, end in streams(body):
            pos = begin
            spare -= 1
            looked += 1
            while pos < end and entries <= limit and spare > 0:
                tag, pos = read_varint(body, pos, end)
                if tag == ENTRIES << 3 | BYTES:
                    entries += 1
                else:
                    spare -= 1
                pos = skip(body, tag & 7, pos, end)
                looked += 1
                if looked >= STEP_FIELDS:
                    looked = 0
                    yield
            if entries > limit or spare <= 0:
                return limit + 1
            if looked >= STEP_FIELDS:
                looked = 0
                yield
    except WireError:
        return 0
    return entries


def json_streams(body: bytes) -> Iterator[JsonStream | None]:
    """Return the streams of a JSON push in order, in steps; None between two steps.

    Raises BrokenJsonError, by a step, if the body is not JSON, or has no list of streams.
    """
    text = without_bom(body)
    held = _list_of_streams(text)
    begun = False
    # No limit: one stream may be the whole body, and its entries are cut apart later.
    for piece in json_pieces(held, len(held)):
        if begun:
            yield None
        begun = True
        if piece.kind is PieceKind.ITEMS:
            for element in elements(piece.text):
                yield _json_stream(element)


def json_counting(body: bytes, limit: int) -> Generator[None, None, int]:
    """Count the entries of a JSON push in steps, an invalid stream as one; 0 if the body is broken."""
    entries = 0
    try:
        for stream in json_streams(body):
            if stream is None:
                pass
            elif not stream.values:
                entries += 1
            elif len(stream.values) <= PIECE_BYTES:
                entries += len(elements(stream.values))
            else:
                for piece in json_pieces(stream.values, PIECE_BYTES):
                    entries += piece.count
                    if entries > limit:
                        break
                    yield
            if entries > limit:
                break
            yield
    except BrokenJsonError:
        return 0
    return entries


def json_count(body: bytes, limit: int | None = None) -> int:
    """Return the number of entries of a JSON push in one step; see ``json_counting``."""
    try:
        return sum(len(stream.values) for stream in _COUNTED_PUSH.decode(body).streams)
    except _BROKEN:
        pass  # a byte order mark, a lone surrogate, something that is no stream, or really broken
    return result_of(json_counting(body, len(body) if limit is None else limit))


def _list_of_streams(text: bytes) -> bytes:
    readable = text
    while True:
        try:
            held = bytes(_RAW_PUSH.decode(readable).streams)
        except msgspec.ValidationError:
            raise BrokenJsonError("it is not an object with a list of streams") from None
        except msgspec.DecodeError:
            replaced = replace_lone_surrogates(readable)
            if replaced is readable:
                raise BrokenJsonError(where(text) if len(text) <= PIECE_BYTES else "its grammar is wrong") from None
            readable = replaced
        except RecursionError:
            raise BrokenJsonError("it nests too deeply") from None
        else:
            break
    if held[:1] != b"[":
        raise BrokenJsonError("its streams are not a list")
    return held


def _json_stream(element: bytes) -> JsonStream:
    try:
        stream = _RAW_STREAM.decode(element)
    except _BROKEN:
        return JsonStream(element, b"")
    values = bytes(stream.values)
    if values[:1] != b"[":
        return JsonStream(element, b"")
    return JsonStream(bytes(stream.stream), values)
