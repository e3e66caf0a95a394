from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.telemetry.slab import COUNTER, GAUGE, HISTOGRAM, DirectoryReader, Entry, Region, Slab
from tests.support.tables import each_of

InFork = Callable[[Callable[[], None]], int]


def attached(slab: Slab, index: int = 0) -> Region:
    region = slab.regions[index]
    region.attach()
    return region


def test_a_placed_series_is_read_back_with_its_key_kind_and_slots() -> None:
    slab = Slab(1)
    region = attached(slab)
    assert region.place(("a_total", "web"), COUNTER, 1) == 0
    assert region.place(("seconds", "web"), HISTOGRAM, 5) == 1
    assert DirectoryReader(slab.regions[0]).new() == [
        Entry(("a_total", "web"), COUNTER, 0, 1),
        Entry(("seconds", "web"), HISTOGRAM, 1, 5),
    ]


def test_a_reader_sees_each_entry_once() -> None:
    region = attached(Slab(1))
    reader = DirectoryReader(region)
    region.place(("a",), COUNTER, 1)
    assert [entry.key for entry in reader.new()] == [("a",)]
    region.place(("b",), COUNTER, 1)
    assert [entry.key for entry in reader.new()] == [("b",)]
    assert reader.new() == []


def test_each_worker_writes_only_its_own_region() -> None:
    slab = Slab(2)
    first, second = attached(slab, 0), attached(slab, 1)
    first.values[first.place(("a",), COUNTER, 1)] += 3
    assert second.place(("a",), COUNTER, 1) == 0
    assert second.values[0] == 0.0
    assert first.values[0] == 3.0


@pytest.mark.process
def test_a_killed_workers_counts_survive_and_its_successor_goes_on(in_fork: InFork) -> None:
    slab = Slab(1)

    def killed() -> None:
        region = attached(slab)
        region.values[region.place(("gauge",), GAUGE, 1)] = 7
        slot = region.place(("hits_total", "web"), COUNTER, 1)
        region.values[slot] += 5
        os.kill(os.getpid(), signal.SIGKILL)

    def successor() -> None:
        region = attached(slab)
        slot = region.place(("hits_total", "web"), COUNTER, 1)
        region.values[slot] += 2
        assert region.values[region.place(("gauge",), GAUGE, 1)] == 0.0
        assert region.place(("new_total",), COUNTER, 1) == 2

    assert in_fork(killed) == -signal.SIGKILL
    assert slab.regions[0].values[1] == 5.0
    assert in_fork(successor) == 0
    assert slab.regions[0].values[1] == 7.0
    assert [entry.key for entry in DirectoryReader(slab.regions[0]).new()] == [
        ("gauge",),
        ("hits_total", "web"),
        ("new_total",),
    ]


def test_an_entry_written_but_not_published_is_as_if_it_never_was() -> None:
    slab = Slab(1)
    region = attached(slab)
    region.place(("a",), COUNTER, 1)
    published = region.published
    region.place(("torn",), COUNTER, 1)
    slab.regions[0]._published[0] = published  # kill -9 fell between the entry and its length
    reader = DirectoryReader(region)
    assert [entry.key for entry in reader.new()] == [("a",)]
    region.attach()
    assert region.place(("b",), COUNTER, 1) == 1
    assert [entry.key for entry in reader.new()] == [("b",)]


def test_a_length_seen_before_its_entry_makes_the_reader_wait_for_it() -> None:
    region = attached(Slab(1))
    reader = DirectoryReader(region)
    region.place(("a",), COUNTER, 1)
    whole = bytes(region.directory[: region.published])
    region.directory[: len(whole)] = bytes(len(whole))
    assert reader.new() == []
    region.directory[: len(whole)] = whole
    assert [entry.key for entry in reader.new()] == [("a",)]


@given(damage=st.binary(min_size=1, max_size=200), at=st.integers(0, 100))
def test_no_damage_to_the_directory_raises_or_leads_outside_the_slots(damage: bytes, at: int) -> None:
    region = attached(Slab(1, directory_bytes=1024, slots=8))
    for name in "abc":
        region.place((name,), COUNTER, 1)
    region.directory[at : at + len(damage)] = damage
    region._published[0] = 10_000
    for entry in DirectoryReader(region).new():
        assert 0 <= entry.slot < 8
        assert entry.slot + entry.slots <= 8


def test_a_full_region_answers_minus_one_and_stays_whole() -> None:
    region = attached(Slab(1, slots=4))
    assert region.place(("a",), COUNTER, 3) == 0
    assert region.place(("b",), COUNTER, 2) == -1
    assert region.place(("c",), COUNTER, 1) == 3
    full_directory = attached(Slab(1, directory_bytes=64))
    assert full_directory.place(("a",), COUNTER, 1) == 0
    assert full_directory.place(("b" * 64,), COUNTER, 1) == -1
    assert full_directory.place(("x" * 70_000,), COUNTER, 1) == -1
    assert [entry.key for entry in DirectoryReader(full_directory).new()] == [("a",)]


@each_of("value", ["ü€😀", "a\x00b\n", "\ud800", '"\\', ""])
def test_any_label_value_can_be_placed(value: str) -> None:
    region = attached(Slab(1))
    assert region.place(("a", value), COUNTER, 1) == 0
    expected = value.encode("utf-8", "replace").decode()
    assert DirectoryReader(region).new()[0].key == ("a", expected)


def test_a_series_that_changed_its_shape_gets_a_new_place() -> None:
    region = attached(Slab(1))
    region.place(("h",), HISTOGRAM, 3)
    region.attach()
    assert region.place(("h",), HISTOGRAM, 4) == 3
