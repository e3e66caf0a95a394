from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from logops_fast.telemetry.exposition import render
from logops_fast.telemetry.scrape import Scrape, histogram_quantile, parse
from tests.support.tables import each_of
from tests.telemetry.test_exposition import everything


def by_the_library(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def test_a_gateways_exposition_reads_as_the_library_reads_it() -> None:
    text = render(everything())[0].decode()
    assert parse(text, 1.0).samples == by_the_library(text)


class Collector:
    def __init__(self, family: CounterMetricFamily) -> None:
        self.family = family

    def collect(self) -> list[CounterMetricFamily]:
        return [self.family]


@given(
    st.dictionaries(
        st.tuples(st.text('ab\\"\n,={} é', max_size=6), st.text(max_size=6)),
        st.floats(allow_nan=False, min_value=0),
        max_size=4,
    )
)
def test_any_label_value_survives(series: dict[tuple[str, str], float]) -> None:
    family = CounterMetricFamily("n_total", "x", labels=["one", "other"])
    for labels, value in series.items():
        family.add_metric(labels, value)
    text = generate_latest(Collector(family)).decode()
    expected = {(("one", one), ("other", other)): value for (one, other), value in series.items()}
    assert parse(text, 0.0).samples.get("n_total", {}) == expected


@each_of("text", ["<html>", "logops_total\n", "a 1\n<p>", '{"error":"not_found"}'])
def test_what_is_no_exposition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Prometheus"):
        parse(text, 0.0)


BEFORE = """
n_total{emitter="web",status="200"} 10
n_total{emitter="csv",status="200"} 4
"""
AFTER = """
n_total{emitter="web",status="200"} 30
n_total{emitter="csv",status="200"} 1
n_total{emitter="web",status="429"} 2
"""


def grown() -> Scrape:
    return parse(AFTER, 12.0).since(parse(BEFORE, 10.0))


def test_growth_counts_resets_and_new_series_by_their_value() -> None:
    assert grown().by("emitter", "n_total") == {"web": 22.0, "csv": 1.0}
    assert grown().by("status", "n_total", emitter="web") == {"200": 20.0, "429": 2.0}
    assert grown().rate("n_total") == 11.5
    assert grown().rate("n_total", emitter="csv") == 0.5


def test_what_is_not_there_is_none_and_no_time_is_no_rate() -> None:
    assert grown().total("other_total") is None
    assert grown().rate("other_total") is None
    assert parse(AFTER, 1.0).since(parse(BEFORE, 1.0)).rate("n_total") is None


def test_a_histogram_is_summed_over_its_series() -> None:
    text = "".join(f'h_bucket{{emitter="{e}",le="{le}"}} {n}\n' for e in "ab" for le, n in [("0.1", 1), ("+Inf", 2)])
    assert parse(text, 0.0).buckets("h") == {0.1: 2.0, inf: 4.0}
    assert parse(text, 0.0).buckets("h", emitter="a") == {0.1: 1.0, inf: 2.0}
    assert parse(text, 0.0).quantile(0.25, "h") == pytest.approx(0.05)


@each_of(
    ("buckets", "expected"),
    [
        ({0.1: 50.0, 0.2: 100.0, inf: 100.0}, 0.19),  # 90% of the way through the second bucket
        ({0.1: 100.0, inf: 100.0}, 0.095),
        ({0.1: 0.0, 0.2: 100.0, inf: 100.0}, 0.195),
        ({0.1: 90.0, 0.5: 90.0, inf: 100.0}, 0.5),  # above the last edge: that edge
        ({0.1: 0.0, inf: 0.0}, None),
        ({}, None),
    ],
)
def test_the_quantile_is_interpolated_as_promql_does(buckets: dict[float, float], expected: float | None) -> None:
    assert histogram_quantile(0.95, buckets) == (None if expected is None else pytest.approx(expected))
