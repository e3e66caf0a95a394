from __future__ import annotations

from collections import Counter

from logops_fast.client.outbox import MAX_BATCH_BYTES, QUEUE_FULL, Outbox


def test_events_come_out_in_order_and_in_bounded_batches() -> None:
    box = Outbox(10, 1000)
    for number in range(5):
        assert box.put(b"%d" % number)
    assert box.take(3) == [b"0", b"1", b"2"]
    assert box.take(3) == [b"3", b"4"]
    assert box.take(3) == []


def test_what_does_not_fit_is_dropped_and_counted_and_what_is_out_still_takes_room() -> None:
    box = Outbox(2, 1000)
    assert [box.put(b"x") for _ in range(3)] == [True, True, False]
    taken = box.take(2)
    assert not box.put(b"x")
    box.settle(taken)
    assert box.put(b"x")
    assert box.dropped == Counter({QUEUE_FULL: 2})


def test_bytes_are_bounded_too() -> None:
    box = Outbox(10, 5)
    assert box.put(b"1234")
    assert not box.put(b"12")
    assert box.put(b"1")


def test_a_batch_is_bounded_in_bytes_but_never_empty() -> None:
    box = Outbox(10, 1 << 30)
    big = b"x" * (MAX_BATCH_BYTES + 1)
    for event in (big, b"a", b"b", big):
        box.put(event)
    assert box.take(10) == [big]
    assert box.take(10) == [b"a", b"b"]
    assert box.take(10) == [big]


def test_it_is_empty_once_all_is_settled() -> None:
    box = Outbox(10, 1000)
    box.put(b"x")
    batch = box.take(1)
    assert not box.empty
    assert box.unsettled == 1
    box.settle(batch, "refused")
    assert box.empty
    assert box.dropped == Counter({"refused": 1})


def test_what_is_abandoned_is_counted_once_though_it_is_settled_later() -> None:
    box = Outbox(10, 1000)
    box.put(b"x")
    box.put(b"y")
    batch = box.take(1)
    box.abandon("closed")
    box.settle(batch, "refused")
    assert box.dropped == Counter({"closed": 2})
    assert box.empty
