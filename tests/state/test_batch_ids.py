from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from logops_fast.state import batch_ids
from logops_fast.state.batch_ids import TableBatchIds
from logops_fast.state.interface import MAX_WORKERS, BatchClaim, ClaimKind
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import memory_table
from logops_fast.state.shared import open_shared
from logops_fast.state.table import SLOTS_PER_BUCKET, Geometry, Table
from tests.state.support import FakeClock, fork, in_processes, kill

SMALL = Geometry(batch_ids.KIND, 1, "Q", 4, 4096)


def begin(store: TableBatchIds, batch_id: str, emitter: str = "web", digest: int = 1) -> BatchClaim:
    claims: list[BatchClaim] = []
    store.begin(emitter, batch_id, digest, claims.append)
    (claim,) = claims
    return claim


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def table() -> Table:
    return memory_table(SMALL)


def test_a_stored_batch_is_forgotten_after_its_time(table: Table, clock: FakeClock) -> None:
    store = TableBatchIds(table, clock, ttl=600)
    begin(store, "b")
    store.finish("web", "b", b"answer")
    clock.now += 599
    assert begin(store, "b").kind is ClaimKind.DONE
    clock.now += 2
    assert begin(store, "b").kind is ClaimKind.NEW


def test_claims_of_a_worker_that_died_are_free_once_its_successor_has_started(table: Table, clock: FakeClock) -> None:
    died, other = TableBatchIds(table, clock), TableBatchIds(table, clock)
    died.worker_started(0)
    other.worker_started(1)
    begin(died, "b")
    begin(other, "c")
    assert begin(other, "b").kind is ClaimKind.IN_PROGRESS
    TableBatchIds(table, clock).worker_started(0)
    assert begin(other, "b").kind is ClaimKind.NEW
    assert begin(other, "c").kind is ClaimKind.IN_PROGRESS


def renew(store: TableBatchIds, batch_id: str) -> bool:
    verdicts: list[bool] = []
    store.renew("web", batch_id, verdicts.append)
    (held,) = verdicts
    return held


def test_a_renewed_claim_does_not_lapse(table: Table, clock: FakeClock) -> None:
    one, other = TableBatchIds(table, clock, ttl=600), TableBatchIds(table, clock, ttl=600)
    one.worker_started(0)
    other.worker_started(1)
    begin(one, "b")
    for _ in range(5):
        clock.now += 599
        assert renew(one, "b")
        assert not renew(other, "b")
    clock.now += 599
    assert begin(other, "b").kind is ClaimKind.IN_PROGRESS


def test_a_claim_that_another_worker_took_after_it_lapsed_is_lost(table: Table, clock: FakeClock) -> None:
    one, other = TableBatchIds(table, clock, ttl=600), TableBatchIds(table, clock, ttl=600)
    one.worker_started(0)
    other.worker_started(1)
    begin(one, "b")
    begin(one, "c")
    clock.now += 601
    assert begin(other, "b").kind is ClaimKind.NEW
    assert not renew(one, "b")
    assert renew(one, "c"), "no one has taken it"


@pytest.mark.interpreted
def test_a_table_that_cannot_be_locked_holds_no_claim(
    table: Table, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TableBatchIds(table, clock)
    begin(store, "b")

    def refused(_self: Table, _bucket: int) -> None:
        raise OSError("no locks left")

    monkeypatch.setattr(type(table), "lock", refused)
    assert not renew(store, "b")


def test_a_successor_cannot_abandon_what_a_sibling_claimed(table: Table, clock: FakeClock) -> None:
    one, other = TableBatchIds(table, clock), TableBatchIds(table, clock)
    one.worker_started(0)
    other.worker_started(1)
    begin(one, "b")
    other.abandon("web", "b")
    assert begin(other, "b").kind is ClaimKind.IN_PROGRESS


def test_a_journal_that_is_replayed_before_the_start_wins_over_the_dead_claim(table: Table, clock: FakeClock) -> None:
    died = TableBatchIds(table, clock)
    died.worker_started(0)
    begin(died, "b")
    successor = TableBatchIds(table, clock)
    successor.finish("web", "b", b"stored before the crash")
    successor.worker_started(0)
    assert begin(successor, "b") == BatchClaim(ClaimKind.DONE, b"stored before the crash")


def test_an_answer_pushed_out_by_newer_ones_leaves_the_fact(table: Table, clock: FakeClock) -> None:
    store = TableBatchIds(table, clock)
    for number in range(20):
        store.finish("web", f"b-{number}", bytes([number]) * 400)
    assert begin(store, "b-0") == BatchClaim(ClaimKind.DONE, b"")
    assert begin(store, "b-19") == BatchClaim(ClaimKind.DONE, bytes([19]) * 400)


def test_the_oldest_stored_ids_make_room_and_batches_in_progress_never_do(table: Table, clock: FakeClock) -> None:
    store = TableBatchIds(table, clock)
    begin(store, "in progress")
    for number in range(SLOTS_PER_BUCKET * 2):
        clock.now += 0.1
        store.finish("web", f"b-{number}", b"")
    assert begin(store, "in progress").kind is ClaimKind.IN_PROGRESS
    assert begin(store, f"b-{SLOTS_PER_BUCKET * 2 - 1}").kind is ClaimKind.DONE
    assert begin(store, "b-0").kind is ClaimKind.NEW


def test_with_every_slot_in_progress_a_new_batch_is_refused(table: Table, clock: FakeClock) -> None:
    store = TableBatchIds(table, clock)
    for number in range(SLOTS_PER_BUCKET):
        assert begin(store, f"b-{number}").kind is ClaimKind.NEW
    assert begin(store, "one more").kind is ClaimKind.UNAVAILABLE
    store.abandon("web", "b-7")
    assert begin(store, "one more").kind is ClaimKind.NEW


def test_a_worker_index_out_of_range_is_refused(table: Table, clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="at most"):
        TableBatchIds(table, clock).worker_started(MAX_WORKERS)


@pytest.mark.process
def test_of_many_processes_that_claim_one_batch_exactly_one_gets_it(tmp_path: Path) -> None:
    shared = open_shared(tmp_path, 300, Caps(max_nonces=1000))

    def work(index: int) -> list[bool]:
        shared.worker_started(index)
        return [begin(shared.batch_ids, f"b-{number}").kind is ClaimKind.NEW for number in range(100)]

    results = in_processes(4, work)
    assert [sum(new) for new in zip(*results, strict=True)] == [1] * 100


@pytest.mark.process
def test_answers_written_by_one_process_are_read_by_another(tmp_path: Path) -> None:
    shared = open_shared(tmp_path, 300, Caps(max_nonces=1000))

    def work(index: int) -> None:
        for number in range(100):
            shared.batch_ids.finish("web", f"b-{index}-{number}", f"answer {index} {number}".encode() * 20)

    in_processes(4, work)
    for index in range(4):
        for number in range(100):
            assert begin(shared.batch_ids, f"b-{index}-{number}").answer == f"answer {index} {number}".encode() * 20


@pytest.mark.process
def test_a_worker_killed_in_mid_batch_frees_it_at_its_restart(tmp_path: Path) -> None:
    shared = open_shared(tmp_path, 300, Caps(max_nonces=1000))

    def claim(pipe: int) -> None:
        import os
        import signal

        shared.worker_started(3)
        os.write(pipe, begin(shared.batch_ids, "b").kind.name.encode())
        signal.pause()

    pid, reader = fork(claim)
    with open(reader, "rb", buffering=0) as pipe:
        assert pipe.read(3) == b"NEW"
        kill(pid)
    assert begin(shared.batch_ids, "b").kind is ClaimKind.IN_PROGRESS

    def restart(index: int) -> str:
        shared.worker_started(3)
        return begin(shared.batch_ids, "b").kind.name

    assert in_processes(1, restart) == ["NEW"]


def test_a_lock_that_is_refused_stores_nothing_twice_and_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOLCK: the claim is refused; what a worker has claimed stays claimed until its time is over."""
    store = open_shared(tmp_path, 300, Caps(max_nonces=1000)).batch_ids
    assert begin(store, "claimed").kind is ClaimKind.NEW

    def refuse(fd: int, operation: int, length: int = 0, start: int = 0) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "lockf", refuse)
        assert begin(store, "new").kind is ClaimKind.UNAVAILABLE
        store.finish("web", "claimed", b"answer")
        store.abandon("web", "claimed")
    assert begin(store, "claimed").kind is ClaimKind.IN_PROGRESS
    assert begin(store, "new").kind is ClaimKind.NEW


def test_a_journal_that_meets_only_batches_in_progress_makes_no_entry(table: Table, clock: FakeClock) -> None:
    store = TableBatchIds(table, clock)
    for number in range(SLOTS_PER_BUCKET):
        begin(store, f"b-{number}")
    store.finish("web", "of a journal", b"answer")
    assert begin(store, "of a journal").kind is ClaimKind.UNAVAILABLE
    assert begin(store, "b-0").kind is ClaimKind.IN_PROGRESS


def test_another_body_after_the_id_was_forgotten_is_a_new_batch(table: Table, clock: FakeClock) -> None:
    store = TableBatchIds(table, clock, ttl=600)
    begin(store, "b", digest=1)
    store.finish("web", "b", b"answer")
    assert begin(store, "b", digest=2).kind is ClaimKind.OTHER_BODY
    clock.now += 601
    assert begin(store, "b", digest=2).kind is ClaimKind.NEW
