from __future__ import annotations

import errno
import fcntl
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.state import buckets
from logops_fast.state.buckets import TableBuckets, refill, spend, wait_for
from logops_fast.state.interface import BucketVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import memory_table
from logops_fast.state.shared import open_shared
from logops_fast.state.table import SLOTS_PER_BUCKET, Geometry
from tests.state.support import FakeClock, in_processes

ONE_BUCKET = Geometry(buckets.KIND, 1, "d", 3)


def take(store: TableBuckets, key: bytes, cost: float, capacity: float, rate: float) -> BucketVerdict:
    verdicts: list[BucketVerdict] = []
    store.take(key, cost, capacity, rate, verdicts.append)
    (verdict,) = verdicts
    return verdict


def test_refilling_stops_at_the_capacity() -> None:
    assert refill(3, 100, 102, 10, 2) == 7
    assert refill(3, 100, 200, 10, 2) == 10
    assert refill(-4, 100, 101, 10, 2) == -2


def test_a_bucket_of_another_boot_is_full_and_one_of_a_moment_ahead_is_not() -> None:
    assert refill(3, 5000, 100, 10, 2) == 10
    assert refill(3, 100.000001, 100, 10, 2) == 3


def test_the_wait_is_until_the_cost_fits() -> None:
    assert wait_for(5, 5, 10, 2) == 0
    assert wait_for(5, 3, 10, 2) == 1
    assert wait_for(5, -5, 10, 2) == 5
    assert wait_for(11, 10, 10, 2) == math.inf
    assert wait_for(5, 3, 10, 0) == math.inf


@given(st.floats(-100, 100), st.floats(0, 100), st.floats(1, 100), st.floats(0.001, 1000))
def test_after_the_wait_it_told_a_cost_fits(tokens: float, cost: float, capacity: float, rate: float) -> None:
    tokens = min(tokens, capacity)
    verdict = spend(tokens, cost, capacity, rate)
    assert verdict.remaining <= max(tokens, 0)
    if verdict.allowed:
        assert verdict.remaining == pytest.approx(max(0, tokens - cost), abs=1e-6)
    elif verdict.retry_after < math.inf:
        later = refill(tokens, 0, verdict.retry_after, capacity, rate)
        assert spend(later, cost, capacity, rate).allowed
    else:
        assert cost > capacity


moves = st.lists(st.tuples(st.sampled_from(["take", "give", "clock"]), st.integers(0, 3), st.integers(-20, 60)))


@given(moves)
def test_the_table_does_what_a_dict_of_buckets_does(moves: list[tuple[str, int, int]]) -> None:
    clock = FakeClock(1000)
    store = TableBuckets(memory_table(ONE_BUCKET), clock)
    model: dict[bytes, float] = {}
    for move, number, amount in moves:
        key = b"%d" % number
        if move == "clock":
            clock.now += abs(amount) / 4
            model = {name: min(50.0, tokens + abs(amount) / 4 * 8) for name, tokens in model.items()}
        elif move == "give":
            store.give(key, amount, 50, 8)
            model[key] = min(50.0, model.get(key, 50.0) + amount)
        else:
            verdict = take(store, key, abs(amount), 50, 8)
            allowed = abs(amount) <= model.get(key, 50.0)
            assert verdict.allowed is (allowed or amount == 0 <= model.get(key, 50.0))
            if allowed:
                model[key] = model.get(key, 50.0) - abs(amount)
            assert verdict.remaining == model.get(key, 50.0)


def test_with_more_keys_than_room_the_fullest_bucket_goes() -> None:
    clock = FakeClock()
    store = TableBuckets(memory_table(ONE_BUCKET), clock)
    take(store, b"empty", 100, 100, 1)
    for index in range(SLOTS_PER_BUCKET * 3):
        take(store, b"%d" % index, 1, 100, 1)
    assert not take(store, b"empty", 1, 100, 1).allowed


def test_a_bucket_that_is_full_again_gives_up_its_slot() -> None:
    clock = FakeClock()
    store = TableBuckets(memory_table(ONE_BUCKET), clock)
    for index in range(SLOTS_PER_BUCKET):
        take(store, b"%d" % index, 50, 100, 1)
    clock.now += 50
    take(store, b"drained", 100, 100, 1)
    for index in range(SLOTS_PER_BUCKET - 1):
        take(store, b"new-%d" % index, 100, 100, 1)
    assert not take(store, b"drained", 1, 100, 1).allowed


@pytest.mark.process
def test_processes_together_take_exactly_the_capacity(tmp_path: Path) -> None:
    shared = open_shared(tmp_path, 300, Caps(max_nonces=1000), clock=FakeClock())

    def work(index: int) -> int:
        return sum(take(shared.buckets, b"web", 1, 1000, 100).allowed for _ in range(500))

    taken = in_processes(4, work)
    assert sum(taken) == 1000


def test_a_lock_that_is_refused_is_a_store_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, operation: int, length: int = 0, start: int = 0) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    store = open_shared(tmp_path, 300, Caps(max_nonces=1000)).buckets
    monkeypatch.setattr(fcntl, "lockf", refuse)
    verdicts: list[BucketVerdict] = []
    store.take(b"web", 1, 10, 1, verdicts.append)
    assert [verdict.available for verdict in verdicts] == [False]
