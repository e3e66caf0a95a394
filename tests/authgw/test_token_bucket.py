from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import pytest

from logops_fast.authgw.token_bucket import (
    MAX_BLOCKED_PEERS,
    MAX_LOCAL_BUCKETS,
    AuthFailureLimiter,
    BucketGrant,
    EmitterBuckets,
    Limit,
)
from logops_fast.state.interface import BUCKET_UNAVAILABLE, BucketStore, BucketVerdict
from logops_fast.state.local_store import Caps
from logops_fast.state.memory import open_memory

SMALL = Limit(100, 10)


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


class Gone:
    """A store that does not answer."""

    def take(
        self, key: bytes, cost: float, capacity: float, refill_per_sec: float, done: Callable[[BucketVerdict], None]
    ) -> None:
        done(BUCKET_UNAVAILABLE)

    def give(self, key: bytes, amount: float, capacity: float, refill_per_sec: float) -> None:
        raise AssertionError("what was taken from the local bucket goes back to it")

    def peek(self, key: bytes, capacity: float, refill_per_sec: float, done: Callable[[BucketVerdict], None]) -> None:
        done(BUCKET_UNAVAILABLE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> BucketStore:
    return open_memory(300, Caps(max_nonces=1000, max_buckets=20_000), clock=clock).buckets


def take(buckets: EmitterBuckets, emitter: str, items: int) -> BucketGrant:
    grants: list[BucketGrant] = []
    buckets.take(emitter, items, grants.append)
    (grant,) = grants
    return grant


def test_a_batch_costs_its_events_and_the_answer_says_what_is_left(store: BucketStore) -> None:
    grant = take(EmitterBuckets(store, SMALL, {}), "web", 30)
    assert grant.refusal is None
    assert grant.lines == b"x-ratelimit-limit: 100\r\nx-ratelimit-remaining: 70\r\n"


def test_an_empty_bucket_says_when_the_batch_would_fit(store: BucketStore, clock: Clock) -> None:
    buckets = EmitterBuckets(store, SMALL, {})
    take(buckets, "web", 95)
    refusal = take(buckets, "web", 30).refusal
    assert refusal is not None
    assert (refusal.status, refusal.reason, refusal.retry_after) == (429, "rate_limited", 3)
    clock.now += refusal.retry_after
    assert take(buckets, "web", 30).refusal is None


def test_retry_after_is_never_zero(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, Limit(100, 10_000), {})
    take(buckets, "web", 100)
    refusal = take(buckets, "web", 1).refusal
    assert refusal is not None
    assert refusal.retry_after == 1


def test_a_batch_larger_than_the_bucket_is_refused_with_what_fits(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, SMALL, {})
    refusal = take(buckets, "web", 101).refusal
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (413, "too_many_items")
    assert "holds 100, so it can never pass: split the batch" in refusal.detail
    assert take(buckets, "web", 100).refusal is None, "the refused one took nothing"


@pytest.mark.parametrize(
    ("items", "size", "cost"),
    [(0, 0, 0), (1, 1, 1), (1, 1023, 1), (1, 2047, 1), (1, 2048, 2), (1, 16 << 20, 16_384), (100, 99 << 10, 100)],
)
def test_a_few_huge_events_cost_what_they_weigh(store: BucketStore, items: int, size: int, cost: int) -> None:
    assert EmitterBuckets(store, SMALL, {}).cost(items, size) == cost
    assert EmitterBuckets(store, SMALL, {}, "requests").cost(items, size) == 1


def test_the_largest_batch_is_what_a_full_bucket_pays_for(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, SMALL, {"csv": Limit(7, 1)})
    assert buckets.largest("web") == (100, 100 * 1024)
    assert buckets.largest("csv") == (7, 7 * 1024)
    assert EmitterBuckets(store, SMALL, {}, "requests").largest("web") == (sys.maxsize, sys.maxsize)


def test_emitters_have_buckets_of_their_own_and_overrides_their_size(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, SMALL, {"csv": Limit(1000, 100)})
    assert take(buckets, "web", 100).refusal is None
    assert take(buckets, "api", 100).refusal is None
    grant = take(buckets, "csv", 900)
    assert grant.refusal is None
    assert grant.limit == 1000


def test_where_requests_are_counted_a_batch_costs_one(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, Limit(2, 0.1), {}, "requests")
    grant = take(buckets, "web", buckets.cost(5000, 0))
    assert grant.remaining == 1
    assert buckets.settle("web", grant, 1, buckets.cost(0, 0)) == grant
    assert take(buckets, "web", buckets.cost(5000, 0)).refusal is None
    assert take(buckets, "web", buckets.cost(1, 0)).refusal is not None


def test_an_estimate_is_settled_both_ways(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, SMALL, {})
    grant = take(buckets, "web", 60)
    assert buckets.settle("web", grant, 60, 20).remaining == 80
    assert take(buckets, "web", 0).remaining == 80
    grant = take(buckets, "web", 10)
    assert buckets.settle("web", grant, 10, 90).remaining == 0
    refusal = take(buckets, "web", 1).refusal
    assert refusal is not None
    assert refusal.retry_after == 2  # 70 - 80 = -10, and one more


def test_a_reload_changes_the_limits_and_keeps_what_was_taken(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, SMALL, {})
    take(buckets, "web", 100)
    buckets.replace_limits(Limit(200, 10), {}, "events")
    assert take(buckets, "web", 1).refusal is not None
    assert buckets.limit_of("web").capacity == 200


def test_without_the_store_each_worker_limits_by_itself(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    counted: list[None] = []
    buckets = EmitterBuckets(Gone(), SMALL, {}, on_local=lambda: counted.append(None), clock=clock)
    with caplog.at_level(logging.WARNING):
        grant = take(buckets, "web", 60)
        assert grant.refusal is None
        assert grant.remaining == 40
        assert take(buckets, "web", 60).refusal is not None
        buckets.settle("web", grant, 60, 30)
        assert take(buckets, "web", 60).refusal is None
        clock.now += 10
        assert take(buckets, "web", 100).refusal is None
    assert len(counted) == 4
    assert len(caplog.records) == 1


def test_local_buckets_do_not_grow_without_end(clock: Clock) -> None:
    buckets = EmitterBuckets(Gone(), SMALL, {}, clock=clock)
    for number in range(MAX_LOCAL_BUCKETS + 10):
        take(buckets, f"e-{number}", 1)
    assert len(buckets._local._held) <= MAX_LOCAL_BUCKETS


def fail(limiter: AuthFailureLimiter, peer: str, times: int) -> None:
    for _ in range(times):
        limiter.failed(peer)


def test_a_peer_that_fails_too_often_is_refused_and_only_that_peer(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(5, 0.5), clock=clock)
    fail(limiter, "10.0.0.1", 4)
    assert limiter.check("10.0.0.1") is None
    fail(limiter, "10.0.0.1", 1)
    refusal = limiter.check("10.0.0.1")
    assert refusal is not None
    assert (refusal.status, refusal.reason, refusal.retry_after) == (429, "auth_failures", 2)
    assert limiter.check("10.0.0.2") is None
    clock.now += 2
    assert limiter.check("10.0.0.1") is None
    fail(limiter, "10.0.0.1", 1)
    assert limiter.check("10.0.0.1") is not None


def test_failures_at_one_worker_count_at_the_next(store: BucketStore, clock: Clock) -> None:
    one, other = (AuthFailureLimiter(store, Limit(5, 0.5), clock=clock) for _ in range(2))
    fail(one, "10.0.0.1", 5)
    assert other.check("10.0.0.1") is None
    fail(other, "10.0.0.1", 1)
    assert other.check("10.0.0.1") is not None


def test_guessing_is_held_to_the_rate_in_the_long_run(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(10, 2), clock=clock)
    tries = 0
    for _ in range(1000):
        if limiter.check("10.0.0.1") is None:
            limiter.failed("10.0.0.1")
            tries += 1
        clock.now += 0.1
    assert 10 + 2 * 100 - 5 <= tries <= 10 + 2 * 100 + 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1%eth0", "2001:db8::1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("not:an:address", "not:an:address", True),
        ("", "", True),
    ],
)
def test_a_sender_cannot_change_its_address_within_its_own_network(
    store: BucketStore, clock: Clock, one: str, other: str, same: bool
) -> None:
    limiter = AuthFailureLimiter(store, Limit(1, 0.1), clock=clock)
    limiter.failed(one)
    assert (limiter.check(other) is not None) is same


def test_guessing_is_slow_without_the_store_too(clock: Clock) -> None:
    limiter = AuthFailureLimiter(Gone(), Limit(5, 0.5), clock=clock)
    fail(limiter, "10.0.0.1", 5)
    assert limiter.check("10.0.0.1") is not None


def test_the_peers_refused_do_not_grow_without_end(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(1, 0.01), clock=clock)
    for number in range(MAX_BLOCKED_PEERS + 10):
        limiter.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter._blocked) <= MAX_BLOCKED_PEERS


def test_a_failure_of_an_emitter_s_name_is_not_its_bucket(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(1, 0.01), clock=clock)
    limiter.failed("web")
    assert take(EmitterBuckets(store, SMALL, {}), "web", 100).refusal is None


def test_no_one_waits_for_more_than_a_day(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, Limit(100, 0.0001), {})
    take(buckets, "web", 100)
    refusal = take(buckets, "web", 100).refusal
    assert refusal is not None
    assert refusal.retry_after == 86_400


def test_a_refusal_says_what_the_bucket_has_and_nothing_below_none(store: BucketStore) -> None:
    buckets = EmitterBuckets(store, SMALL, {})
    grant = take(buckets, "web", 100)
    refusal = take(buckets, "web", 30).refusal
    assert refusal is not None
    assert refusal.detail.startswith("The emitter's bucket has 0 of the 30 events")
    buckets.settle("web", grant, 100, 200)  # a debt
    refusal = take(buckets, "web", 30).refusal
    assert refusal is not None
    assert refusal.detail.startswith("The emitter's bucket has 0 of the 30 events")


def test_as_many_local_buckets_as_are_kept_are_kept(clock: Clock) -> None:
    buckets = EmitterBuckets(Gone(), SMALL, {}, clock=clock)
    for number in range(MAX_LOCAL_BUCKETS):
        take(buckets, f"e-{number}", 100)
    assert take(buckets, "e-0", 1).refusal is not None
    take(buckets, "one more", 1)
    assert take(buckets, "e-0", 1).refusal is None


def test_as_many_blocked_peers_as_are_kept_are_kept(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(1, 0.01), clock=clock)
    for number in range(MAX_BLOCKED_PEERS):
        limiter.failed(f"peer-{number}")
    assert limiter.check("peer-0") is not None
    limiter.failed("one more")
    assert limiter.check("peer-0") is None
    assert limiter.check("peer-1") is not None
    assert limiter.check(f"peer-{MAX_BLOCKED_PEERS - 1}") is not None


def test_the_one_that_failed_longest_ago_makes_room(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(1, 0.01), clock=clock)
    for number in range(MAX_BLOCKED_PEERS):
        limiter.failed(f"peer-{number}")
    limiter.failed("peer-0")
    limiter.failed("one more")
    assert limiter.check("peer-0") is not None
    assert limiter.check("peer-1") is None


def test_what_has_run_out_is_forgotten(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(1, 0.1), clock=clock)
    limiter.failed("10.0.0.1")
    clock.now += 10
    assert limiter.check("10.0.0.1") is None
    assert limiter._blocked == {}


def test_a_bucket_that_holds_just_one_try_more_blocks_no_one(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(2, 0.1), clock=clock)
    limiter.failed("10.0.0.1")
    assert limiter.check("10.0.0.1") is None
    assert limiter._blocked == {}


def test_an_ipv6_sender_is_known_by_eight_bytes(store: BucketStore, clock: Clock) -> None:
    limiter = AuthFailureLimiter(store, Limit(1, 0.1), clock=clock)
    limiter.failed("2001:db8:1:2:3::1")
    assert limiter.check("2001:db8:1:2:ff00::1") is not None
