"""The door without a process: the ten checks in their order, over stores that answer when the test lets them."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any

import pytest

from logops_fast.authgw.token_bucket import Limit
from logops_fast.formats.batch import Reply
from logops_fast.state.interface import NonceVerdict
from tests.authgw.doors import BODY, Door, headers_of

# The order of the checks: a request that fails many is refused for the first, whatever the store answers.


def test_the_first_check_that_fails_is_answered(door: Door) -> None:
    """A request with every fault there is, of which one after another is taken away."""
    assert door.post(nonce="used-before-1").deliver().verdict == (200, "")
    faults: dict[str, dict[str, Any]] = {
        "too_large_hdr": {"declared": 20_000},
        "unknown_client": {"key": "nobody"},
        "clock_skew": {"timestamp": "5"},
        "bad_signature": {"secret": "wrong"},
        "replay": {"nonce": "used-before-1"},
        "emitter_not_allowed": {"extra": {"X-Emitter": "boss", "Content-Type": "image/png"}},
        "unsupported_media_type": {"extra": {"Content-Type": "image/png"}},
        "bad_content_sha256": {"signed_body": b"another"},
        "too_many_items": {"body": b"[" + b"1," * 60 + b"1]"},
    }
    seen = []
    for done in range(len(faults)):
        options: dict[str, Any] = {}
        for fault in reversed(list(faults.values())[done:]):
            options |= fault
        sending = door.post(**options)
        seen.append((sending if sending.wire.responses else sending.deliver()).verdict[1])
    assert seen == list(faults)
    assert len(door.batches) == 1


def test_a_body_fails_by_its_digest_then_by_its_encoding_then_by_its_items_then_by_its_bucket(door: Door) -> None:
    many = b"[" + b",".join([b"1"] * 51) + b"]"
    packed = gzip.compress(many)
    gz = {"Content-Encoding": "gzip"}
    assert door.post(b"not gzip", signed_body=b"other", extra=gz).deliver().verdict == (401, "bad_content_sha256")
    assert door.post(b"not gzip", extra=gz).deliver().verdict == (400, "malformed")
    assert door.post(packed, extra=gz).deliver().verdict == (413, "too_many_items")
    forty = b"[" + b",".join([b"1"] * 40) + b"]"
    door.reply = Reply(200, b"{}", (), 40)
    assert [door.post(forty).deliver().verdict for _ in range(3)] == [(200, "")] * 2 + [(429, "rate_limited")]


def test_no_body_is_taken_before_the_nonce_is_known_to_be_new(door: Door) -> None:
    door.deferred.deferring = True
    sending = door.post()
    assert not sending.wants_body
    assert door.deferred.release() == 1
    assert sending.wants_body
    sending.deliver(pieces=7)
    assert sending.verdict == (0, "no answer")
    assert door.batches == []
    assert door.deferred.release() == 1
    assert sending.verdict == (200, "")
    (batch,) = door.batches
    assert (batch.body, batch.emitter) == (BODY, "web")


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (NonceVerdict.REPLAY, (401, "replay")),
        (NonceVerdict.FORGOTTEN, (401, "replay")),
        (NonceVerdict.CROWDED, (429, "too_many_nonces")),
        (NonceVerdict.FULL, (503, "state_unavailable")),
        (NonceVerdict.UNAVAILABLE, (503, "state_unavailable")),
    ],
)
def test_a_late_verdict_on_the_nonce_refuses_before_the_body(
    door: Door, verdict: NonceVerdict, answer: tuple[int, str]
) -> None:
    door.deferred.deferring = True
    door.nonces.verdict = verdict
    sending = door.post()
    door.deferred.release()
    assert sending.verdict == answer
    assert not sending.wants_body
    assert door.nonces.removed == 0


def test_many_requests_at_once_keep_apart_whatever_the_order_of_the_answers(door: Door) -> None:
    door.deferred.deferring = True
    requests = [door.post(json.dumps([{"n": n}]).encode()) for n in range(5)]
    door.deferred.waiting.reverse()
    door.deferred.release()
    for sending in requests:
        sending.deliver()
    door.deferred.waiting.reverse()
    door.deferred.release()
    assert [sending.verdict for sending in requests] == [(200, "")] * 5
    assert [json.loads(batch.body)[0]["n"] for batch in door.batches] == [4, 3, 2, 1, 0]


# The bucket's charge.


def test_the_charge_is_the_estimate_until_the_answer_has_the_count(door: Door) -> None:
    """Commas over-count this body by its text; nothing of that stays charged."""
    body = json.dumps([{"msg": "a,b,c,d"}] * 2).encode()
    door.reply = Reply(200, b"{}", (), 2)
    assert door.post(body).deliver().header(b"x-ratelimit-remaining") == b"98"


@pytest.mark.parametrize(("status", "remaining"), [(503, b"100"), (500, b"100"), (422, b"97")])
def test_what_a_fault_of_ours_refused_costs_nothing(door: Door, status: int, remaining: bytes) -> None:
    door.reply = Reply(status, b'{"error":"sink_failed"}', (), None)
    assert door.post().deliver().header(b"x-ratelimit-remaining") == remaining


def test_an_estimate_that_does_not_fit_is_counted_before_it_is_refused() -> None:
    door = Door(limit=Limit(5, 1e-6))
    lines = b"x\n\n" * 5  # ten line ends, five events
    sending = door.post(lines, extra={"Content-Type": "text/plain"}).deliver()
    assert sending.verdict == (200, "")
    assert [cost for _, cost in door.buckets.taken] == [11, 5]


def test_one_huge_event_costs_its_weight() -> None:
    door = Door(limit=Limit(15, 1e-6))
    door.reply = Reply(200, b"{}", (), 1)
    heavy = json.dumps([{"msg": "x" * 7000}]).encode()
    assert door.post(heavy).deliver().header(b"x-ratelimit-remaining") == b"9"
    assert door.post(heavy).deliver().header(b"x-ratelimit-remaining") == b"3"
    assert door.post(heavy).deliver().verdict == (429, "rate_limited")


def test_a_batch_that_can_never_fit_is_refused_with_the_limit() -> None:
    door = Door(limit=Limit(2, 1))
    sending = door.post().deliver()
    assert sending.verdict == (413, "too_many_items")
    assert "holds 2" in json.loads(sending.response.body)["detail"]
    assert sending.header(b"x-backpressure-reason") == b"too_many_items"


def test_a_body_over_the_cap_is_cut_off_as_it_arrives(door: Door) -> None:
    sending = door.post(b"x" * 30_000, declared=None).deliver(pieces=30)
    assert sending.verdict == (413, "too_large")


def test_a_digest_is_checked_over_all_pieces(door: Door) -> None:
    digest = hashlib.sha256(BODY).hexdigest().upper()
    assert door.post(digest=digest).deliver(pieces=len(BODY)).verdict == (200, "")


def test_an_empty_body_is_no_error_of_the_door(door: Door) -> None:
    """There is nothing to feed: ``end`` comes at once."""
    assert door.post(b"").verdict == (200, "")


def test_an_exchange_says_whose_it_is(door: Door) -> None:
    sending = door.post(extra={"X-Emitter": "batch"})
    assert repr(sending.wire.consumer) == "<_Exchange of batch from 10.0.0.1>"


# A pipeline in the same process reads a batch where it would only be counted.


def test_a_batch_that_is_read_ahead_is_charged_for_its_items_before_it_is_stored() -> None:
    door = Door(ahead=4)
    door.deferred.deferring = True
    sending = door.post()
    door.deferred.release()
    sending.deliver()
    assert [cost for _, cost in door.buckets.taken] == [4]
    assert (sending.verdict, door.read) == ((0, "no answer"), [])
    door.deferred.release()
    assert sending.verdict == (200, "")
    assert sending.header(b"x-ratelimit-remaining") == b"96"
    (batch,) = door.read
    assert (batch.body, batch.emitter, door.batches) == (BODY, "web", [])


def test_an_emitter_over_its_limit_is_counted_before_it_is_read() -> None:
    door = Door(ahead=40)
    headers = headers_of(nonce="over-the-limit")
    assert [door.post().deliver().verdict for _ in range(2)] == [(200, "")] * 2
    assert door.post(headers=headers).deliver().verdict == (429, "rate_limited")
    assert (door.tried, len(door.read)) == (3, 2)
    # The nonce is given back, and three items fit.
    assert door.post(headers=headers).deliver().verdict == (200, "")
    assert (door.tried, len(door.read), len(door.batches)) == (3, 2, 1)
    door.ahead = 1
    assert door.post().deliver().verdict == (200, "")
    assert (door.tried, len(door.read)) == (4, 3)


def test_a_batch_that_is_not_read_ahead_is_counted() -> None:
    door = Door()
    assert door.post().deliver().verdict == (200, "")
    assert (door.tried, len(door.batches)) == (1, 1)
    door.ahead = 51  # over the cap of 50
    many = b"[" + b",".join([b"1"] * 51) + b"]"
    assert door.post(many).deliver().verdict == (413, "too_many_items")
    packed = {"Content-Encoding": "gzip"}
    assert door.post(gzip.compress(BODY), extra=packed).deliver().verdict == (200, "")
    export = b'{"resourceLogs":[]}'
    assert door.post(export).deliver().verdict[0] == 200
    assert (door.tried, door.read) == (2, [])
