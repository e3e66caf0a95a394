from __future__ import annotations

import pytest

from logops_fast.ingest.sink.gathering import LARGE_BYTES
from logops_fast.ingest.sink.group_writer import Group
from logops_fast.ingest.sink.waiting import WaitingBatch, WaitingBatches
from tests.ingest.sink.support import DAY, NOON, entry


class Clocks:
    """A wall clock and a monotonic one, both set by hand."""

    def __init__(self) -> None:
        self.wall = NOON
        self.monotonic = 5.0


def no_one(_ok: bool) -> None:
    raise AssertionError("nothing is stored")


def waiting(clocks: Clocks) -> WaitingBatches:
    return WaitingBatches(lambda: clocks.wall, lambda: clocks.monotonic)


def taken(queue: WaitingBatches) -> tuple[Group, list[WaitingBatch]]:
    group, batches = Group(queue.batches[0].day), list[WaitingBatch]()
    queue.take(group, batches)
    return group, batches


def test_a_group_has_what_waits_in_its_order() -> None:
    queue = waiting(Clocks())
    queue.add(b"a\n", b"r\n", None, no_one)
    queue.add(b"b\n", b"", entry(1), no_one)
    group, batches = taken(queue)
    assert (group.day, group.data, group.rejected, len(group.entries)) == (DAY, [b"a\n", b"b\n"], [b"r\n"], 1)
    assert [batch.lines for batch in batches] == [b"a\n", b"b\n"]
    assert not queue.batches


def test_a_group_is_of_one_day() -> None:
    clocks = Clocks()
    queue = waiting(clocks)
    queue.add(b"a\n", b"", None, no_one)
    clocks.wall += 43_199.0
    queue.add(b"b\n", b"", None, no_one)
    clocks.wall += 1.0
    queue.add(b"c\n", b"", None, no_one)
    clocks.wall -= 1.0  # the clock is set back
    queue.add(b"d\n", b"", None, no_one)
    groups = [taken(queue)[0] for _ in range(3)]
    assert [(group.day, group.data) for group in groups] == [
        (DAY, [b"a\n", b"b\n"]),
        ("20241127", [b"c\n"]),
        (DAY, [b"d\n"]),
    ]


def test_a_large_batch_is_a_group_and_the_small_ones_go_next() -> None:
    queue = waiting(Clocks())
    large = b"x" * LARGE_BYTES + b"\n"
    for lines in (large, b"a\n", large, b"b\n"):
        queue.add(lines, b"", None, no_one)
    assert [taken(queue)[0].data for _ in range(3)] == [[large], [b"a\n", b"b\n"], [large]]


def test_whether_a_group_is_large_counts_the_rejected_lines() -> None:
    queue = waiting(Clocks())
    for rejected in (b"x" * LARGE_BYTES + b"\n", b""):
        queue.add(b"a\n", rejected, None, no_one)
    assert [queue.take(Group(DAY), []) for _ in range(2)] == [True, False]


def test_each_batch_waits_since_it_came() -> None:
    """Also beside large ones, of which some wait at each moment."""
    clocks = Clocks()
    queue = waiting(clocks)
    large = b"x" * LARGE_BYTES + b"\n"
    for lines in (large, b"a\n", large):
        queue.add(lines, b"", None, no_one)
        clocks.monotonic += 1.0
    assert [[batch.since for batch in taken(queue)[1]] for _ in range(3)] == [[5.0], [6.0], [7.0]]


def test_what_is_put_back_comes_first_and_has_waited_as_long_as_before() -> None:
    clocks = Clocks()
    queue = waiting(clocks)
    for lines in (b"a\n", b"b\n"):
        queue.add(lines, b"", None, no_one)
    _, batches = taken(queue)
    clocks.monotonic += 9.0
    queue.add(b"c\n", b"", None, no_one)
    queue.put_back(batches)
    group, batches = taken(queue)
    assert group.data == [b"a\n", b"b\n", b"c\n"]
    assert [batch.since for batch in batches] == [5.0, 5.0, 14.0]


@pytest.mark.interpreted  # a subclass of what is native otherwise
def test_a_batch_that_cannot_be_added_to_its_group_is_not_lost() -> None:
    class Full(Group):
        def add(self, lines: bytes, rejected: bytes, entry: bytes | None) -> None:
            if self.size:
                raise MemoryError
            super().add(lines, rejected, entry)

    queue = waiting(Clocks())
    for lines in (b"a\n", b"b\n", b"c\n"):
        queue.add(lines, b"", None, no_one)
    batches: list[WaitingBatch] = []
    with pytest.raises(MemoryError):
        queue.take(Full(DAY), batches)
    assert [batch.lines for batch in [*batches, *queue.batches]] == [b"a\n", b"b\n", b"c\n"]
