from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.ingest.sink.gathering import LARGE_BYTES, MAX_GROUP_BYTES, move_group


@dataclass
class Batch:
    name: int
    size: int
    day: str = "2026-01-01"


def batches(*sizes: int) -> deque[Batch]:
    return deque(Batch(name, size) for name, size in enumerate(sizes))


def next_group(pending: deque[Batch], *, after_large: bool) -> list[Batch]:
    group: list[Batch] = []
    move_group(pending, group, after_large=after_large)
    return group


def names(group: list[Batch]) -> list[int]:
    return [batch.name for batch in group]


LARGE = LARGE_BYTES + 1


def test_small_batches_go_together_up_to_a_size() -> None:
    pending = batches(1, LARGE_BYTES, 2, *[LARGE_BYTES] * 9)
    group = next_group(pending, after_large=False)
    assert names(group) == list(range(10))
    assert sum(batch.size for batch in group) >= MAX_GROUP_BYTES > sum(batch.size for batch in group[:-1])
    assert names(list(pending)) == [10, 11]


def test_a_small_batch_waits_for_one_large_batch_at_most() -> None:
    pending = batches(LARGE, LARGE, 1, LARGE, 2)
    assert names(next_group(pending, after_large=False)) == [0]
    pending.append(Batch(5, 3))
    assert names(next_group(pending, after_large=True)) == [2, 4, 5]


def test_a_large_batch_waits_for_one_group_of_small_ones() -> None:
    pending = batches(1, LARGE, 2)
    assert names(next_group(pending, after_large=False)) == [0, 2]
    pending.append(Batch(3, 1))
    assert names(next_group(pending, after_large=False)) == [1]
    assert names(next_group(pending, after_large=True)) == [3]


def test_large_batches_go_one_by_one() -> None:
    pending = batches(LARGE, LARGE)
    assert names(next_group(pending, after_large=True)) == [0]
    assert names(next_group(pending, after_large=True)) == [1]


def test_a_group_is_of_one_day_and_none_is_overtaken_by_a_later_day() -> None:
    pending = batches(LARGE, 1)
    pending.append(Batch(2, 1, "2026-01-02"))
    assert names(next_group(pending, after_large=True)) == [1]
    assert names(next_group(pending, after_large=False)) == [0]
    assert names(next_group(pending, after_large=True)) == [2]


@given(st.lists(st.tuples(st.sampled_from([1, LARGE_BYTES, LARGE]), st.booleans()), min_size=1, max_size=30))
def test_each_batch_is_taken_once_and_equals_stay_in_order(given_batches: list[tuple[int, bool]]) -> None:
    pending: deque[Batch] = deque()
    day = 1
    for name, (size, is_next_day) in enumerate(given_batches):
        day += is_next_day
        pending.append(Batch(name, size, f"2026-01-{day:02}"))
    whole = list(pending)
    taken: list[Batch] = []
    after_large = False
    while pending:
        group = next_group(pending, after_large=after_large)
        assert len({batch.day for batch in group}) == 1
        after_large = group[0].size > LARGE_BYTES
        assert len(group) == 1 or not any(batch.size > LARGE_BYTES for batch in group)
        taken += group
    assert sorted(names(taken)) == names(whole)
    assert [batch.day for batch in taken] == [batch.day for batch in whole]
    for large in (False, True):
        assert [b for b in taken if (b.size > LARGE_BYTES) is large] == [
            b for b in whole if (b.size > LARGE_BYTES) is large
        ]


@pytest.mark.interpreted  # compiled code appends to the list itself
def test_without_memory_no_batch_is_lost() -> None:
    class Full(list[Batch]):
        def append(self, batch: Batch) -> None:
            if len(self) == 2:
                raise MemoryError
            super().append(batch)

    pending, group = batches(1, LARGE, 2, LARGE, 3, 4), Full()
    with pytest.raises(MemoryError):
        move_group(pending, group, after_large=False)
    assert names(group) == [0, 2]
    assert names(list(pending)) == [1, 3, 4, 5]
