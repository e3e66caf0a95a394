"""The bodies for the kernel's fuzzer: the same for a seed, varied, and readable."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from logops_fast.formats.media_type import Format
from logops_fast.ingest.parsers.base import MalformedBody
from logops_fast.ingest.parsers.json_values import decode
from logops_fast.ingest.parsers.registry import parse
from tests.fuzz.native_bulk import BulkMaker
from tests.fuzz.native_bulk_formats import FormatMaker
from tests.fuzz.native_log import read_log, table
from tests.fuzz.native_maker import Maker
from tests.fuzz.native_pools import Pool, make_pools, units


@pytest.fixture(scope="module")
def bulk() -> BulkMaker:
    maker = Maker(7)
    return BulkMaker(maker, make_pools(maker))


@pytest.fixture(scope="module")
def others(bulk: BulkMaker) -> FormatMaker:
    return FormatMaker(bulk.maker, bulk.pools, bulk)


def test_a_seed_makes_the_same_bodies_again() -> None:
    made = []
    for _ in range(2):
        maker = Maker(3)
        bulk = BulkMaker(maker, make_pools(maker))
        made.append([bulk.body() for _ in range(5)])
    assert made[0] == made[1]


def test_bodies_are_json_and_hold_the_events_that_they_tell(bulk: BulkMaker) -> None:
    by_line = 0
    for _ in range(60):
        body = bulk.body()
        parsed = parse(Format.NDJSON if body.by_line else Format.JSON, body.data, 0.0)
        assert not parsed.faults
        if len(body.events) > 1 and b"index" not in body.events[0]:
            assert parsed.events == [decode(event) for event in body.events]
            by_line += body.by_line
    assert by_line


def test_events_differ(bulk: BulkMaker) -> None:
    events = [event for _ in range(60) for event in bulk.body().events]
    assert len(set(events)) > 0.9 * len(events)
    layouts = {tuple(decode(event)) for event in events}
    assert len(layouts) > 100


def test_calm_bodies_hold_some_odd_pieces() -> None:
    pool = Pool(random.Random(1), [b"odd"], [b"calm"])
    assert pool.take(5) == [b"odd"] * 5
    assert pool.take(120, 6).count(b"odd") == 20
    assert set(pool.take(1, 6)) <= {b"odd", b"calm"}


def test_no_escape_is_cut_in_two() -> None:
    text = r"a\nb\u00e9\ud83d\ude00\\n\"" + "\u00fc"
    assert units(text) == ["a", r"\n", "b", r"\u00e9", r"\ud83d\ude00", r"\\", "n", r"\"", "\u00fc"]
    assert "".join(units(text)) == text


def test_bodies_of_other_formats_are_read(others: FormatMaker) -> None:
    found: dict[Format, int] = {}
    for _ in range(80):
        body, format, count = others.body()
        try:
            parsed = parse(format, body, 0.0)
        except MalformedBody:
            continue
        assert len(parsed.events) + len(parsed.faults) <= 2 * count
        found[format] = found.get(format, 0) + len(parsed.events)
    assert set(found) >= {Format.PLAIN, Format.CSV, Format.LOKI, Format.LOKI_JSON, Format.OTLP_JSON}
    assert min(found.values()) > 0


def test_a_log_becomes_a_table(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_log(log) == read_log(None) == []
    one = {"commit": "abc", "seed": 7, "events": 1500, "bodies": 10, "differences": 0, "cpu": 0.5, "distinct": 0.97,
           "layouts": 20, "formats": {"json": 1500}, "ways": {"alone": 300, "handed": 100}, "masked": {}}  # fmt: skip
    rounds = [one, {**one, "seed": 8, "differences": 1}, {**one, "seed": 9, "commit": "def", "distinct": 0.9}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rounds))
    assert read_log(log) == rounds
    lines = table(rounds).splitlines()
    assert lines[2:5] == [
        "| abc | 7 to 8 | 3,000 | 20 | 1 | 1 | 3,000 |",
        "| def | 9 to 9 | 1,500 | 10 | 0 | 0 | 3,000 |",
        "| all | 7 to 9 | 4,500 | 30 | 1 | 2 | 3,000 |",
    ]
    assert "- ways, 1,200: alone 75.0%, handed 25.0%" in lines
    assert lines[-1].startswith("- distinct events of JSON within a round: 90.0% to 97.0%; layouts learnt: 60;")


def test_exports_are_read(others: FormatMaker) -> None:
    read = refused = 0
    for _ in range(30):
        body, count = others.export()
        try:
            assert len(parse(Format.OTLP, body, 0.0).events) == count
            read += count
        except MalformedBody:
            refused += 1
    assert read > 1000
    assert refused < 10
