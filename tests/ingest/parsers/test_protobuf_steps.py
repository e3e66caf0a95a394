"""Events that are large messages of protobuf: read in steps, and as they are read at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from itertools import pairwise
from typing import Any

import pytest

from logops_fast.formats.media_type import Format
from logops_fast.formats.protobuf_steps import LARGE_BYTES, STEP_FIELDS, Pace, last_of_each
from logops_fast.formats.protobuf_wire import WireError, bytes_field, int_field
from logops_fast.formats.steps import result_of
from logops_fast.ingest.parsers import loki_protobuf, otlp_protobuf
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.parsers.otlp_event import MOST_LEVELS, NO_ORIGIN, Clock
from logops_fast.ingest.parsers.otlp_steps import members_in_steps
from logops_fast.ingest.parsers.otlp_values import any_value, key_value
from logops_fast.ingest.parsers.registry import DEFAULT_LIMITS, parse, parse_pieces
from tests.fuzz.exports import ExportMaker
from tests.support.tables import each_of

FIELDS = 100_000
EMPTY = b"\x0a\x00"
SPENT = (
    "a scalar of the record", "attributes", "a body of empty values", "a body of empty pairs", "a body of scalars",
    "an attribute of empty values", "an attribute of keys", "unknown fields", "a body of many values within one",
)  # fmt: skip


def array(values: bytes) -> bytes:
    return bytes_field(5, values)


def tiny(kind: str) -> bytes:
    """A LogRecord of FIELDS fields of two bytes."""
    return {
        "a scalar of the record": b"\x38\x00" * FIELDS,
        "attributes": b"\x32\x00" * FIELDS,
        "a body of empty values": bytes_field(5, array(EMPTY * FIELDS)),
        "a body of empty pairs": bytes_field(5, bytes_field(6, EMPTY * FIELDS)),
        "a body of scalars": bytes_field(5, b"\x18\x00" * FIELDS),
        "an attribute of empty values": bytes_field(6, bytes_field(1, b"a") + bytes_field(2, array(EMPTY * FIELDS))),
        "an attribute of keys": bytes_field(6, EMPTY * FIELDS),
        "unknown fields": b"\x78\x00" * FIELDS,
        "a body of many values within one": bytes_field(5, array(bytes_field(1, array(EMPTY * FIELDS)))),
    }[kind]


def export(record: bytes) -> bytes:
    return bytes_field(1, bytes_field(2, bytes_field(2, record)))


@each_of("kind", SPENT, everyday=0.3)
def test_an_otlp_record_of_tiny_fields_is_read_in_steps(kind: str) -> None:
    record = tiny(kind)
    pieces = list(parse_pieces(Format.OTLP, export(record), 0.0))
    assert FIELDS // STEP_FIELDS // 2 <= len(pieces) <= 3 * FIELDS // STEP_FIELDS
    (event,) = [event for piece in pieces for event in piece.events]
    assert event == record_of(record)


@pytest.mark.parametrize(("field", "attributes"), [(1, 1), (2, 3)], ids=["resource", "scope"])
@each_of("unit", [b"\x10\x00", b"\x78\x00", b"attributes"], everyday=0.3)
def test_a_resource_or_scope_of_tiny_fields_is_read_in_steps(unit: bytes, field: int, attributes: int) -> None:
    if unit == b"attributes":
        unit = bytes_field(attributes, b"")
    elif field == 2 and unit == b"\x10\x00":
        unit = b"\x20\x00"
    head = unit * FIELDS + bytes_field(attributes, bytes_field(1, b"k") + bytes_field(2, int_field(3, 5)))
    record = bytes_field(2, bytes_field(5, bytes_field(1, b"m")))
    sections = bytes_field(1, head) + bytes_field(2, record) if field == 1 else b""
    if field == 2:
        sections = bytes_field(2, bytes_field(1, head) + record)
    pieces = list(parse_pieces(Format.OTLP, bytes_field(1, sections), 0.0))
    assert len(pieces) >= FIELDS // STEP_FIELDS // 2
    (event,) = [event for piece in pieces for event in piece.events]
    held = event["resource"] if field == 1 else event["scope"]["attributes"]
    assert held["k"] == 5


def counted(steps: Generator[None, None, Any]) -> tuple[int, Any]:
    number = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return number, end.value
        number += 1


def record_of(record: bytes) -> dict[str, Any]:
    return otlp_protobuf._record(record, 0, len(record), NO_ORIGIN, Clock(), {}, None)


def value_of(value: bytes) -> Any:
    return any_value(value, 0, len(value), MOST_LEVELS)


def readable(make: Callable[[], bytes], read: Callable[[bytes], Any]) -> bytes:
    """What the maker makes next that can be read."""
    while True:
        made = make()
        try:
            read(made)
        except WireError:
            continue
        return made


@each_of("seed", range(8), everyday=0.25)
def test_large_records_of_any_fields_are_read_as_at_once(seed: int) -> None:
    """Records one after another are one record (protobuf's merging); values are put into ever larger ones."""
    rng = random.Random(seed)
    exports = ExportMaker(rng, lambda: "text \u00e9 " * rng.randrange(20))
    tried = 0
    for _ in range(12):
        parts = [exports.record() for _ in range(rng.choice((40, 150)))]
        for _ in range(3):
            value = b"".join(bytes_field(1, readable(exports.value, value_of)) for _ in range(400))
            if rng.random() < 0.5:
                value = array(value)
            else:
                pairs = [bytes_field(1, b"%d" % place) + bytes_field(2, array(value)) for place in range(3)]
                value = bytes_field(6, b"".join(bytes_field(1, pair) for pair in pairs))
            parts.append(bytes_field(6, bytes_field(1, b"k") + bytes_field(2, value)))
            parts.append(bytes_field(5, value))
        rng.shuffle(parts)
        record = b"".join(parts)
        if rng.random() < 0.2:  # spoilt somewhere
            at = rng.randrange(len(record))
            record = record[:at] + bytes((rng.randrange(256),)) + record[at + 1 :]
        assert len(record) > LARGE_BYTES
        try:
            wanted = record_of(record)
        except WireError:
            with pytest.raises(WireError):
                result_of(otlp_protobuf._large_record(record, 0, len(record), NO_ORIGIN, Clock()))
            continue
        tried += 1
        steps, found = counted(otlp_protobuf._large_record(record, 0, len(record), NO_ORIGIN, Clock()))
        assert repr(found) == repr(wanted)
        assert steps >= 1
    assert tried


def test_a_value_that_nests_too_deeply_is_refused_in_steps_too() -> None:
    value = EMPTY * LARGE_BYTES
    for _ in range(MOST_LEVELS):
        value = array(bytes_field(1, value))
    for levels, deep in enumerate((value, array(bytes_field(1, value)))):
        body = export(bytes_field(5, deep))
        if levels:
            with pytest.raises(MalformedBody, match="levels deep"):
                parse(Format.OTLP, body, 0.0)
        else:
            assert parse(Format.OTLP, body, 0.0).events


@pytest.mark.parametrize("broken", [b"\x0b", b"\x2d\0\0\0\0", b"\x32\x05", b"\x2a\x02\x0a\x05", b"\x32\x02\x15\x00"])
@pytest.mark.parametrize("padding", [b"\x38\x00" * LARGE_BYTES, b"\x32\x00" * LARGE_BYTES])
def test_a_large_record_that_is_broken_is_refused(broken: bytes, padding: bytes) -> None:
    for record in (padding + broken, broken + padding) if broken != b"\x32\x05" else (padding + broken,):
        with pytest.raises(MalformedBody) as caught:
            parse(Format.OTLP, export(record), 0.0)
        assert caught.value.reason == "malformed"


def test_a_key_or_value_under_a_tag_of_two_bytes_is_read() -> None:
    """A varint may be longer than it has to be."""
    large = array(EMPTY * LARGE_BYTES)
    overlong = bytes_field(5, large)[1:]
    pairs = b"\x92\x00" + overlong + bytes_field(1, b"k")
    members: dict[str, Any] = {}
    result_of(members_in_steps(bytes_field(6, pairs), 0, len(bytes_field(6, pairs)), 0x32, members, 12, Pace()))
    at_once: dict[str, Any] = {}
    key_value(pairs, 0, len(pairs), at_once, MOST_LEVELS)
    assert members == at_once


ENTRIES = {
    "metadata": b"\x1a\x00" * FIELDS,
    "a name": bytes_field(3, EMPTY * FIELDS),
    "a time": bytes_field(1, b"\x08\x01" * FIELDS),
    "unknown fields": b"\x38\x00" * FIELDS,
    "lines": b"\x12\x00" * FIELDS,
}


@each_of("kind", list(ENTRIES), everyday=0.4)
def test_a_loki_entry_of_tiny_fields_is_read_in_steps(kind: str) -> None:
    entry = ENTRIES[kind] + bytes_field(3, bytes_field(1, b"a") + bytes_field(2, b"b")) + bytes_field(2, b"m")
    stream = bytes_field(1, b'{app="a"}') + bytes_field(2, bytes_field(2, b"x")) + bytes_field(2, entry)
    pieces = list(loki_protobuf.read_pieces(bytes_field(1, stream), DEFAULT_LIMITS))
    assert FIELDS // STEP_FIELDS // 2 <= len(pieces) <= 3 * FIELDS // STEP_FIELDS
    first, event = [event for piece in pieces for event in piece.events]
    assert first["msg"] == "x"
    assert (event["msg"], event["a"], event["app"]) == ("m", "b", "a")


def test_a_large_loki_entry_that_is_broken_is_a_fault() -> None:
    stream = bytes_field(1, b'{app="a"}') + bytes_field(2, b"\x1a\x00" * LARGE_BYTES + b"\x12\x09")
    parsed = parse(Format.LOKI, bytes_field(1, stream + bytes_field(2, bytes_field(2, b"x"))), 0.0)
    assert [fault.reason for fault in parsed.faults] == ["bad_entry"]
    assert [event["msg"] for event in parsed.events] == ["x"]


def test_the_last_of_each_field_is_kept_and_others_are_not() -> None:
    fields = [int_field(number, place) for place in range(3) for number in (1, 2, 9)]
    data = b"".join(fields)
    assert result_of(last_of_each(data, 0, len(data), 2, Pace())) == int_field(1, 2) + int_field(2, 2)
    data *= FIELDS // len(fields)
    number, kept = counted(last_of_each(data, 0, len(data), 2, Pace()))
    assert (number, kept) == (FIELDS // len(fields) * len(fields) // STEP_FIELDS, int_field(1, 2) + int_field(2, 2))


def test_a_pace_makes_steps_of_equal_size() -> None:
    pace = Pace()
    steps = [place for place in range(5 * STEP_FIELDS) if pace.took(1)]
    assert {later - before for before, later in pairwise(steps)} == {STEP_FIELDS}
    assert len(steps) == 5
