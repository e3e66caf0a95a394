"""The way of lines downstream, over a clock and a downstream that answer when the test says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.authgw.syslog.framer import MAX_LINES, Segment
from logops_fast.authgw.syslog.lane import FULL, GATHER, HIGH_WATER, LOW_WATER, MAX_UDP_BYTES, Lane, Shared
from logops_fast.authgw.syslog.metrics import SyslogMetrics
from logops_fast.authgw.token_bucket import EmitterBuckets, Limit
from logops_fast.backoff import Backoff
from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.http.refusal import Reason, Refusal
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import open_memory
from logops_fast.telemetry.registry import Registry

STORED = Reply(200, b"{}", (), None)


class Sender:
    """A connection: what of its lines waits."""

    def __init__(self) -> None:
        self.released_bytes = 0

    def released(self, size: int) -> None:
        self.released_bytes += size


class Way:
    """A lane, the batches that it sent, and the callbacks that it waits for."""

    def __init__(self, *, udp: bool = False, limit: Limit = Limit(1_000_000, 1000), repeatable: bool = False) -> None:  # noqa: B008
        self.batches: list[Batch] = []
        self.replies: list[Callable[[Reply], None]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.registry = Registry()
        self.now = 0.0
        state = open_memory(300, Caps(max_nonces=10, max_buckets=50), wall=lambda: self.now, clock=lambda: self.now)
        self.buckets = EmitterBuckets(state.buckets, limit, {})
        self.shared = Shared(
            self,
            self.buckets,
            SyslogMetrics(self.registry),
            AuthMetrics(self.registry, ["web"]),
            lambda delay, callback: self.later.append((delay, callback)),
            repeatable=repeatable,
            backoff=Backoff(0.1, 2.0, jitter=0.0),
        )
        self.lane = Lane(self.shared, "web", udp=udp)
        self.sender = Sender()

    def send(self, batch: Batch, reply: Callable[[Reply], None]) -> None:
        self.batches.append(batch)
        self.replies.append(reply)

    def put(self, lines: int = 1, text: bytes = b"<34>x\n") -> None:
        self.lane.put(Segment(text * lines, lines), self.sender)

    def reply(self, reply: Reply = STORED) -> None:
        self.replies.pop(0)(reply)

    def tick(self) -> float:
        """Run the next callback; return the delay that it was asked for with."""
        delay, callback = self.later.pop(0)
        self.now += delay
        callback()
        return delay

    def dropped(self) -> dict[tuple[str, ...], float]:
        return {labels: n for labels, (n,) in self.registry.sums("logops_syslog_dropped_total").items() if n}


def test_lines_are_gathered_and_sent_as_one_batch() -> None:
    way = Way()
    way.put()
    way.put(2)
    assert way.batches == []
    assert way.tick() == GATHER
    (batch,) = way.batches
    assert (batch.body, batch.items, batch.emitter) == (b"<34>x\n" * 3, 3, "web")
    assert (batch.format, batch.repeatable) == (Format.SYSLOG, False)
    assert way.sender.released_bytes == 0
    way.reply()
    assert way.sender.released_bytes == len(batch.body)
    assert way.lane.idle


@pytest.mark.parametrize(("lines", "text"), [(MAX_LINES, b"<34>x\n"), (2, b"<34>" + b"x" * (FULL // 2) + b"\n")])
def test_many_lines_wait_for_no_others(lines: int, text: bytes) -> None:
    way = Way()
    way.put(lines, text)
    assert len(way.batches) == 1


def test_one_batch_is_in_flight_at_a_time_and_lines_keep_their_order() -> None:
    way = Way()
    for number in range(5):
        way.put(MAX_LINES, b"<34>%d\n" % number)
    assert len(way.batches) == 1
    while way.replies:
        way.reply()
        while way.later:
            way.tick()
    assert [batch.body[:6] for batch in way.batches] == [b"<34>%d\n" % number for number in range(5)]
    assert way.lane.idle


def test_a_downstream_that_answers_at_once_makes_no_deep_stack() -> None:
    way = Way()
    way.send = lambda batch, reply: (way.batches.append(batch), reply(STORED))[1]  # type: ignore[method-assign,func-returns-value]
    for _ in range(3000):
        way.put(MAX_LINES)
        while way.later:
            way.tick()
    assert len(way.batches) == 3000


def test_a_name_is_given_to_batches_that_cross_a_network() -> None:
    way = Way(repeatable=True)
    way.put(MAX_LINES)
    way.reply(Reply.of(Refusal(503, "downstream_timeout", "No.", 1)))
    way.tick()
    assert way.batches[0].repeatable
    assert way.batches[0] == way.batches[1]


@pytest.mark.parametrize("reason", ["sink_failed", "sink_stalled", "circuit_open", "overloaded", "batch_in_progress"])
def test_what_is_not_stored_is_sent_again_and_its_senders_wait(reason: Reason) -> None:
    way = Way()
    way.put(MAX_LINES)
    waits = []
    for _ in range(8):
        way.reply(Reply.of(Refusal(503, reason, "No.", 1)))
        waits.append(way.tick())
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert way.sender.released_bytes == 0
    way.reply()
    assert way.sender.released_bytes == len(way.batches[0].body)
    assert way.dropped() == {}


@pytest.mark.parametrize(
    ("reply", "dropped"),
    [
        (Reply.of(Refusal(422, "no_valid_events", "None.")), {}),
        (Reply.of(Refusal(400, "empty", "Blank.")), {}),
        (Reply.of(Refusal(415, "unsupported_media_type", "An old gateway.")), {("tcp", "refused"): MAX_LINES}),
    ],
)
def test_what_will_never_be_stored_is_not_sent_again(reply: Reply, dropped: dict[tuple[str, str], int]) -> None:
    way = Way()
    way.put(MAX_LINES)
    way.reply(reply)
    assert way.lane.idle
    assert way.sender.released_bytes > 0
    assert way.dropped() == dropped


def test_a_message_that_the_gateway_fails_on_holds_up_no_other() -> None:
    way = Way()
    lines = [b"<34>%d\n" % number for number in range(100)]
    way.lane.put(Segment(b"".join(lines), 100), way.sender)
    stored = []
    while way.replies or way.later:
        if not way.replies:
            way.tick()
        elif lines[37] in way.batches[-1].body:
            way.reply(Reply.of(Refusal(500, "internal_error", "A defect.")))
        else:
            stored.append(way.batches[-1].body)
            way.reply()
    assert b"".join(stored) == b"".join(lines[:37] + lines[38:])
    assert way.dropped() == {("tcp", "refused"): 1}
    assert way.sender.released_bytes == sum(map(len, lines))
    assert way.lane.idle
    assert len(way.batches) < 50


def test_lines_of_a_connection_wait_for_their_bucket() -> None:
    way = Way(limit=Limit(1000, 1000))
    way.put(1000)
    way.put(1000)
    way.reply()
    way.tick()
    assert len(way.batches) == 1, "the bucket is empty"
    assert way.tick() == 1.0
    assert len(way.batches) == 2
    assert way.dropped() == {}


def test_a_small_bucket_gets_small_batches() -> None:
    way = Way(limit=Limit(300, 1_000_000))
    way.put(700)
    while way.replies or way.later:
        if way.replies:
            way.reply()
        else:
            way.tick()
    assert [batch.items for batch in way.batches] == [300, 300, 100]
    assert b"".join(batch.body for batch in way.batches) == b"<34>x\n" * 700


def test_a_bucket_of_requests_says_nothing_of_lines() -> None:
    way = Way(limit=Limit(2, 1))
    way.buckets.replace_limits(Limit(2, 1), {}, "requests")
    way.put(700)
    while way.replies or way.later:
        if way.replies:
            way.reply()
        else:
            way.tick()
    assert [batch.items for batch in way.batches] == [700]


def test_a_line_that_no_bucket_can_hold_is_dropped_and_counted() -> None:
    way = Way(limit=Limit(10, 1))
    way.put(1, b"<34>" + b"x" * 20_000 + b"\n")
    way.put(1)
    way.tick()
    way.tick()
    assert [batch.body for batch in way.batches] == [b"<34>x\n"]
    assert way.dropped() == {("tcp", "too_large_for_bucket"): 1}


def test_the_charge_is_settled_with_what_was_counted() -> None:
    way = Way(limit=Limit(1000, 0.001))
    way.put(1000, b"<34>x\n")
    way.reply(Reply(200, b"{}", (), 400))
    seen: list[int] = []
    way.buckets.take("web", 0, lambda grant: seen.append(grant.remaining))
    assert seen == [600]


def test_datagrams_are_dropped_where_connections_wait() -> None:
    way = Way(udp=True, limit=Limit(1000, 0.001))
    way.put(1000)
    way.put(1000)
    way.reply()
    way.tick()
    assert way.dropped() == {("udp", "rate_limited"): 1000}
    assert way.registry.sums("logops_ratelimit_denied_events_total")[("web",)] == (1000,)
    assert way.batches[0].format is Format.SYSLOG_UDP
    # What is only said to be the emitter's does not use up what it may send.
    seen: list[int] = []
    way.buckets.take("web", 0, lambda grant: seen.append(grant.remaining))
    assert seen == [1000]


def test_datagrams_that_wait_for_a_sink_are_bounded() -> None:
    way = Way(udp=True)
    big = b"<34>" + b"x" * 60_000 + b"\n"
    for _ in range(2 * MAX_UDP_BYTES // len(big)):
        way.put(1, big)
    assert way.lane.bytes <= MAX_UDP_BYTES
    assert way.dropped()[("udp", "overloaded")] >= MAX_UDP_BYTES // len(big)


def test_all_connections_are_held_while_too_much_waits() -> None:
    way = Way()
    held: list[bool] = []
    way.shared.on_held = held.append
    chunk = b"<34>" + b"x" * 100_000 + b"\n"
    while not held:
        way.put(1, chunk)
    assert HIGH_WATER < way.shared.waiting <= HIGH_WATER + len(chunk)
    while held == [True]:
        way.reply()
        while way.later:
            way.tick()
    assert held == [True, False]
    assert way.shared.waiting <= LOW_WATER


def test_in_a_drain_nothing_is_gathered() -> None:
    way = Way()
    way.lane.draining = True
    way.put()
    assert len(way.batches) == 1
    assert not way.lane.idle
