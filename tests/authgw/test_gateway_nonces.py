"""Nonces: used, given back, and never given back where something may have happened."""

from __future__ import annotations

import pytest

from logops_fast.authgw.token_bucket import Limit
from logops_fast.formats.batch import Reply
from logops_fast.http.refusal import Reason, Refusal
from tests.authgw.doors import BODY, NOW, STORED, Door, headers_of
from tests.support.signing import signed
from tests.support.tables import each_of


def again(door: Door, headers: dict[str, str]) -> tuple[int, str]:
    """The same request once more."""
    door.deferred.deferring = False
    door.reply = STORED
    return door.post(headers=headers).deliver().verdict


def test_a_request_is_good_once(door: Door) -> None:
    headers = headers_of()
    assert again(door, headers) == (200, "")
    assert again(door, headers) == (401, "replay")


def test_a_batch_that_the_bucket_refuses_may_be_sent_again_as_it_is() -> None:
    door = Door(limit=Limit(4, 1e-6))
    headers = headers_of()
    assert again(door, headers_of()) == (200, "")
    assert again(door, headers) == (429, "rate_limited")
    door.gateway.buckets.replace_limits(Limit(1000, 1e6), {}, "events")
    assert again(door, headers) == (200, "")
    assert again(door, headers) == (401, "replay")


def test_the_429s_of_one_client_hold_no_nonces() -> None:
    door = Door(limit=Limit(3, 1e-6))
    assert door.post().deliver().verdict == (200, "")
    verdicts = {door.post().deliver().verdict for _ in range(4000)}  # twice what the store holds
    assert verdicts == {(429, "rate_limited")}
    assert door.post(key="app-2").deliver().verdict == (200, "")


@pytest.mark.parametrize("reason", ["overloaded", "circuit_open"])
def test_a_503_that_handed_nothing_on_gives_the_nonce_back(door: Door, reason: Reason) -> None:
    headers = headers_of()
    door.reply = Reply.of(Refusal(503, reason, "a sentence", 1))
    assert door.post(headers=headers).deliver().verdict == (503, reason)
    assert again(door, headers) == (200, "")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, Refusal(503, "overloaded", "a sentence", 1).body(), doubtful=True),
        Reply(503, Refusal(503, "circuit_open", "a sentence", 1).body(), doubtful=True),
        Reply.of(Refusal(503, "sink_failed", "a sentence", 1)),
        Reply.of(Refusal(503, "batch_in_progress", "a sentence", 1)),
        Reply.of(Refusal(502, "downstream_error", "a sentence")),
        Reply.of(Refusal(504, "downstream_timeout", "a sentence")),
        Reply.of(Refusal(500, "internal_error", "a sentence")),
        Reply.of(Refusal(422, "no_valid_events", "a sentence")),
        Reply.of(Refusal(400, "malformed", "a sentence")),
    ],
    ids=lambda reply: reply.reason,
)
def test_a_refusal_of_the_content_or_an_unknown_outcome_does_not(door: Door, reply: Reply) -> None:
    headers = headers_of()
    door.reply = reply
    assert door.post(headers=headers).deliver().verdict == (reply.status, reply.reason)
    assert again(door, headers) == (401, "replay")


@each_of("name", ["items", "bucket", "emitter", "type", "digest"])
def test_neither_does_a_4xx_of_the_gateway_for_what_was_sent(name: str) -> None:
    door = Door(limit=Limit(2, 1) if name == "bucket" else Limit(100, 1))
    body = b"[" + b"1," * 60 + b"1]" if name == "items" else BODY
    headers = signed("web-1", "secret-of-web-1", body, timestamp=str(int(NOW)))
    extra = {"emitter": {"X-Emitter": "boss"}, "type": {"Content-Type": "image/png"}}.get(name, {})
    sent = b"[]" if name == "digest" else body
    status, _ = door.post(sent, headers=headers, extra=extra).deliver().verdict
    assert status in (401, 403, 413, 415)
    assert door.nonces.removed == 0
    assert door.post(body, headers=headers, extra=extra).verdict == (401, "replay")


@pytest.mark.parametrize(
    ("reason", "given_back"),
    [("closed", True), ("body_timeout", True), ("overloaded", True), ("bad_request", False), ("internal_error", False)],
)
def test_a_client_that_is_gone_in_mid_body_may_send_the_same_again(door: Door, reason: str, given_back: bool) -> None:
    headers = headers_of()
    sending = door.post(headers=headers)
    assert sending.wire.consumer is not None
    sending.wire.consumer.feed(BODY[:5])
    sending.vanish(reason)
    assert sending.wire.responses == []
    assert again(door, headers) == ((200, "") if given_back else (401, "replay"))


def test_a_client_that_is_gone_before_the_nonce_was_answered_may_too(door: Door) -> None:
    door.deferred.deferring = True
    headers = headers_of()
    sending = door.post(headers=headers).vanish()
    door.deferred.release()
    assert not sending.wants_body
    assert sending.wire.responses == []
    assert again(door, headers) == (200, "")


def test_a_batch_whose_client_left_while_its_bucket_was_asked_is_stored_all_the_same(door: Door) -> None:
    door.deferred.deferring = True
    headers = headers_of()
    sending = door.post(headers=headers)
    door.deferred.release()
    sending.deliver()
    sending.request.closed = True
    door.deferred.release()
    assert len(door.batches) == 1
    assert sending.wire.responses == []
    assert again(door, headers) == (401, "replay")


def test_a_reply_after_the_client_left_goes_nowhere_and_still_settles_its_bucket(door: Door) -> None:
    door.pending = []
    sending = door.post().deliver()
    sending.request.closed = True
    (reply,) = door.pending
    reply(Reply(200, b"{}", (), 1))
    assert sending.wire.responses == []
    door.pending = None
    assert door.post().deliver().header(b"x-ratelimit-remaining") == b"96"


def test_a_request_without_nonce_has_none_to_give_back() -> None:
    door = Door("none", limit=Limit(3, 1e-6))
    assert door.post(headers={}).deliver().verdict == (200, "")
    assert door.post(headers={}).deliver().verdict == (429, "rate_limited")
    assert door.nonces.inserted == door.nonces.removed == 0
