"""One batch on its way: every entry once, whatever the link and Loki do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logops_fast.backoff import Backoff
from logops_fast.shipper.answers import Answer, Effect, TimeLimits, answer_of
from logops_fast.shipper.delivery import MAX_REFUSALS, Ask, Delivery, Hold, Pause, Push
from logops_fast.shipper.entries import Entry, rfc3339_ns
from tests.loki.store import HOUR, SECOND, Limits, Store
from tests.loki.store import Answer as LokiAnswer
from tests.loki.wire import Pushed, decode_push
from tests.shipper.support import NOW, Held, Tally, World, encoded, line, made, seqs
from tests.support.tables import each_of

FAULTS = ("ok", "refused connection", "cut before", "cut after", "500 before", "500 after")


def delivery(entries: list[Entry], tally: Tally | None = None, **options: object) -> Delivery:
    settings: dict[str, object] = {
        "limits": TimeLimits(), "tally": tally or Tally(), "backoff": Backoff(0.5, 30), "settle": 1.0, **options,
    }  # fmt: skip
    return Delivery(entries, **settings)  # type: ignore[arg-type]


def store(**limits: object) -> Store:
    return Store(lambda: NOW, dataclasses.replace(Limits(), **limits))  # type: ignore[arg-type]


def fresh(n: int, **fields: object) -> list[Entry]:
    return made([line(rfc3339_ns(NOW - SECOND * n + at), n=at, **fields) for at in range(n)])


def test_a_batch_that_is_stored_is_pushed_once_and_not_asked_for() -> None:
    world = World(store())
    world.deliver(delivery(fresh(100)))
    assert (world.pushes, world.asked) == (1, 0)
    assert set(seqs(world.store).values()) == {1}
    assert len(seqs(world.store)) == 100


@pytest.mark.parametrize("fault", ["cut after", "500 after"])
def test_stored_and_then_cut_is_not_pushed_again(fault: str) -> None:
    # Blocks that were cut and shards that rotate: a blind second push would double every entry.
    world = World(store(block_size=1, shards=3), [fault])
    world.deliver(delivery(fresh(50)))
    assert world.pushes == 1
    assert set(seqs(world.store).values()) == {1}


def test_a_refused_connection_is_tried_again_without_a_question() -> None:
    world = World(store(), ["refused connection"] * 3)
    world.deliver(delivery(fresh(5)))
    assert (world.pushes, world.asked) == (4, 0)


def test_without_the_right_to_query_it_pushes_again_and_counts() -> None:
    tally = Tally()
    world = World(store(block_size=1), ["cut after"], may_query=False)
    world.deliver(delivery(fresh(5), tally))
    assert tally.counts["doubtful"] == 5
    assert set(seqs(world.store).values()) == {2}


def test_entries_that_loki_may_not_find_are_counted() -> None:
    tally = Tally()
    world = World(store(), ["cut before"])
    old = made([line(rfc3339_ns(NOW - 4 * HOUR))])
    world.deliver(delivery(old, tally, query_within=3 * HOUR))
    assert tally.counts["doubtful"] == 1


def test_refused_for_its_time_is_pushed_with_the_time_of_shipping() -> None:
    times = [NOW - 400 * HOUR, NOW - 2 * HOUR, NOW, NOW + HOUR, NOW - SECOND]
    entries = made([line(rfc3339_ns(ns), n=at) for at, ns in enumerate(times)])
    tally = Tally()
    world = World(store())
    world.deliver(delivery(entries, tally))
    assert set(seqs(world.store).values()) == {1}
    assert len(seqs(world.store)) == 5
    moved = {dict(e.metadata)["original_ts"] for e in world.store.entries() if "original_ts" in dict(e.metadata)}
    assert moved == {rfc3339_ns(NOW - 400 * HOUR), rfc3339_ns(NOW + HOUR)}
    assert tally.counts == {"retimed too_old": 1, "retimed too_new": 1}
    retimed = [e for e in world.store.entries() if "original_ts" in dict(e.metadata)]
    assert all('instance="m-0-retimed"' in e.labels for e in retimed)


def test_an_hour_behind_the_newest_of_its_stream_is_pushed_with_the_time_of_shipping() -> None:
    world = World(store())
    limits = TimeLimits()
    world.deliver(delivery(fresh(3), limits=limits))
    late = made([line(rfc3339_ns(NOW - 2 * HOUR - at), late=at) for at in range(40)], start=10_000)
    tally = Tally()
    world.deliver(delivery(late, tally, limits=limits))
    assert tally.counts == {"retimed too_far_behind": 40}
    assert len(world.store.entries()) == 43
    pushes = world.pushes
    # What was learned is used: the next ones are not tried at their own time.
    again = made([line(rfc3339_ns(NOW - 3 * HOUR - at), again=at) for at in range(40)], start=50_000)
    world.deliver(delivery(again, limits=limits))
    assert world.pushes == pushes + 1


def test_what_is_refused_alone_is_unshippable_and_its_neighbours_are_stored_once() -> None:
    lines = [line(rfc3339_ns(NOW - at), msg="x" * (3000 if at in (7, 60) else 10)) for at in range(100)]
    tally = Tally()
    world = World(store(max_line_size=2000))
    batch = delivery(made(lines), tally)
    world.deliver(batch)
    assert [refused.reason for refused in batch.refused] == ["line_too_long"] * 2
    assert tally.counts == {"refused line_too_long": 2}
    assert len(seqs(world.store)) == 98
    assert set(seqs(world.store).values()) == {1}


@each_of("year", [2263, 2400, 2611, 3058, 9999])
@each_of("fault", ["ok", "cut before", "cut after"])
def test_a_time_that_loki_cannot_hold_costs_its_neighbours_nothing(year: int, fault: str) -> None:
    tally = Tally()
    world = World(store(block_size=1), [fault])
    entries = [*fresh(50), *made([line(f"{year}-01-01T00:00:00Z", n=50)], start=100_000)]
    world.deliver(delivery(entries, tally, shipped=(NOW - HOUR, NOW + HOUR)))
    assert set(seqs(world.store).values()) == {1}
    assert len(seqs(world.store)) == 51
    assert tally.counts == {"retimed too_new": 1}


class Refusing(Store):
    """A Loki that refuses lines with ``word``, and does not say that it is for what they are."""

    def __init__(self, word: str, text: str) -> None:
        super().__init__(lambda: NOW, Limits(block_size=1, query_ingesters_within=0))
        self.word, self.text = word, text

    def push(self, streams: Iterable[tuple[str, list[Pushed]]]) -> LokiAnswer:
        given = list(streams)
        good = [(labels, [entry for entry in entries if self.word not in entry.line]) for labels, entries in given]
        answer = super().push([(labels, entries) for labels, entries in good if entries] or given[:0])
        refused = any(self.word in entry.line for _, entries in given for entry in entries)
        return LokiAnswer(400, self.text) if refused else answer


def held(batch: Delivery, world: World) -> str:
    """Why the batch is held."""
    with pytest.raises(Held) as hold:
        world.deliver(batch)
    return str(hold.value)


@pytest.mark.parametrize("count", [1, 2, 31, 300])
@pytest.mark.parametrize(
    "text", ["<html>Bad Request</html>", "stream '{}' includes structured metadata, but this feature is disallowed."]
)
def test_what_takes_nothing_makes_nothing_unshippable(count: int, text: str) -> None:
    tally = Tally()
    world = World(Refusing("", text))
    batch = delivery(fresh(count), tally)
    assert held(batch, world) == f"400 {text}"
    assert world.pushes <= MAX_REFUSALS
    assert not tally.counts
    # The same with the queries refused, and with 413.
    assert held(delivery(fresh(count), tally), World(Refusing("", text), may_query=False)) == f"400 {text}"
    batch = delivery(fresh(count), tally)
    for _ in range(MAX_REFUSALS + 1):
        if isinstance(batch.next(NOW), Hold):
            break
        batch.answered(answer_of(413, "too large"), NOW)
    assert batch.next(NOW) == Hold("413 too large")
    assert not tally.counts


@pytest.mark.parametrize("spoiled", [(0,), (99,), (0, 1, 2, 50), (40, 41)])
def test_a_refusal_that_is_not_understood_is_the_entries_own_if_others_are_taken(spoiled: tuple[int, ...]) -> None:
    tally = Tally()
    world = World(Refusing("spoiled", "a new rule of Loki's"))
    lines = [line(rfc3339_ns(NOW - at), msg="spoiled" if at in spoiled else "fine", n=at) for at in range(100)]
    batch = delivery(made(lines), tally)
    world.deliver(batch)
    assert tally.counts == {"refused other": len(spoiled)}
    assert len(seqs(world.store)) == 100 - len(spoiled)
    assert set(seqs(world.store).values()) == {1}


def test_every_line_too_long_is_unshippable_as_loki_says_what_is_wrong_with_it() -> None:
    tally = Tally()
    world = World(store(max_line_size=50))
    world.deliver(delivery(fresh(40), tally))
    assert tally.counts == {"refused line_too_long": 40}


def test_a_token_that_expires_after_an_unknown_outcome_doubles_nothing() -> None:
    tally = Tally()
    world = World(store(block_size=1, shards=3), ["cut after", "401"])
    world.may_query = False
    batch = delivery(fresh(20), tally)
    while world.pushes < 2:  # cut; may not ask; 401
        world.step(batch, batch.next(NOW))
    world.may_query = True
    world.deliver(batch)
    assert set(seqs(world.store).values()) == {1}
    assert not tally.counts


def test_a_clock_that_is_ahead_of_lokis_holds_the_batch() -> None:
    tally = Tally()
    batch = delivery(made([line(rfc3339_ns(NOW + 24 * HOUR))]), tally)
    world = World(store(), ahead=24 * HOUR)
    assert "clock" in held(batch, world)
    assert not seqs(world.store)
    assert "refused" not in " ".join(tally.counts)


def test_a_clock_that_was_set_back_retimes_after_the_newest() -> None:
    limits = TimeLimits()
    old = made([line(rfc3339_ns(NOW - 400 * HOUR), n=n) for n in range(30)])
    world = World(store())
    world.deliver(delivery(old, limits=limits))
    more = made([line(rfc3339_ns(NOW - 400 * HOUR), more=n) for n in range(30)], start=10_000)
    tally = Tally()
    world.ahead = -3 * HOUR  # this machine's clock is three hours behind now
    world.deliver(delivery(more, tally))
    assert set(seqs(world.store).values()) == {1}
    assert len(seqs(world.store)) == 60
    assert tally.counts == {"retimed too_old": 30}


def test_times_are_settled_from_the_text_where_it_may_not_query() -> None:
    times = [NOW - 400 * HOUR, NOW, NOW - SECOND]
    entries = made([line(rfc3339_ns(ns), n=at) for at, ns in enumerate(times)])
    tally = Tally()
    world = World(store(block_size=1), may_query=False)
    world.deliver(delivery(entries, tally))
    assert tally.counts == {"retimed too_old": 1}
    assert set(seqs(world.store).values()) == {1}


def test_too_large_a_push_is_halved_without_a_question() -> None:
    batch = delivery(fresh(4))
    sizes = []
    while (step := batch.next(NOW)) is not None:
        assert isinstance(step, Push)
        sizes.append(len(step.entries))
        batch.answered(Answer(Effect.TOO_LARGE if len(step.entries) > 1 else Effect.STORED), NOW)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]


def test_after_429_it_waits_as_long_as_it_is_asked_to() -> None:
    batch = delivery(fresh(2))
    assert isinstance(batch.next(NOW), Push)
    batch.answered(answer_of(429, "ingestion rate limit exceeded for user", 17.0), NOW)
    assert batch.next(NOW) == Pause(17.0)
    assert isinstance(batch.next(NOW), Push)


def test_after_429_of_a_stream_it_asks_first_as_a_part_may_be_stored() -> None:
    batch = delivery(fresh(2))
    assert isinstance(batch.next(NOW), Push)
    batch.answered(answer_of(429, "entry with timestamp ... Per stream rate limit exceeded"), NOW)
    assert isinstance(batch.next(NOW), Pause)
    assert isinstance(batch.next(NOW), Ask)


def test_pauses_grow_and_end_with_success() -> None:
    batch = delivery(fresh(1), backoff=Backoff(0.5, 30, jitter=0))
    pauses = []
    for _ in range(8):
        assert isinstance(batch.next(NOW), Push)
        batch.answered(Answer(Effect.UNREACHABLE), NOW)
        pause = batch.next(NOW)
        assert isinstance(pause, Pause)
        pauses.append(pause.seconds)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


@given(
    st.lists(st.sampled_from(FAULTS), max_size=12),
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, SECOND, 30 * SECOND, 2 * HOUR, 200 * HOUR, -5 * SECOND, -HOUR]),
            st.sampled_from(["a", "b", "x" * 3000]),
            st.sampled_from(["web", "batch"]),
            st.sampled_from(["INFO", "ERROR"]),
        ),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 500, 1 << 18]),
    st.booleans(),
)
def test_every_entry_once(
    faults: list[str], kinds: list[tuple[int, str, str, str]], shards: int, block: int, crashed: bool
) -> None:
    lines = [line(rfc3339_ns(NOW - back), msg=msg, emitter=emitter, level=level) for back, msg, emitter, level in kinds]
    entries = made(lines)
    world = World(store(shards=shards, block_size=block, max_line_size=2000, query_ingesters_within=0), faults)
    if crashed:
        # A process before this one pushed the first half and died before it noted that.
        world.store.push(decode_push(encoded(entries[: len(entries) // 2])))
    batch = delivery(entries, shipped=(NOW - SECOND, NOW + SECOND) if crashed else None)
    world.deliver(batch)
    stored = seqs(world.store)
    unshippable = {refused.entry.offset for refused in batch.refused}
    assert set(stored.values()) <= {1}
    assert len(stored) + len(unshippable) == len(entries)
    assert all(len(refused.entry.line) > 2000 for refused in batch.refused)
