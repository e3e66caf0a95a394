from __future__ import annotations

import pytest
from hypothesis import example, given

from logops_fast.formats.item_count import FRAMED_BYTES, at_most, at_once, counting, exact, upper_bound
from logops_fast.formats.json_pieces import json_pieces
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.parsers.registry import parse
from tests.data.regen import CORPUS, DATA, NOW
from tests.formats.bodies import any_body
from tests.support.tables import each_of

formats = pytest.mark.parametrize("format", Format)


@formats
@given(any_body)
@example(b"")
@example(b"\xef\xbb\xbf")
@example(b"\xef\xbb\xbf\n1")
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
@example(b"ts,msg\ra,b")
@example(b'[{"a":"\xff"},1]')
@example(rb'["\ud800"]')
@example(b'a\n"b,c\nd')
@example(b" \x0b\x0c\n\x1c\n")
def test_the_exact_count_is_what_the_parser_accepts_and_rejects(format: Format, body: bytes) -> None:
    counted = exact(format, body)
    assert upper_bound(format, body) >= counted
    try:
        events, faults = parse(format, body, NOW)
    except MalformedBody as refused:
        # Records are counted by their frames alone, so that one that cannot be read counts.
        if refused.reason != "otlp_not_supported" and format not in (Format.OTLP, Format.OTLP_JSON):
            assert counted == 0
    else:
        assert counted == len(events) + len(faults) or b"resourceLogs" in body


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_counted_as_it_is_parsed(name: str) -> None:
    format, body = CORPUS[name], (DATA / name).read_bytes()
    events, faults = parse(format, body, NOW)
    assert exact(format, body) == len(events) + len(faults)
    assert upper_bound(format, body) >= exact(format, body)


def test_a_large_otlp_export_is_counted_exactly_and_in_steps() -> None:
    text = (DATA / "events_otlp.json").read_bytes()
    sections = text[text.index(b"[") + 1 : text.rindex(b"]")]
    many = b'{"resourceLogs":[' + b",".join([sections] * 40) + b"]}"
    number = len(parse(Format.OTLP_JSON, many, NOW).events)
    assert at_most(Format.OTLP_JSON, many, 100_000) == number
    assert isinstance(at_most(Format.OTLP_JSON, many, number - 1), Refusal)
    binary = (DATA / "events_otlp.pb").read_bytes() * 400
    assert at_most(Format.OTLP, binary, 100_000) == len(parse(Format.OTLP, binary, NOW).events)
    assert len(list(counting(Format.OTLP, binary, 100_000))) >= 1


@pytest.mark.parametrize("field", [b"\x12\x00", b"\x0a\x00", b"\x38\x01", b"\x0a\x02\x12\x00"])
def test_fields_that_are_no_records_are_counted_in_steps_and_bounded(field: bytes) -> None:
    steps = list(counting(Format.OTLP, field * 200_000, 10_000))
    assert len(steps) <= 200_000 * len(field) // 20_000


@pytest.mark.parametrize(
    ("format", "field"), [(Format.OTLP, b"\x0a\x00"), (Format.OTLP, b"\x10\x00"), (Format.LOKI, b"\x0a\x00")]
)
def test_a_small_body_of_many_fields_is_not_counted_in_one_step(format: Format, field: bytes) -> None:
    """99,000 empty resources are 198 kB: once they took 38 ms of the loop, in one piece."""
    assert len(field * 99_000) < FRAMED_BYTES
    assert at_once(format, field * 1000, 100_000) == 0
    assert at_once(format, field * 99_000, 100_000) is None
    steps = list(counting(format, field * 99_000, 100_000))
    assert len(steps) == 99_000 // 20_000
    assert at_most(format, field * 99_000, 100_000) == 0


@each_of("element", [b"1", b"{}", b"[]", b'""', b'{"a":1}', b"[1,2]", b'{"a":[1,{}]}'])
@each_of("size", [0, FRAMED_BYTES])
def test_no_kind_of_element_slips_past_the_bound(element: bytes, size: int) -> None:
    body = b"[" + b",".join([element] * 1000) + b" " * size + b"]"
    assert exact(Format.JSON, body) == 1000
    assert upper_bound(Format.JSON, body) >= 1000


def test_a_small_json_body_is_bounded_exactly() -> None:
    assert upper_bound(Format.JSON, b'[{"a":1,"b":2,"c":3},{"a":1,"b":[1,2,3]}]') == 2


def test_a_broken_json_body_is_not_free() -> None:
    assert upper_bound(Format.JSON, b'[{"a":1},{"b":2},') >= 3


@pytest.mark.parametrize("size", [0, FRAMED_BYTES])
def test_each_object_of_a_sequence_is_an_item(size: int) -> None:
    for between in (b"", b" ", b"\n", b"\r\n"):
        body = between.join([b'{"a":"}{"}'] * 1000) + b" " * size
        assert exact(Format.JSON, body) == 1000
        assert upper_bound(Format.JSON, body) >= 1000
        assert at_most(Format.JSON, body, 1000) == 1000


LINES: list[tuple[Format, bytes]] = [(Format.JSON, b'{"a":[1,2,3]}'), (Format.NDJSON, b"x\n"), (Format.PLAIN, b"y\r\n")]


@pytest.mark.parametrize(("format", "item"), LINES, ids=lambda value: str(value))
@pytest.mark.parametrize("repeat", [1000, 20_000])
def test_items_over_the_cap_are_refused_and_no_others(format: Format, item: bytes, repeat: int) -> None:
    body = item * repeat
    refused = at_most(format, body, repeat - 1)
    assert isinstance(refused, Refusal)
    assert refused[:2] == (413, "too_many_items")
    counted = at_most(format, body, repeat)
    assert isinstance(counted, int)
    assert counted >= repeat


@pytest.mark.parametrize("body", [b"[" + b"[]," * 5_000_000 + b"[]]", b"x\n" * 8_000_000, b"{}" * 8_000_000])
@pytest.mark.parametrize("format", [Format.JSON, Format.NDJSON, Format.PLAIN])
def test_counting_ends_a_few_steps_after_the_cap(format: Format, body: bytes) -> None:
    steps = list(counting(format, body, 10_000))
    assert len(steps) <= 10_000 // PIECE_ITEMS + 1


def test_what_only_the_parser_can_count_passes_as_the_cap() -> None:
    rows = b"ts,level,msg\n" + b'a,b,"' + b"\n" * 300_000 + b'"\n'
    assert at_most(Format.CSV, rows, 1000) == 1000
    pairs = b'{"index":{}}\n{"a":1}\n' * 20_000
    assert at_most(Format.NDJSON, pairs, 30_000) == 30_000


def test_counting_stops_soon_after_a_limit() -> None:
    body = b'"a",b\n' * 50_000
    assert exact(Format.CSV, body) == 50_000
    assert exact(Format.CSV, body, 100) == 101
    assert exact(Format.CSV, body, 50_000) == 50_000
    assert isinstance(at_most(Format.CSV, body[:60_000], 100), Refusal)
    assert at_most(Format.CSV, b'"a\n\n\nb"\n' * 3, 3) == 3


LOKI = b'{"streams":[{"stream":{"a":"b"},"values":[["1","x"],["2","y,z"]]}]}'
EXPORT = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"{"}},{}]}]}]}'
BOUNDS = [
    (Format.JSON, b'{"a":1}\n{"b":2},{"c":3}' + b" " * FRAMED_BYTES, 1 + 3 + 1 + 1),
    (Format.JSON, b'[{"a":1},\n{"b":2}', 1 + 2 + 1 + 1),
    (Format.CSV, b"a,b\nc,d\ne,f", 3),
    (Format.CSV, b"a,b\rc,d\re,f", 3),
    (Format.NDJSON, b"{}\n{}", 2),
    (Format.PLAIN, b"x < y\nz", 2),
    (Format.PLAIN, b"4 <1>a4 <1>b", 3),
    (Format.SYSLOG, b"a\nb\0c", 3),
    (Format.LOKI_JSON, LOKI, 2),
    (Format.LOKI_JSON, LOKI.ljust(FRAMED_BYTES), 2),
    (Format.LOKI_JSON, LOKI.ljust(FRAMED_BYTES + 1), LOKI.count(b",") + 1),
    (Format.OTLP_JSON, EXPORT, 2),
    (Format.OTLP_JSON, EXPORT.ljust(FRAMED_BYTES), 2),
    (Format.OTLP_JSON, EXPORT.ljust(FRAMED_BYTES + 1), EXPORT.count(b"{")),
]


@each_of(("format", "body", "bound"), BOUNDS, ids=lambda row: f"{row[0]} {row[1][:40]!r} {len(row[1])}")
def test_the_bound_is_what_is_counted_at_memory_speed(format: Format, body: bytes, bound: int) -> None:
    assert upper_bound(format, body) == bound


def test_a_bound_within_the_cap_is_not_counted_again() -> None:
    loki = LOKI.ljust(FRAMED_BYTES + 1)
    assert at_most(Format.LOKI_JSON, loki, LOKI.count(b",") + 1) == LOKI.count(b",") + 1
    assert at_most(Format.LOKI_JSON, loki, LOKI.count(b",")) == 2
    lines = b"x\n\n" * FRAMED_BYTES
    assert at_most(Format.PLAIN, lines, 10 * FRAMED_BYTES) == 2 * FRAMED_BYTES + 1
    assert at_most(Format.PLAIN, lines, FRAMED_BYTES) == FRAMED_BYTES


@pytest.mark.parametrize("format", [Format.PLAIN, Format.NDJSON])
def test_blank_lines_are_no_items_however_many(format: Format) -> None:
    assert at_most(format, b"\n" * (FRAMED_BYTES + 1), 100) == 0


def test_the_cap_at_the_end_of_a_step_is_not_the_end_of_the_body() -> None:
    body = b"[" + b",".join([b'{"a":1}'] * 50_000) + b"]"
    first = next(iter(json_pieces(body, PIECE_BYTES))).count
    assert 0 < first < 50_000
    assert isinstance(at_most(Format.JSON, body, first), Refusal)


def test_an_export_of_more_sections_than_items_may_be_is_refused() -> None:
    sections = b",".join([b'{"scopeLogs":[{"logRecords":[]}]}'] * 10_000)
    body = b'{"resourceLogs":[' + sections + b"]}"
    assert len(body) > FRAMED_BYTES
    assert isinstance(at_most(Format.OTLP_JSON, body, 100), Refusal)
