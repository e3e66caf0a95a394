from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.telemetry.registry import OVERFLOW_METRIC, Bounded, Registry, ValuesT
from logops_fast.telemetry.slab import Slab

InFork = Callable[[Callable[[], None]], int]


def series_of(registry: Registry, name: str) -> dict[tuple[str, ...], ValuesT]:
    return {snapshot.shape.name: snapshot.series for snapshot in registry.collect()}[name]


def test_a_counter_counts_and_its_series_is_made_once() -> None:
    registry = Registry()
    hits = registry.counter("hits_total", "Hits.", ("emitter",))
    hits.labels("web").inc()
    hits.labels("web").inc(2)
    assert hits.labels("web") is hits.labels("web")
    assert series_of(registry, "hits_total") == {("web",): (3.0,)}


def test_a_family_without_labels_shows_its_zero() -> None:
    registry = Registry()
    registry.counter("hits_total", "Hits.")
    assert series_of(registry, "hits_total") == {(): (0.0,)}


@pytest.mark.process
def test_counters_are_summed_over_real_workers_and_outlive_a_killed_one(in_fork: InFork) -> None:
    slab = Slab(3)

    def worker(index: int) -> Callable[[], None]:
        def run() -> None:
            hits = Registry(slab, index).counter("hits_total", "Hits.", ("emitter",))
            hits.labels("web").inc(10**index)
            hits.labels(f"only-{index}").inc()
            os.kill(os.getpid(), signal.SIGKILL)

        return run

    for index in (0, 1, 1, 2):
        assert in_fork(worker(index)) == -signal.SIGKILL
    registry = Registry(slab, 0)
    registry.counter("hits_total", "Hits.", ("emitter",))
    assert series_of(registry, "hits_total") == {
        ("web",): (121.0,),
        ("only-0",): (1.0,),
        ("only-1",): (2.0,),
        ("only-2",): (1.0,),
    }


def test_gauges_are_summed_or_the_worst_and_start_at_zero_in_a_new_worker() -> None:
    slab = Slab(2)
    registries = [Registry(slab, 0), Registry(slab, 1)]
    for registry, value in zip(registries, (1.0, 2.0), strict=True):
        registry.gauge("inflight", "In flight.").labels().set(value)
        registry.gauge("state", "State.", mode="max").labels().set(value)
    assert series_of(registries[0], "inflight") == {(): (3.0,)}
    assert series_of(registries[0], "state") == {(): (2.0,)}
    Registry(slab, 1)
    assert series_of(registries[0], "inflight") == {(): (1.0,)}


def test_a_gauge_goes_up_and_down() -> None:
    gauge = Registry().gauge("inflight", "In flight.").labels()
    gauge.inc(5)
    gauge.dec()
    assert gauge._values[gauge._slot] == 4.0


def test_a_value_on_an_edge_counts_below_it_and_one_past_the_last_edge_is_kept() -> None:
    registry = Registry()
    histogram = registry.histogram("seconds", "Seconds.", edges=(0.1, 0.5)).labels()
    for value in (0.1, 0.1000001, 0.5, 9.0):
        histogram.observe(value)
    *counts, total = series_of(registry, "seconds")[()]
    assert counts == [1.0, 2.0, 1.0]
    assert total == pytest.approx(9.7000001)


@given(st.lists(st.floats(0, 100), max_size=50))
def test_each_observation_lands_in_exactly_one_bucket(values: list[float]) -> None:
    edges = (0.5, 1.0, 10.0)
    registry = Registry(Slab(1, directory_bytes=4096, slots=64))
    histogram = registry.histogram("seconds", "Seconds.", edges=edges).labels()
    for value in values:
        histogram.observe(value)
    *counts, total = series_of(registry, "seconds")[()]
    bounds = (-1.0, *edges, float("inf"))
    assert counts == [sum(low < v <= high for v in values) for low, high in pairwise(bounds)]
    assert total == pytest.approx(sum(values))


def test_a_family_asked_for_twice_is_the_same_and_one_that_disagrees_is_refused() -> None:
    registry = Registry()
    family = registry.counter("a_total", "A.", ("x",))
    assert registry.counter("a_total", "A.", ("x",)) is family
    with pytest.raises(ValueError, match="another type, labels or edges"):
        registry.counter("a_total", "A.", ("y",))
    with pytest.raises(ValueError, match="another type, labels or edges"):
        registry.gauge("a_total", "A.", ("x",))
    with pytest.raises(ValueError, match="2 label values"):
        family.labels("1", "2")


def test_impossible_families_are_refused() -> None:
    registry = Registry()
    with pytest.raises(ValueError, match="ends with _total"):
        registry.counter("hits", "Hits.")
    for edges in ((), (1.0, 1.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="must ascend"):
            registry.histogram("seconds", "Seconds.", edges=edges)


def test_a_full_region_counts_as_other_keeps_the_total_and_says_so() -> None:
    registry = Registry(Slab(1, slots=4))
    hits = registry.counter("hits_total", "Hits.", ("emitter",))
    for i in range(10):
        hits.labels(f"e{i}").inc()
    assert series_of(registry, "hits_total") == {("e0",): (1.0,), ("e1",): (1.0,), ("other",): (8.0,)}
    assert series_of(registry, OVERFLOW_METRIC) == {(): (8.0,)}
    assert len(hits._series) == 3


def test_a_family_that_finds_no_room_at_all_still_takes_counts() -> None:
    registry = Registry(Slab(1, slots=1))
    registry.histogram("seconds", "Seconds.", ("x",), edges=(1.0,)).labels("a").observe(0.5)
    assert series_of(registry, "seconds") == {}


def test_the_series_kept_for_overflow_is_hidden_until_it_is_used() -> None:
    registry = Registry()
    hits = registry.counter("hits_total", "Hits.", ("emitter",))
    assert series_of(registry, "hits_total") == {}
    hits.labels("other").inc()
    assert series_of(registry, "hits_total") == {("other",): (1.0,)}


def test_known_words_are_themselves_and_others_are_other() -> None:
    emitter = Bounded(["web", "batch"])
    assert [emitter(word) for word in ("web", "batch", "evil", "")] == ["web", "batch", "other", "other"]
    emitter.add(["new"])
    assert emitter("new") == "new"


@given(st.lists(st.text(max_size=200), max_size=60), st.integers(0, 5))
def test_words_are_learned_up_to_the_limit(words: list[str], limit: int) -> None:
    bounded = Bounded(limit=limit)
    assert len({bounded(word) for word in words} - {"other"}) <= limit


def test_a_word_too_long_for_a_label_is_other() -> None:
    assert Bounded(limit=5)("x" * 129) == "other"
    assert Bounded(limit=5)("x" * 128) == "x" * 128


def test_the_limit_of_learned_words_is_the_machines_not_each_workers() -> None:
    slab = Slab(2)
    names = []
    for index in (0, 1):
        registry = Registry(slab, index)
        family = registry.counter("accepted_total", "Accepted.", ("scenario_id",))
        bounded = Bounded(limit=3, elsewhere=partial(registry.label_values, "accepted_total", "scenario_id"))
        for i in range(3):
            name = bounded(f"w{index}-{i}" if i else "same")
            family.labels(name).inc()
            names.append(name)
    assert names == ["same", "w0-1", "w0-2", "same", "other", "other"]


def test_a_process_exposes_families_that_only_another_one_registered() -> None:
    slab = Slab(2)
    worker = Registry(slab, 0)
    worker.counter("hits_total", "Hits.", ("emitter",)).labels("web").inc(3)
    worker.histogram("seconds", "Seconds.", edges=(0.1, 1.0)).labels().observe(0.5)
    worker.gauge("worst", "Worst.", mode="max").labels().set(2)
    supervisor = Registry(slab, 1)
    found = {snapshot.shape.name: snapshot for snapshot in supervisor.collect()}
    assert found["hits_total"].series == {("web",): (3.0,)}
    assert found["hits_total"].help == "Hits."
    assert found["hits_total"].shape.labelnames == ("emitter",)
    assert found["seconds"].series == {(): (0.0, 1.0, 0.0, 0.5)}
    assert found["seconds"].shape.edges == (0.1, 1.0)
    assert found["worst"].shape.mode == "max"
    assert [snapshot.shape.name for snapshot in supervisor.collect()].count(OVERFLOW_METRIC) == 1
