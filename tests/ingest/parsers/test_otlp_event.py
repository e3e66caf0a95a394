from __future__ import annotations

import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.parsers.otlp_event import NO_ORIGIN, Clock, double, identifier, of_resource, of_scope
from tests.support.tables import each_of


@given(st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_a_time_is_exact_to_the_nanosecond(times: list[int]) -> None:
    clock = Clock()
    for nanos in times:
        text = clock.text(nanos)
        second = datetime.fromtimestamp(nanos // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        assert text == f"{second}.{nanos % 10**9:09d}Z"


@each_of(
    ("value", "written"),
    [(0.0, 0.0), (-1.5, -1.5), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN")],
)
def test_what_json_cannot_hold_is_text(value: float, written: float | str) -> None:
    assert double(value) == written


def test_an_id_of_zeros_is_none() -> None:
    assert [identifier(text) for text in ("", "0" * 32, "0" * 15 + "1")] == ["", "", "0" * 15 + "1"]


def test_what_the_lines_share_is_told_apart_and_counted() -> None:
    attributes = {"service.name": "shop", "host.name": "n", "schema_url": "own", "k": 1}
    origin = of_resource(attributes, "https://example.org", 2, 50)
    assert (origin.app, origin.host, origin.size) == ("shop", "n", 50)
    assert origin.resource == {"schema_url": "own", "k": 1, "dropped_attributes_count": 2}
    assert attributes["service.name"] == "shop"
    scoped = of_scope(origin, "lib", "", {}, "u", 0, 7)
    assert (scoped.scope, scoped.size, scoped.resource) == ({"name": "lib", "schema_url": "u"}, 57, origin.resource)
    assert of_resource({"service.name": ""}, "", 0, 0).app == NO_ORIGIN.app
