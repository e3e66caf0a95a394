"""The bodies of hostile text are of the size asked for, and hold nothing but their unit."""

from __future__ import annotations

import orjson

from bench.hostile import body_of, reader, seconds_a_mebibyte
from tests.ingest.pii.hostile import UNITS
from tests.support.tables import each_of


@each_of("unit", UNITS)
def test_a_body_is_of_its_size_and_of_its_unit_alone(unit: str) -> None:
    body = body_of(unit, 40_000, 10_000)
    events = orjson.loads(body)
    assert len(events) == 4
    assert 36_000 < len(body) < 41_000
    assert all(not event["msg"].replace(unit, "") for event in events)


def test_units_are_different() -> None:
    assert len(set(UNITS)) == len(UNITS)


def test_a_body_is_read_masked() -> None:
    read = reader(native=False)
    body = body_of("barbara.smith@example.com ", 4_000)
    assert 0 < read(body) < len(body)
    assert seconds_a_mebibyte(read, [body], 1) > 0
