"""Loki's push in protobuf, out of its snappy block; fields as in formats/loki_push.

``EntryAdapter {Timestamp timestamp = 1; string line = 2; repeated LabelPairAdapter structuredMetadata = 3; repeated
LabelPairAdapter parsed = 4}``, ``LabelPairAdapter {string name = 1; string value = 2}``, ``Timestamp {int64 seconds =
1; int32 nanos = 2}``. ``parsed`` is what queriers send each other, and is skipped.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

from logops_fast.formats.loki_push import ENTRIES, LABELS, STEP_FIELDS, streams
from logops_fast.formats.protobuf_steps import LARGE_BYTES, Pace, last_of_each
from logops_fast.formats.protobuf_wire import BYTES, VARINT, WireError, read_length, read_varint, signed, skip
from logops_fast.ingest.parsers import base
from logops_fast.ingest.parsers.loki_entries import EntryReader
from logops_fast.ingest.parsers.loki_labels import MAX_LABELS_BYTES, parse_labels

_TIMESTAMP: Final = 1 << 3 | BYTES
_LINE: Final = 2 << 3 | BYTES
_METADATA: Final = 3 << 3 | BYTES
_LABELS: Final = LABELS << 3 | BYTES
_ENTRY: Final = ENTRIES << 3 | BYTES
_FIRST_NUMBER: Final = 1 << 3 | VARINT
_SECOND_NUMBER: Final = 2 << 3 | VARINT
_NAME: Final = 1 << 3 | BYTES
_VALUE: Final = 2 << 3 | BYTES


def read_pieces(body: bytes, limits: base.Limits) -> Iterator[base.Parsed]:
    """Read a push in steps, entries over the limit set aside; indexes of faults restart in each step.

    Raises base.MalformedBody, by a step: ``malformed``, or ``too_large`` for what the labels come to.
    """
    if not body:
        raise base.empty_body()
    reader = EntryReader()
    limit = limits.max_event_bytes
    looked = 0  # fields, since the last step
    try:
        for begin, end in streams(body):
            # Labels may follow their entries, and the last of several win: so a stream's fields are read twice.
            first = last = pos = begin
            looked += 1
            while pos < end:
                tag, pos = read_varint(body, pos, end)
                if tag == _LABELS:
                    first, pos = read_length(body, pos, end)
                    last = pos
                else:
                    pos = skip(body, tag & 7, pos, end)
                looked += 1
                if looked >= STEP_FIELDS:
                    looked = 0
                    yield reader.take()
            if begin < end:
                _begin(reader, body, first, last)
            pos = begin
            while pos < end:
                looked += 1
                if looked >= STEP_FIELDS:
                    looked = 0
                    yield reader.take()
                tag, pos = read_varint(body, pos, end)
                if tag != _ENTRY:
                    pos = skip(body, tag & 7, pos, end)
                    continue
                first, pos = read_length(body, pos, end)
                if pos - first > limit:
                    reader.fault(base.EVENT_TOO_LARGE, body[first : min(pos, first + base.TEXT_LIMIT)])
                else:
                    try:
                        if pos - first <= LARGE_BYTES:
                            _entry(reader, body, first, pos)
                        else:
                            for _ in _large_entry(reader, body, first, pos):
                                yield reader.take()
                    except WireError:
                        reader.fault(base.BAD_ENTRY, body[first : min(pos, first + base.TEXT_LIMIT)])
                if reader.full:
                    looked = 0
                    yield reader.take()
            if looked >= STEP_FIELDS:
                looked = 0
                yield reader.take()
    except WireError as error:
        raise base.MalformedBody(base.MALFORMED, f"The body is not a Loki push request in protobuf: {error}.") from None
    yield reader.take()


def _begin(reader: EntryReader, body: bytes, first: int, last: int) -> None:
    """Begin a stream with the labels at ``first``."""
    if last - first > MAX_LABELS_BYTES:
        reader.begin(None, 0)
    else:
        reader.begin(parse_labels(body[first:last].decode("utf-8", "replace")), last - first)


def _entry(reader: EntryReader, body: bytes, pos: int, end: int) -> None:
    ts: Any = None
    line = b""
    size = end - pos
    metadata: dict[str, Any] | None = None
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == _LINE:
            first, pos = read_length(body, pos, end)
            line = body[first:pos]
        elif tag == _TIMESTAMP:
            first, pos = read_length(body, pos, end)
            ts = _time(reader, body, first, pos)
        elif tag == _METADATA:
            first, pos = read_length(body, pos, end)
            if metadata is None:
                metadata = {}
            _pair(metadata, body, first, pos)
        else:
            pos = skip(body, tag & 7, pos, end)
    reader.add(ts, line, metadata, size)


def _large_entry(reader: EntryReader, body: bytes, pos: int, end: int) -> Generator[None, None, None]:
    """As ``_entry``, in steps."""
    ts: Any = None
    line = b""
    size = end - pos
    metadata: dict[str, Any] = {}
    pace = Pace()
    while pos < end:
        fields = 1
        tag, pos = read_varint(body, pos, end)
        if tag == _LINE:
            first, pos = read_length(body, pos, end)
            line = body[first:pos]
        elif tag in (_TIMESTAMP, _METADATA):
            first, pos = read_length(body, pos, end)
            held, begin, stop = body, first, pos
            if pos - first > LARGE_BYTES:
                held = yield from last_of_each(body, first, pos, 2, pace)
                begin, stop = 0, len(held)
            else:
                fields += (pos - first) // 2
            if tag == _TIMESTAMP:
                ts = _time(reader, held, begin, stop)
            else:
                _pair(metadata, held, begin, stop)
        else:
            pos = skip(body, tag & 7, pos, end)
        if pace.took(fields):
            yield
    reader.add(ts, line, metadata or None, size)


def _time(reader: EntryReader, body: bytes, pos: int, end: int) -> Any:
    seconds = nanos = 0
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == _FIRST_NUMBER:
            seconds, pos = read_varint(body, pos, end)
        elif tag == _SECOND_NUMBER:
            nanos, pos = read_varint(body, pos, end)
        else:
            pos = skip(body, tag & 7, pos, end)
    return reader.time(signed(seconds), signed(nanos))


def _pair(pairs: dict[str, Any], body: bytes, pos: int, end: int) -> None:
    name = value = b""
    while pos < end:
        tag, pos = read_varint(body, pos, end)
        if tag == _NAME:
            first, pos = read_length(body, pos, end)
            name = body[first:pos]
        elif tag == _VALUE:
            first, pos = read_length(body, pos, end)
            value = body[first:pos]
        else:
            pos = skip(body, tag & 7, pos, end)
    pairs[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
