from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import time
from mmap import mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.state.interface import ClaimKind, NonceVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import memory_table
from logops_fast.state.shared import open_shared
from logops_fast.state.table import (
    BUCKET_BYTES,
    LOCK_TRIES,
    SLOTS_PER_BUCKET,
    WORDS,
    Geometry,
    Table,
    header,
    header_fault,
    read_header,
)
from tests.state.support import WatchedLock, fork, kill

GEOMETRY = Geometry(b"test", 3, "I", 1, 100)


@given(st.dictionaries(st.binary(max_size=40), st.integers(1, 2**32 - 1), max_size=SLOTS_PER_BUCKET))
def test_a_table_finds_what_was_put_and_nothing_else(entries: dict[bytes, int]) -> None:
    table = memory_table(GEOMETRY)
    for key, value in entries.items():
        digest, bucket = table.locate(key)
        assert table.find(digest, bucket) == -1
        slot = table.victim(bucket, 0)
        table.put(slot, digest)
        table.values[slot] = value
    for key, value in entries.items():
        assert table.values[table.find(*table.locate(key))] == value
    table.close()


def test_bytes_that_straddle_two_slots_are_not_a_key() -> None:
    table = memory_table(GEOMETRY)
    table.put(5, b"A" * 8 + b"B" * 8)
    table.put(6, b"C" * 8 + b"D" * 8)
    table.put(9, b"B" * 8 + b"C" * 8)
    assert table.find(b"B" * 8 + b"C" * 8, 0) == 9
    assert table.find(b"D" * 8 + b"\0" * 8, 0) == -1


def test_a_bucket_does_not_see_its_neighbour_s_keys() -> None:
    table = memory_table(GEOMETRY)
    table.put(SLOTS_PER_BUCKET, b"k" * 16)
    assert table.find(b"k" * 16, 0) == -1
    assert table.find(b"k" * 16, 1) == SLOTS_PER_BUCKET


def test_two_tables_put_the_same_key_in_different_places() -> None:
    one, other = memory_table(GEOMETRY), memory_table(GEOMETRY)
    assert one.locate(b"key")[0] != other.locate(b"key")[0]


def test_slots_are_used_in_turn_and_a_live_one_is_passed_over_for_the_oldest() -> None:
    table = memory_table(GEOMETRY)
    for expected in range(SLOTS_PER_BUCKET):
        slot = table.victim(0, now=100)
        assert slot == expected
        table.values[slot] = 1000 + slot
    table.values[77] = 50
    assert table.victim(0, now=100) == 77
    table.values[77] = 2000
    assert table.victim(0, now=100) == 0


def test_the_sections_of_a_table_do_not_overlap() -> None:
    metas, keys, values, extra, size = GEOMETRY.sections()
    assert metas >= 4096 + 8192
    assert metas + 3 * 8 <= keys
    assert keys + 3 * BUCKET_BYTES <= values
    assert values + 3 * SLOTS_PER_BUCKET * 4 <= extra
    assert extra + 100 <= size


def test_a_header_is_good_for_its_own_geometry_and_boot_alone() -> None:
    data = header(GEOMETRY, 7, "boot-1")
    assert header_fault(data, GEOMETRY, "boot-1") is None
    assert "machine was started" in str(header_fault(data, GEOMETRY, "boot-2"))
    assert "size" in str(header_fault(data, GEOMETRY._replace(buckets=4), "boot-1"))
    assert "not a table" in str(header_fault(b"x" * 4096, GEOMETRY, "boot-1"))
    assert "cut short" in str(header_fault(data[:20], GEOMETRY, "boot-1"))


@given(st.integers(0, len(header(GEOMETRY, 7, "b")) - 1), st.integers(1, 255))
def test_a_header_with_any_byte_changed_is_refused(at: int, change: int) -> None:
    data = bytearray(header(GEOMETRY, 7, "boot-1"))
    data[at] ^= change
    assert header_fault(bytes(data), GEOMETRY, "boot-1") is not None


def test_a_header_is_read_back_and_nothing_else_is_one() -> None:
    data = header(GEOMETRY, 7, "boot-1")
    assert read_header(data) == (b"test", 3, SLOTS_PER_BUCKET, 4, 100, 7, b"boot-1")
    assert read_header(data + b"what follows") == read_header(data)
    assert read_header(data[:-1]) is None
    assert read_header(b"X" + data[1:]) is None
    assert read_header(data[:20] + bytes([data[20] ^ 1]) + data[21:]) is None


@pytest.mark.parametrize(("entries", "buckets"), [(1, 1), (89, 1), (90, 2), (89_500, 999)])
def test_a_table_is_sized_for_a_fill_of_seven_tenths(entries: int, buckets: int) -> None:
    assert Geometry.sized(b"test", entries, "d", 2, 50) == (b"test", buckets, "d", 2, 50, 16)


def test_the_shared_words_are_a_thousand_between_the_header_and_the_buckets() -> None:
    table = memory_table(GEOMETRY)
    assert len(table.words) == WORDS == 1024
    for number in range(WORDS):
        table.words[number] = (1 << 64) - 1
    assert not any(table.metas)
    assert not any(table.values)
    assert not any(table.extra)
    assert header_fault(bytes(table._memory[:4096]), GEOMETRY, "") is None


def test_a_key_is_found_right_after_bytes_that_only_look_like_it() -> None:
    table = memory_table(GEOMETRY)
    table.put(4, b"." * 15 + b"A")
    table.put(5, b"A" * 16)  # also at one byte before it
    assert table.find(b"A" * 16, 0) == 5


def taken(table: Table, bucket: int) -> int:
    """Put a key into the slot whose turn it is; return the slot."""
    slot = table.next_in_turn(bucket, now=100)
    assert table.next_in_turn(bucket, now=100) == slot, "asked for is not taken"
    table.put(slot, b"k" * 16)
    return slot


def test_turns_go_round_in_each_bucket_and_can_be_undone_by_the_last_one() -> None:
    table = memory_table(GEOMETRY)
    for bucket in range(3):
        first = bucket * SLOTS_PER_BUCKET
        handed_out = [taken(table, bucket) for _ in range(SLOTS_PER_BUCKET)]
        assert handed_out == list(range(first, first + SLOTS_PER_BUCKET))
        table.undo_turn(bucket, handed_out[-1])
        assert taken(table, bucket) == handed_out[-1]
        assert taken(table, bucket) == first
        assert taken(table, bucket) == first + 1
        table.undo_turn(bucket, first)  # not the last one
        assert taken(table, bucket) == first + 2
        table.undo_turn(bucket, first + 2)
        assert taken(table, bucket) == first + 2
        table.values[first + 3] = 101
        assert table.next_in_turn(bucket, now=100) == -1


def test_a_key_that_is_put_elsewhere_moves_no_turn() -> None:
    table = memory_table(GEOMETRY)
    assert table.next_in_turn(1, now=100) == SLOTS_PER_BUCKET
    table.put(SLOTS_PER_BUCKET + 5, b"k" * 16)
    assert table.next_in_turn(1, now=100) == SLOTS_PER_BUCKET
    table.values[2 * SLOTS_PER_BUCKET] = 101
    assert table.next_in_turn(2, now=100) == -1
    table.put(SLOTS_PER_BUCKET, b"k" * 16)  # not the slot that was asked for last
    assert table.next_in_turn(1, now=100) == SLOTS_PER_BUCKET


def test_a_bucket_that_is_used_in_part_is_searched_as_far_as_it_was_used() -> None:
    table = memory_table(Geometry(b"test", 3, "I", 1, 0, 8))
    slots = table.slots_per_bucket
    for index in range(3):
        slot = table.next_in_turn(1, now=100)
        table.put(slot, b"used %03d" % index)
    assert [table.find_used(b"used %03d" % index, 1) for index in range(3)] == [slots, slots + 1, slots + 2]
    for beside in (0, slots - 1, 2 * slots, 2 * slots + 1, 3 * slots - 1):  # of the other buckets
        table.put(beside, b"beside__")
    table.put(slots + 9, b"put away")
    assert table.find_used(b"put away", 1) == -1
    table.put(slots + 3, b"the next")
    assert table.find_used(b"put away", 1) == slots + 9
    table.put(slots + 3, bytes(8))
    assert table.find_used(b"put away", 1) == -1
    table.put(2 * slots - 1, b"the last")
    assert table.find_used(b"put away", 1) == slots + 9


def test_the_first_value_of_a_slot_says_how_long_it_is_used() -> None:
    table = memory_table(Geometry(b"test", 3, "I", 2))
    first = 2 * SLOTS_PER_BUCKET
    for slot in range(first, first + SLOTS_PER_BUCKET):
        table.values[2 * slot] = 1000 - slot
        assert table.next_in_turn(1, now=100) == SLOTS_PER_BUCKET, "another bucket"
    assert table.next_in_turn(2, now=100) == -1
    assert table.victim(2, now=100) == first + SLOTS_PER_BUCKET - 1
    table.values[2 * (first + 5)] = 100
    assert table.victim(2, now=100) == first + 5


def locked_table(folder: Path) -> tuple[Table, int]:
    fd = os.open(folder / "table", os.O_RDWR | os.O_CREAT)
    memory = mmap(-1, GEOMETRY.size)
    head = header(GEOMETRY, 7, "")
    memory[: len(head)] = head
    return Table(memory, GEOMETRY, fd), fd


def test_a_lock_is_one_byte_of_the_file_and_is_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, fd = locked_table(tmp_path)
    locks = WatchedLock(monkeypatch)
    table.lock(2)
    assert locks.asked == [(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 2)]
    assert locks.locked == {2}
    table.unlock(2)
    assert not locks.locked
    locks.asked, locks.held = [], LOCK_TRIES
    table.lock(1)
    assert locks.asked == [(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1)] * (1 + LOCK_TRIES)
    locks.held = LOCK_TRIES + 1
    with pytest.raises(BlockingIOError):
        table.lock(0)


def test_a_closed_table_has_closed_its_file(tmp_path: Path) -> None:
    table, fd = locked_table(tmp_path)
    table.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    table.close()


@pytest.mark.process
@pytest.mark.slow
def test_processes_killed_while_hammering_leave_a_table_that_works(tmp_path: Path) -> None:
    """What a killed process got FRESH for stays a replay, and no lock stays held."""
    caps = Caps(max_nonces=200_000, max_batch_ids=200)  # room for all that 36 pipes take
    store = open_shared(tmp_path, 300, caps)
    expiry = time.time() + 400
    record = struct.Struct("=QQ")

    def hammer(pipe: int) -> None:
        chance = random.Random()
        store.worker_started(chance.randrange(8))
        parent = os.getppid()
        while os.getppid() == parent:  # a test that fails leaves none behind
            a, b = chance.getrandbits(64), chance.randrange(60)
            verdicts: list[NonceVerdict] = []
            store.nonces.insert(record.pack(a, b), expiry, verdicts.append)
            store.buckets.take(b"%d" % b, 1, 100, 100, lambda verdict: None)
            store.batch_ids.begin("web", f"{b}", 1, lambda claim: None)
            store.batch_ids.finish("web", f"{b}", b"%d" % b * 50)
            if verdicts == [NonceVerdict.FRESH]:
                os.write(pipe, record.pack(a, b))

    acknowledged: list[bytes] = []
    for _ in range(12):
        children = [fork(hammer) for _ in range(3)]
        waiting = [reader for _, reader in children]
        while waiting:  # until each of them is at work
            ready, _, _ = select.select(waiting, [], [], 60)
            assert ready
            waiting = [reader for reader in waiting if reader not in ready]
        for pid, _ in children:
            kill(pid)
        for _, reader in children:
            with open(reader, "rb") as pipe:
                data = pipe.read()
            acknowledged += [data[at : at + 16] for at in range(0, len(data), 16)]
    assert len(acknowledged) >= 36
    verdicts: list[NonceVerdict] = []
    for key in acknowledged:
        store.nonces.insert(key, expiry, verdicts.append)
    assert set(verdicts) == {NonceVerdict.REPLAY}
    for number in range(60):
        claims: list[object] = []
        store.batch_ids.begin("web", f"{number}", 1, lambda claim, claims=claims: claims.extend(claim))  # type: ignore[misc]
        assert claims in ([ClaimKind.DONE, b"%d" % number * 50], [ClaimKind.NEW, b""], [ClaimKind.IN_PROGRESS, b""])
        store.batch_ids.finish("web", f"{number}", b"after")
        claims.clear()
        store.batch_ids.begin("web", f"{number}", 1, lambda claim, claims=claims: claims.extend(claim))  # type: ignore[misc]
        assert claims == [ClaimKind.DONE, b"after"]
