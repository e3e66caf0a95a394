from __future__ import annotations

from typing import Any

import pytest

from logops_fast.formats.loki_push import STEP_FIELDS
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.formats.protobuf_steps import STEP_FIELDS as FIELDS_OF_AN_EVENT
from logops_fast.formats.protobuf_wire import bytes_field, int_field
from logops_fast.ingest.parsers import loki_protobuf
from logops_fast.ingest.parsers.base import TEXT_LIMIT, Limits, MalformedBody
from logops_fast.ingest.parsers.loki_entries import MAX_REPEATED_BYTES
from logops_fast.ingest.parsers.registry import DEFAULT_LIMITS, parse, parse_pieces
from tests.support.loki import push_request
from tests.support.tables import each_of

LABELS = bytes_field(1, b'{app="shop"}')
TIME = bytes_field(1, int_field(1, 1_741_003_200) + int_field(2, 5))
TS = "2025-03-03T12:00:00.000000005Z"


def entry(*fields: bytes) -> bytes:
    return bytes_field(2, b"".join(fields))


def line(text: bytes) -> bytes:
    return bytes_field(2, text)


def stream(*fields: bytes) -> bytes:
    return bytes_field(1, b"".join(fields))


def events(body: bytes) -> list[dict[str, Any]]:
    parsed = parse(Format.LOKI, body, 0.0)
    assert not parsed.faults
    return parsed.events


def test_a_push_of_lokis_own_classes_is_read() -> None:
    request = push_request()()
    request.format = "loki"
    held = request.streams.add(labels='{app="shop", level="warn"}', hash=2**64 - 1)
    one = held.entries.add(line="first")
    one.timestamp.seconds, one.timestamp.nanos = 1_741_003_200, 999_999_999
    one.structuredMetadata.add(name="trace_id", value="t1")
    one.parsed.add(name="not", value="kept")
    held.entries.add(line='{"a":{"b":[1]},"level":"error"}')
    assert events(request.SerializeToString()) == [
        {"ts": "2025-03-03T12:00:00.999999999Z", "msg": "first", "app": "shop", "level": "warn", "trace_id": "t1"},
        {"a": {"b": [1]}, "level": "error", "app": "shop", "level_raw": "warn"},
    ]


def test_labels_may_follow_their_entries_and_the_last_ones_count() -> None:
    body = stream(entry(TIME, line(b"x")), bytes_field(1, b'{a="1"}'), int_field(3, 7), LABELS)
    assert events(body) == [{"ts": TS, "msg": "x", "app": "shop"}]


@each_of(
    ("fields", "ts"),
    [
        (b"", None),
        (int_field(1, 0), None),
        (int_field(2, 7), {"seconds": 0, "nanos": 7}),
        (int_field(1, 2**64 - 1), {"seconds": -1, "nanos": 0}),
        (int_field(1, 1_741_003_200) + int_field(2, 10**9), {"seconds": 1_741_003_200, "nanos": 10**9}),
        (int_field(1, 99_999_999), {"seconds": 99_999_999, "nanos": 0}),
        (int_field(1, 100_000_000), "1973-03-03T09:46:40.000000000Z"),
        (int_field(1, 253_402_300_799) + int_field(2, 999_999_999), "9999-12-31T23:59:59.999999999Z"),
        (int_field(1, 253_402_300_800), {"seconds": 253_402_300_800, "nanos": 0}),
    ],
)
def test_times_are_exact_or_say_what_they_are(fields: bytes, ts: object) -> None:
    (event,) = events(stream(LABELS, entry(bytes_field(1, fields), line(b"x"))))
    assert event.get("ts") == ts


def test_names_that_are_taken_get_a_suffix() -> None:
    labels = bytes_field(1, b'{ts="a", msg="b", k="c"}')
    metadata = [bytes_field(3, bytes_field(1, name) + bytes_field(2, value))
                for name, value in ((b"k", b"d"), (b"msg_raw", b"b"), (b"k", b"e"))]  # fmt: skip
    assert events(stream(labels, entry(TIME, line(b"x"), *metadata), entry(TIME, line(b'{"ts":1,"k":"c"}')))) == [
        {"ts": TS, "msg": "x", "ts_raw": "a", "msg_raw": "b", "k": "c", "k_raw": "e"},
        {"ts": TS, "k": "c", "ts_raw": 1, "ts_raw_raw": "a", "msg": "b"},
    ]


@each_of("text", [b"", b"{}", b"{", b'{"a":1', b"[1]", b' {"a":1}', b'{"a":1}{"b":2}'])
def test_a_line_that_is_no_object_is_the_message(text: bytes) -> None:
    assert events(stream(LABELS, entry(TIME, line(text)))) == [{"ts": TS, "msg": text.decode(), "app": "shop"}]


def test_text_that_is_no_utf_8_is_replaced() -> None:
    metadata = bytes_field(3, bytes_field(1, b"\xff") + bytes_field(2, b"\xc3"))
    assert events(stream(bytes_field(1, b'{a="\xff"}'), entry(TIME, line(b"a\xffb"), metadata))) == [
        {"ts": TS, "msg": "a\ufffdb", "a": "\ufffd", "\ufffd": "\ufffd"}
    ]


def test_what_is_no_entry_is_a_fault_and_its_neighbours_are_read() -> None:
    whole = entry(TIME, line(b"x"))
    large = entry(line(b"y" * DEFAULT_LIMITS.max_event_bytes))
    body = stream(bytes_field(1, b"{"), whole) + stream(LABELS, whole, entry(b"\x0a\x05"), large, whole)
    parsed = parse(Format.LOKI, body, 0.0)
    assert [event["msg"] for event in parsed.events] == ["x", "x"]
    assert [(fault.index, fault.reason) for fault in parsed.faults] == [
        (0, "bad_labels"), (2, "bad_entry"), (3, "event_too_large"),
    ]  # fmt: skip
    assert parsed.faults[0].text == "x"
    assert TEXT_LIMIT - 9 < len(parsed.faults[2].text) <= TEXT_LIMIT


@each_of(
    "body",
    [b"\x0a", b"\x0a\x05", b"x", b"\xff" * 11, b"\x0b", b"\x09\x01", stream(LABELS, b"\x12\x09"), stream(b"\x1d\x01")],
)
def test_a_body_whose_framing_is_broken_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse(Format.LOKI, stream(LABELS, entry(TIME, line(b"x"))) + body, 0.0)
    assert caught.value.reason == "malformed"


def test_an_empty_body_is_empty() -> None:
    with pytest.raises(MalformedBody, match="empty"):
        parse(Format.LOKI, b"", 0.0)


def test_what_labels_come_to_is_bounded() -> None:
    labels = bytes_field(1, b'{a="' + b"x" * 16_000 + b'"}')
    count = MAX_REPEATED_BYTES // 16_006
    assert len(events(stream(labels, entry(TIME) * count))) == count
    with pytest.raises(MalformedBody) as caught:
        parse(Format.LOKI, stream(labels, entry(TIME) * (count + 1)), 0.0)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    ("body", "steps"),
    [
        (stream(LABELS, entry(TIME) * 20_000), 20_000 // PIECE_ITEMS),
        (stream(LABELS, entry(TIME, line(b"x" * 1000)) * 5000), 5_000_000 // PIECE_BYTES),
        (stream(bytes_field(1, b'{a="' + b"x" * 16_000 + b'"}'), entry(TIME) * 1000), 16_000_000 // PIECE_BYTES // 2),
        (stream() * 100_000, 100_000 // STEP_FIELDS),
        (int_field(3, 1) * 100_000, 4),
        (stream(LABELS, int_field(3, 1) * 100_000), 2 * (100_000 // STEP_FIELDS)),
        (stream(LABELS * 100_000), 2 * (100_000 // STEP_FIELDS)),
    ],
    ids=["many entries", "long lines", "long labels", "empty streams", "no streams", "other fields", "many labels"],
)
def test_no_step_depends_on_what_a_body_holds(body: bytes, steps: int) -> None:
    pieces = list(parse_pieces(Format.LOKI, body, 0.0, Limits(max_items=10**6)))
    assert len(pieces) >= steps
    assert max(len(piece.events) for piece in pieces) <= PIECE_ITEMS


@pytest.mark.parametrize("field", [bytes_field(3, bytes_field(1, b"a")), int_field(7, 0)])
def test_entries_that_are_not_mostly_line_are_read_in_steps_too(field: bytes) -> None:
    one = entry(line(b"x"), field * (200_000 // len(field)))
    pieces = list(loki_protobuf.read_pieces(stream(LABELS, one * 6), DEFAULT_LIMITS))
    assert [len(piece.events) for piece in pieces if piece.events] == [1] * 6
    assert len(pieces) > 6 * (200_000 // len(field) // FIELDS_OF_AN_EVENT)
