from __future__ import annotations

import pytest

from logops_fast.state.arena import Arena
from logops_fast.state.interface import MAX_ANSWER_BYTES
from logops_fast.state.memory import memory_table
from logops_fast.state.table import Geometry, Table

KEY = b"k" * 16


@pytest.fixture
def table() -> Table:
    return memory_table(Geometry(b"test", 1, "Q", 3, 16 * 1024))


def test_answers_are_read_where_they_were_put(table: Table) -> None:
    arena = Arena(table, 0)
    positions = [arena.append(KEY, b"%d" % number * number) for number in range(20)]
    assert 0 not in positions
    assert [arena.read(KEY, position) for position in positions] == [b"%d" % n * n for n in range(20)]


def test_the_ring_holds_the_newest_answers_however_often_it_came_round(table: Table) -> None:
    arena = Arena(table, 0)
    positions = [(arena.append(KEY, b"%d" % number * 30), b"%d" % number * 30) for number in range(1000, 3000)]
    assert all(arena.read(KEY, position) == answer for position, answer in positions[-100:])
    old = [arena.read(KEY, position) == answer for position, answer in positions[:-200]]
    assert not any(old)


def test_an_answer_is_for_its_own_key(table: Table) -> None:
    arena = Arena(table, 0)
    position = arena.append(KEY, b"answer")
    assert arena.read(b"x" * 16, position) is None


def test_an_answer_cut_short_by_a_kill_reads_as_lost(table: Table) -> None:
    arena = Arena(table, 0)
    position = arena.append(KEY, b"answer" * 10)
    table.extra[position + 40 : position + 44] = b"\0\0\0\0"
    assert arena.read(KEY, position) is None


@pytest.mark.parametrize("position", [0, 1, 16 * 1024 - 8, 16 * 1024 - 7, 16 * 1024, 1 << 63])
def test_a_position_that_is_none_reads_as_lost(table: Table, position: int) -> None:
    table.extra[:] = b"\xff" * len(table.extra)
    assert Arena(table, 0).read(KEY, position) is None


@pytest.mark.parametrize("head", [1, 7, 16 * 1024, 1 << 63])
def test_a_damaged_head_does_no_harm(table: Table, head: int) -> None:
    arena = Arena(table, 0)
    table.words[0] = head
    position = arena.append(KEY, b"x" * MAX_ANSWER_BYTES)
    assert arena.read(KEY, position) == b"x" * MAX_ANSWER_BYTES
