from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import signal
import time
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.state import nonces
from logops_fast.state.interface import NonceVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import memory_table
from logops_fast.state.nonces import SLOTS, TableNonces, fresh_horizon
from logops_fast.state.shared import open_shared
from logops_fast.state.table import LOCK_TRIES, Geometry, Table, header
from logops_fast.state.tallies import TALLY_BYTES
from tests.state.support import FakeClock, WatchedLock, in_processes, soon
from tests.support.tables import each_of

ONE_BUCKET = Geometry(nonces.KIND, 1, "I", 1, 0, nonces.KEY_BYTES)


def insert(store: TableNonces, key: bytes, expires_at: float) -> NonceVerdict:
    verdicts: list[NonceVerdict] = []
    store.insert(key, expires_at, verdicts.append)
    (verdict,) = verdicts
    return verdict


class Killed(BaseException):
    """The process ends here."""


class StoppingMemory(mmap):
    """Memory of a table whose process is killed at a key, before or after it is written; the table lives on."""

    stop: str = ""

    def __setitem__(self, where: Any, data: Any) -> None:
        if self.stop == "before the key":
            raise Killed
        super().__setitem__(where, data)
        if self.stop == "after the key":
            raise Killed


def stoppable_bucket(clock: FakeClock) -> tuple[TableNonces, StoppingMemory]:
    memory = StoppingMemory(-1, ONE_BUCKET.size)
    head = header(ONE_BUCKET, 7, "")
    memory[: len(head)] = head
    return TableNonces(Table(memory, ONE_BUCKET), clock), memory


def one_bucket(clock: FakeClock) -> tuple[TableNonces, Table]:
    table = memory_table(ONE_BUCKET)
    return TableNonces(table, clock), table


def test_a_full_bucket_refuses_and_forgets_nothing() -> None:
    clock = FakeClock()
    store, _ = one_bucket(clock)
    keys = [b"%d" % index for index in range(SLOTS)]
    assert all(insert(store, key, clock.now + 10) is NonceVerdict.FRESH for key in keys)
    assert insert(store, b"one more", clock.now + 10) is NonceVerdict.FULL
    assert all(insert(store, key, clock.now + 10) is NonceVerdict.REPLAY for key in keys)


STEPS = ["insert", "remove", "later", "killed before the key", "killed after the key"]


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 600)), max_size=80), st.integers(0, SLOTS + 20))
def test_what_was_never_used_need_not_be_searched(steps: list[tuple[str, int]], before: int) -> None:
    clock = FakeClock()
    store, memory = stoppable_bucket(clock)
    table = store._table
    digests: dict[int, bytes] = {}
    steps = [*(("insert", number) for number in range(before)), *steps]
    for step, number in steps:
        key = b"%d" % number
        if step == "remove":
            store.remove(key, clock.now + 50)
        elif step == "later":
            clock.now += number
        else:
            memory.stop = step.removeprefix("killed ") if step != "insert" else ""
            with contextlib.suppress(Killed):
                insert(store, key, clock.now + 50)
            memory.stop = ""
            digests[number] = table.digest(key)[8:]
    for digest in digests.values():
        assert table.find_used(digest, 0) == table.find(digest, 0)


@pytest.mark.parametrize("stop", ["before the key", "after the key"])
@pytest.mark.parametrize("first", [1, 100, SLOTS - 2])
def test_two_processes_killed_at_a_key_hide_no_nonce(stop: str, first: int) -> None:
    clock = FakeClock()
    store, memory = stoppable_bucket(clock)
    table = store._table
    # The turn comes round to the first of the two slots while all nonces after it are alive.
    short, long = clock.now + 5, clock.now + 50
    alive, killed = list[bytes](), set[int]()
    while table.metas[1] or not killed:
        turn = table.metas[1]
        if turn in (first, SLOTS - 1) and turn not in killed:
            killed.add(turn)
            memory.stop = stop
            with pytest.raises(Killed):
                insert(store, b"killed at %d" % turn, long)
            memory.stop = ""
            continue
        expires = short if turn < first else long
        assert insert(store, b"%d" % turn, expires) is NonceVerdict.FRESH
        if expires == long:
            alive.append(b"%d" % turn)
    clock.now = short
    for index in range(first):
        assert insert(store, b"again %d" % index, long) is NonceVerdict.FRESH
        alive.append(b"again %d" % index)
        assert {insert(store, key, long) for key in alive} == {NonceVerdict.REPLAY}
    assert len(alive) == SLOTS, "a process that was killed takes no room"


def test_a_bucket_is_searched_where_its_slots_were_used() -> None:
    clock = FakeClock()
    store, table = one_bucket(clock)
    digest = table.digest(b"late")[8:]
    table.put(SLOTS - 2, digest)  # where no turn has come yet
    assert table.find_used(digest, 0) == -1
    insert(store, b"first", clock.now + 10)
    assert table.find_used(digest, 0) == -1
    table.put(SLOTS - 1, digest)
    assert table.find_used(digest, 0) == SLOTS - 2


def test_room_comes_back_as_nonces_expire_whatever_their_order() -> None:
    clock = FakeClock()
    store, _ = one_bucket(clock)
    for index in range(SLOTS):
        insert(store, b"%d" % index, clock.now + 1000 - index)
    clock.now += 1000 - SLOTS + 2  # the last two have expired; the next in turn lives the longest
    assert insert(store, b"a", clock.now + 1000) is NonceVerdict.FRESH
    assert insert(store, b"b", clock.now + 1000) is NonceVerdict.FRESH
    assert insert(store, b"c", clock.now + 1000) is NonceVerdict.FULL


def test_a_clock_stepped_back_reopens_nothing() -> None:
    clock = FakeClock()
    store, _ = one_bucket(clock)
    start = clock.now
    old = [b"old-%d" % index for index in range(SLOTS)]
    for key in old:
        assert insert(store, key, start + 301) is NonceVerdict.FRESH
    clock.now = start + 400
    for index in range(SLOTS):
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


@each_of(
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
        st.tuples(st.just("insert"), st.integers(0, 600), st.integers(1, 40)),
        st.tuples(st.just("clock"), st.integers(-30, 60), st.just(0)),
    ),
    max_size=700,
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
            assert live >= SLOTS


def test_the_promised_number_of_nonces_fits() -> None:
    table = memory_table(nonces.geometry(20_000))
    store = TableNonces(table, FakeClock())
    assert {insert(store, b"web\0%d" % index, 2e6) for index in range(20_000)} == {NonceVerdict.FRESH}


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
    expiry = soon()

    def work(index: int) -> bool:
        store = open_shared(directory, 300, Caps(max_nonces=10_000))
        return insert(store.nonces, b"nonce", expiry) is NonceVerdict.FRESH

    assert sum(in_processes(6, work)) == 1


def test_memory_is_used_as_the_table_fills() -> None:
    """A level is written only once the one before is full, and looked into only once it was written."""
    table = memory_table(nonces.geometry(50_000))
    clock = FakeClock()
    store = TableNonces(table, clock)
    quarter = table.buckets // 16 * SLOTS
    keys = [b"web\0%d" % index for index in range(quarter // 2)]
    assert {insert(store, key, clock.now + 300) for key in keys} == {NonceVerdict.FRESH}
    assert not any(table.values[quarter:])
    more = [b"web\0more-%d" % index for index in range(5 * quarter)]
    assert {insert(store, key, clock.now + 300) for key in more} == {NonceVerdict.FRESH}
    assert all(table.values[:quarter])
    assert any(table.values[4 * quarter :])
    assert {insert(store, key, clock.now + 300) for key in keys + more} == {NonceVerdict.REPLAY}


def test_a_nonce_takes_16_bytes_or_less() -> None:
    promised = 20_000 * 600
    geometry = nonces.geometry(promised)
    assert geometry.slots * (nonces.KEY_BYTES + geometry.value_bytes) <= 16.01 * promised


def test_nonces_given_back_leave_no_holes() -> None:
    table = memory_table(nonces.geometry(50_000))
    clock = FakeClock()
    store = TableNonces(table, clock)
    for index in range(10_000):
        key = b"web\0%d" % index
        assert insert(store, key, clock.now + 300) is NonceVerdict.FRESH
        store.remove(key, clock.now + 300)
    assert not any(table.values)
    assert not table.words[1]


def test_a_client_that_fills_the_table_is_refused_and_no_other_is() -> None:
    table = memory_table(nonces.geometry(8_000))
    clock = FakeClock()
    store = TableNonces(table, clock)
    verdicts = [insert(store, b"greedy\0%d" % index, clock.now + 300) for index in range(24_000)]
    assert set(verdicts) == {NonceVerdict.FRESH, NonceVerdict.CROWDED}
    assert verdicts.count(NonceVerdict.FRESH) >= 8_000
    small = [insert(store, b"small\0%d" % index, clock.now + 300) for index in range(800)]
    assert set(small) == {NonceVerdict.FRESH}
    assert insert(store, b"greedy\0again", clock.now + 300) is NonceVerdict.CROWDED
    assert insert(store, b"greedy\0%d" % 5, clock.now + 300) is NonceVerdict.REPLAY
    clock.now += 350
    assert insert(store, b"greedy\0again", clock.now + 300) is NonceVerdict.FRESH


def test_many_greedy_clients_leave_room_for_those_that_hold_little() -> None:
    table = memory_table(nonces.geometry(8_000))
    clock = FakeClock()
    store = TableNonces(table, clock)
    seen = {insert(store, b"greedy-%d\0%d" % (index % 10, index), clock.now + 300) for index in range(24_000)}
    assert seen == {NonceVerdict.FRESH, NonceVerdict.CROWDED}
    assert {insert(store, b"small\0%d" % index, clock.now + 300) for index in range(200)} == {NonceVerdict.FRESH}


def test_a_full_bucket_is_the_fault_of_the_client_that_holds_the_most() -> None:
    table = memory_table(Geometry(nonces.KIND, 1, "I", 1, TALLY_BYTES, nonces.KEY_BYTES))
    clock = FakeClock()
    store = TableNonces(table, clock)
    expiry = clock.now + 300
    verdicts = [insert(store, b"a\0%d" % index, expiry) for index in range(SLOTS - 1)]
    assert verdicts[: int(SLOTS * nonces.LOAD)] == [NonceVerdict.FRESH] * int(SLOTS * nonces.LOAD)
    assert verdicts[-1] is NonceVerdict.CROWDED
    verdicts = [insert(store, b"%d\0b" % index, expiry) for index in range(SLOTS)]
    assert verdicts[0] is NonceVerdict.FRESH
    assert verdicts[-1] is NonceVerdict.FULL
    assert insert(store, b"a\0last", expiry) is NonceVerdict.CROWDED


class RefusedLock:
    """A table whose locks the kernel refuses (ENOLCK), and which counts what is unlocked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unlocked = 0
        monkeypatch.setattr(fcntl, "lockf", self.lockf)

    def lockf(self, fd: int, operation: int, length: int = 0, start: int = 0) -> None:
        if operation == fcntl.LOCK_UN:
            self.unlocked += 1
            return
        raise OSError(errno.ENOLCK, "no locks")


def test_a_lock_that_is_refused_lets_no_request_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_shared(tmp_path, 300, Caps(max_nonces=1000)).nonces
    refused = RefusedLock(monkeypatch)
    assert insert(store, b"web\0nonce", soon()) is NonceVerdict.UNAVAILABLE
    store.remove(b"web\0nonce", soon())
    assert refused.unlocked == 0


@pytest.mark.process
def test_a_bucket_is_unlocked_after_each_operation(tmp_path: Path) -> None:
    """A lock that stayed would stop every other worker for good."""
    store = open_shared(tmp_path, 300, Caps(max_nonces=1000)).nonces
    expiry = soon()
    for index in range(50):
        insert(store, b"web\0%d" % index, expiry)
        store.remove(b"web\0%d" % index, expiry)

    def other(_: int) -> bool:
        signal.alarm(20)  # a deadlock ends the child, not the test
        return all(insert(store, b"web\0%d" % index, expiry) is NonceVerdict.FRESH for index in range(50))

    assert in_processes(1, other) == [True]


@each_of("promised", [1000, 20_000, 400_000, 12_000_000])
def test_a_table_has_room_for_what_is_promised_and_sixteen_equal_parts(promised: int) -> None:
    geometry = nonces.geometry(promised)
    assert geometry.slots * nonces.LOAD >= promised
    assert geometry.buckets <= 16 or geometry.buckets % 16 == 0


def test_a_small_table_has_one_level() -> None:
    assert nonces.first_buckets(16) == 16
    assert nonces.first_buckets(32) == 2


def test_what_is_given_back_is_not_held_against_the_client() -> None:
    table = memory_table(nonces.geometry(2000))
    clock = FakeClock()
    store = TableNonces(table, clock)
    expiry = clock.now + 300
    for index in range(20_000):
        assert insert(store, b"web\0%d" % index, expiry) is NonceVerdict.FRESH
        store.remove(b"web\0%d" % index, expiry)
    assert store._tallies is not None
    assert store._tallies.total(clock.now) == 0


def test_a_restored_nonce_is_a_replay_and_is_counted_and_a_full_table_takes_none() -> None:
    table = memory_table(Geometry(nonces.KIND, 1, "I", 1, TALLY_BYTES, nonces.KEY_BYTES))
    clock = FakeClock()
    store = TableNonces(table, clock)
    expiry = int(clock.now) + 300
    assert store.restore(table.digest(b"web\0first"), expiry)
    assert insert(store, b"web\0first", expiry) is NonceVerdict.REPLAY
    assert store._tallies is not None
    assert store._tallies.total(clock.now) == 1
    assert all(store.restore(table.digest(b"%d" % index), expiry) for index in range(SLOTS - 1))
    assert not store.restore(table.digest(b"one too many"), expiry)
    bare, table = one_bucket(clock)
    assert bare.restore(table.digest(b"web\0first"), expiry)
    assert insert(bare, b"web\0first", expiry) is NonceVerdict.REPLAY


def at_home_in_the_first_bucket(table: Table, client: bytes) -> Iterator[bytes]:
    """Keys of a client that all begin in the first bucket."""
    first = nonces.first_buckets(table.buckets)
    keys = (b"%s\0%d" % (client, index) for index in itertools.count())
    return (key for key in keys if int.from_bytes(table.digest(key)[:8], "little") % first == 0)


def test_a_full_bucket_of_a_table_with_room_is_the_fault_of_the_largest_holder() -> None:
    table = memory_table(Geometry(nonces.KIND, 4, "I", 1, TALLY_BYTES, nonces.KEY_BYTES))
    clock = FakeClock()
    store = TableNonces(table, clock)
    greedy, small = at_home_in_the_first_bucket(table, b"greedy"), at_home_in_the_first_bucket(table, b"small")
    expiry = clock.now + 300
    assert {insert(store, next(greedy), expiry) for _ in range(SLOTS)} == {NonceVerdict.FRESH}
    assert insert(store, next(greedy), expiry) is NonceVerdict.CROWDED
    assert insert(store, next(small), expiry) is NonceVerdict.FULL


def test_a_slot_that_is_given_back_is_the_next_one_handed_out() -> None:
    """Else a client whose batches are refused leaves holes, and the first level takes half as many."""
    table = memory_table(Geometry(nonces.KIND, 32, "I", 1, 0, nonces.KEY_BYTES))
    clock = FakeClock()
    store = TableNonces(table, clock)
    keys = at_home_in_the_first_bucket(table, b"web")
    expiry = clock.now + 300
    for _ in range(SLOTS):
        refused = next(keys)
        assert insert(store, refused, expiry) is NonceVerdict.FRESH
        store.remove(refused, expiry)
        assert insert(store, next(keys), expiry) is NonceVerdict.FRESH
    assert not table.words[1]
    assert insert(store, next(keys), expiry) is NonceVerdict.FRESH
    assert table.words[1]


def test_no_operation_leaves_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_shared(tmp_path, 300, Caps(max_nonces=1000)).nonces
    locks = WatchedLock(monkeypatch)
    expiry = soon()
    assert insert(store, b"web\0nonce", expiry) is NonceVerdict.FRESH
    assert not locks.locked
    store.remove(b"web\0nonce", expiry)
    assert not locks.locked


def test_a_nonce_is_given_back_once_the_lock_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_shared(tmp_path, 300, Caps(max_nonces=1000)).nonces
    expiry = soon()
    assert insert(store, b"web\0nonce", expiry) is NonceVerdict.FRESH
    locks = WatchedLock(monkeypatch)
    locks.held = LOCK_TRIES + 2  # more than the table itself tries
    store.remove(b"web\0nonce", expiry)
    assert locks.held == 0
    assert insert(store, b"web\0nonce", expiry) is NonceVerdict.FRESH
