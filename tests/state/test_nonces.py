from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.state import nonces
from logops_fast.state.interface import NonceVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import memory_table
from logops_fast.state.nonces import TableNonces, fresh_horizon
from logops_fast.state.shared import open_shared
from logops_fast.state.table import SLOTS_PER_BUCKET, Geometry, Table
from tests.state.support import FakeClock, in_processes

ONE_BUCKET = Geometry(nonces.KIND, 1, "I", 1)


def insert(store: TableNonces, key: bytes, expires_at: float) -> NonceVerdict:
    verdicts: list[NonceVerdict] = []
    store.insert(key, expires_at, verdicts.append)
    (verdict,) = verdicts
    return verdict


def one_bucket(clock: FakeClock) -> tuple[TableNonces, Table]:
    table = memory_table(ONE_BUCKET)
    return TableNonces(table, clock), table


def test_a_full_bucket_refuses_and_forgets_nothing() -> None:
    clock = FakeClock()
    store, _ = one_bucket(clock)
    keys = [b"%d" % index for index in range(SLOTS_PER_BUCKET)]
    assert all(insert(store, key, clock.now + 10) is NonceVerdict.FRESH for key in keys)
    assert insert(store, b"one more", clock.now + 10) is NonceVerdict.FULL
    assert all(insert(store, key, clock.now + 10) is NonceVerdict.REPLAY for key in keys)


def test_room_comes_back_as_nonces_expire_whatever_their_order() -> None:
    clock = FakeClock()
    store, _ = one_bucket(clock)
    for index in range(SLOTS_PER_BUCKET):
        insert(store, b"%d" % index, clock.now + 1000 - index)
    clock.now += 1000 - SLOTS_PER_BUCKET + 2  # the last two have expired; the next in turn lives the longest
    assert insert(store, b"a", clock.now + 1000) is NonceVerdict.FRESH
    assert insert(store, b"b", clock.now + 1000) is NonceVerdict.FRESH
    assert insert(store, b"c", clock.now + 1000) is NonceVerdict.FULL


def test_a_clock_stepped_back_reopens_nothing() -> None:
    clock = FakeClock()
    store, _ = one_bucket(clock)
    start = clock.now
    old = [b"old-%d" % index for index in range(SLOTS_PER_BUCKET)]
    for key in old:
        assert insert(store, key, start + 301) is NonceVerdict.FRESH
    clock.now = start + 400
    for index in range(SLOTS_PER_BUCKET):
        assert insert(store, b"new-%d" % index, start + 701) is NonceVerdict.FRESH
    clock.now = start + 1
    assert {insert(store, key, start + 301) for key in old} == {NonceVerdict.FORGOTTEN}


def test_an_expired_nonce_still_in_its_slot_is_a_replay_of_the_same_request() -> None:
    clock = FakeClock()
    store, _ = one_bucket(clock)
    insert(store, b"key", clock.now + 10)
    clock.now += 20
    assert insert(store, b"key", clock.now - 10) is NonceVerdict.REPLAY
    assert insert(store, b"key", clock.now + 10) is NonceVerdict.FRESH
    assert insert(store, b"key", clock.now + 10) is NonceVerdict.REPLAY


@pytest.mark.parametrize(
    ("stamp", "verdict"),
    [
        (999.0, NonceVerdict.FORGOTTEN),
        (999.999, NonceVerdict.FORGOTTEN),
        (1000.0, NonceVerdict.FRESH),
        (1000.4, NonceVerdict.FRESH),
    ],
)
def test_a_new_table_takes_what_was_signed_from_the_second_of_its_start_on(stamp: float, verdict: NonceVerdict) -> None:
    store, table = one_bucket(FakeClock(1000.7))
    nonces.set_horizon(table, fresh_horizon(1000.7, 300.0))
    assert insert(store, b"key", stamp + 300.0 + 1.0) is verdict


def test_an_expiry_out_of_all_bounds_does_no_harm() -> None:
    store, _ = one_bucket(FakeClock())
    assert insert(store, b"far", 1e300) is NonceVerdict.FRESH
    assert insert(store, b"far", 1e300) is NonceVerdict.REPLAY
    assert insert(store, b"past", -1e300) is NonceVerdict.FRESH
    assert insert(store, b"past", -1e300) is NonceVerdict.REPLAY


steps = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 300), st.integers(1, 40)),
        st.tuples(st.just("clock"), st.integers(-30, 60), st.just(0)),
    ),
    max_size=400,
)


@given(steps)
def test_against_a_model_nothing_is_fresh_twice_and_nothing_new_is_refused(steps: list[tuple[str, int, int]]) -> None:
    clock = FakeClock(1000)
    store, _ = one_bucket(clock)
    latest: dict[bytes, int] = {}
    used: set[tuple[bytes, int]] = set()
    ever = clock.now
    for step, number, life in steps:
        if step == "clock":
            clock.now += number
            ever = max(ever, clock.now)
            continue
        key, expiry = b"%d" % number, int(clock.now) + life
        live = sum(held > clock.now for held in latest.values())
        verdict = insert(store, key, expiry)
        if verdict is NonceVerdict.FRESH:
            assert (key, expiry) not in used
            assert latest.get(key, 0) <= clock.now
            used.add((key, expiry))
            latest[key] = expiry
        elif verdict is NonceVerdict.REPLAY:
            assert expiry <= latest[key] or latest[key] > clock.now
        elif verdict is NonceVerdict.FORGOTTEN:
            assert expiry <= max(held for held in latest.values() if held <= ever)
        else:
            assert live >= SLOTS_PER_BUCKET


def test_the_promised_number_of_nonces_fits() -> None:
    table = memory_table(nonces.geometry(20_000))
    store = TableNonces(table, FakeClock())
    assert {insert(store, b"%d" % index, 2e6) for index in range(20_000)} == {NonceVerdict.FRESH}


@pytest.mark.process
@pytest.mark.parametrize("opened", ["before the fork", "in each process"])
def test_of_many_processes_inserting_one_nonce_exactly_one_succeeds(tmp_path: Path, opened: str) -> None:
    shared = open_shared(tmp_path, 300, Caps(max_nonces=10_000))
    expiry = time.time() + 301

    def work(index: int) -> list[int]:
        store = shared if opened == "before the fork" else open_shared(tmp_path, 300, Caps(max_nonces=10_000))
        verdicts = [insert(store.nonces, b"nonce-%d" % number, expiry) for number in range(200)]
        return [verdict is NonceVerdict.FRESH for verdict in verdicts]

    results = in_processes(4, work)
    assert [sum(fresh) for fresh in zip(*results, strict=True)] == [1] * 200


@pytest.mark.process
def test_of_many_processes_that_start_together_exactly_one_makes_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "state"
    expiry = time.time() + 305

    def work(index: int) -> bool:
        store = open_shared(directory, 300, Caps(max_nonces=10_000))
        return insert(store.nonces, b"nonce", expiry) is NonceVerdict.FRESH

    assert sum(in_processes(6, work)) == 1
