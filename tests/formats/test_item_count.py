from __future__ import annotations

import pytest
from hypothesis import example, given

from logops_fast.formats.item_count import FRAMED_BYTES, at_most, exact, upper_bound
from logops_fast.formats.media_type import Format
from logops_fast.http.refusal import Refusal
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.parsers.registry import parse
from tests.data.regen import CORPUS, DATA, NOW
from tests.formats.bodies import any_body

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
        if refused.reason != "otlp_not_supported":
            assert counted == 0
    else:
        assert counted == len(events) + len(faults)


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_counted_as_it_is_parsed(name: str) -> None:
    format, body = CORPUS[name], (DATA / name).read_bytes()
    events, faults = parse(format, body, NOW)
    assert exact(format, body) == len(events) + len(faults)
    assert upper_bound(format, body) >= exact(format, body)


@pytest.mark.parametrize("element", [b"1", b"{}", b"[]", b'""', b'{"a":1}', b"[1,2]", b'{"a":[1,{}]}'])
@pytest.mark.parametrize("size", [0, FRAMED_BYTES])
def test_nobody_slips_elements_past_the_bound_by_their_kind(element: bytes, size: int) -> None:
    body = b"[" + b",".join([element] * 1000) + b" " * size + b"]"
    assert exact(Format.JSON, body) == 1000
    assert upper_bound(Format.JSON, body) >= 1000


def test_a_small_json_body_is_bounded_exactly() -> None:
    assert upper_bound(Format.JSON, b'[{"a":1,"b":2,"c":3},{"a":1,"b":[1,2,3]}]') == 2


def test_a_broken_json_body_is_bounded_by_its_commas() -> None:
    assert upper_bound(Format.JSON, b'[{"a":1},{"b":2},') == 3


def test_counting_stops_soon_after_a_limit() -> None:
    body = b'"a",b\n' * 50_000
    assert exact(Format.CSV, body) == 50_000
    assert exact(Format.CSV, body, 100) == 101
    assert exact(Format.CSV, body, 50_000) == 50_000
    assert isinstance(at_most(Format.CSV, body, 100), Refusal)
    assert at_most(Format.CSV, b'"a\n\n\nb"\n' * 3, 3) == 3
