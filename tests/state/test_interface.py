"""The contract: what every back-end promises alike."""

from __future__ import annotations

import math
import time

import pytest

from logops_fast.state.interface import MAX_ANSWER_BYTES, ClaimKind, NonceVerdict
from tests.state.support import Asker, soon


def test_a_nonce_is_fresh_once(asker: Asker) -> None:
    expiry = soon()
    assert asker.insert(b"web\0nonce-1", expiry) is NonceVerdict.FRESH
    assert asker.insert(b"web\0nonce-1", expiry) is NonceVerdict.REPLAY
    assert asker.insert(b"web\0nonce-1", expiry + 100) is NonceVerdict.REPLAY


def test_the_same_nonce_of_two_clients_is_two_nonces(asker: Asker) -> None:
    assert asker.insert(b"web\0nonce-1", soon()) is NonceVerdict.FRESH
    assert asker.insert(b"api\0nonce-1", soon()) is NonceVerdict.FRESH


@pytest.mark.parametrize("key", [b"", b"\0", b"\0" * 16, b"\r\n$-1\r\n", bytes(range(256)) * 8])
def test_any_bytes_can_be_a_nonce(asker: Asker, key: bytes) -> None:
    assert asker.insert(key, soon()) is NonceVerdict.FRESH
    assert asker.insert(key, soon()) is NonceVerdict.REPLAY


def test_a_request_signed_before_the_store_began_is_forgotten_not_fresh(asker: Asker) -> None:
    assert asker.insert(b"web\0now", soon()) is NonceVerdict.FRESH
    assert asker.insert(b"web\0before", time.time() + 301 - 5) is NonceVerdict.FORGOTTEN


def test_a_nonce_that_has_expired_already_is_not_fresh(asker: Asker) -> None:
    assert asker.insert(b"web\0old", time.time() - 1000) is NonceVerdict.FORGOTTEN


def test_a_nonce_that_was_given_back_is_good_once_more(asker: Asker) -> None:
    expiry = soon()
    assert asker.insert(b"web\0nonce-1", expiry) is NonceVerdict.FRESH
    asker.remove(b"web\0nonce-1", expiry)
    assert asker.insert(b"web\0nonce-1", expiry) is NonceVerdict.FRESH
    assert asker.insert(b"web\0nonce-1", expiry) is NonceVerdict.REPLAY


def test_only_the_request_that_used_a_nonce_can_give_it_back(asker: Asker) -> None:
    expiry = soon()
    assert asker.insert(b"web\0nonce-1", expiry) is NonceVerdict.FRESH
    asker.remove(b"web\0nonce-1", expiry + 7)  # of another timestamp
    asker.remove(b"api\0nonce-1", expiry)
    asker.remove(b"web\0never-used", expiry)
    assert asker.insert(b"web\0nonce-1", expiry) is NonceVerdict.REPLAY


def test_a_bucket_gives_what_it_holds_and_no_more(asker: Asker) -> None:
    first = asker.take(b"web", 7)
    assert first.available
    assert first.allowed
    assert first.remaining == pytest.approx(3, abs=1e-3)
    second = asker.take(b"web", 4)
    assert not second.allowed
    assert second.retry_after == pytest.approx(1e6, rel=1e-3)
    assert second.remaining == pytest.approx(3, abs=1e-3)
    assert asker.take(b"web", 3).allowed
    assert not asker.take(b"web", 1).allowed


def test_buckets_of_two_keys_are_apart(asker: Asker) -> None:
    assert asker.take(b"web", 10).allowed
    assert asker.take(b"csv", 10).allowed


def test_a_cost_over_the_capacity_never_fits_and_takes_nothing(asker: Asker) -> None:
    verdict = asker.take(b"web", 11)
    assert not verdict.allowed
    assert verdict.retry_after == math.inf
    assert asker.take(b"web", 10).allowed


def test_tokens_given_back_can_be_taken_again_up_to_the_capacity(asker: Asker) -> None:
    asker.take(b"web", 10)
    asker.give(b"web", 4)
    assert asker.peek(b"web").remaining == pytest.approx(4, abs=1e-3)
    asker.give(b"web", 100)
    assert asker.peek(b"web").remaining == pytest.approx(10, abs=1e-3)


def test_a_debt_is_paid_before_anything_is_granted(asker: Asker) -> None:
    asker.take(b"web", 8)
    asker.give(b"web", -5)
    assert asker.peek(b"web").remaining == pytest.approx(-3, abs=1e-3)
    verdict = asker.take(b"web", 1)
    assert not verdict.allowed
    assert verdict.retry_after == pytest.approx(4e6, rel=1e-3)


def test_peeking_takes_nothing(asker: Asker) -> None:
    for _ in range(3):
        assert asker.peek(b"web").remaining == 10
    assert asker.take(b"web", 10).allowed


def test_a_bucket_fills_again(asker: Asker) -> None:
    asker.take(b"web", 10, rate=1000)
    deadline = time.monotonic() + 60
    while not asker.take(b"web", 10, rate=1000).allowed:
        assert time.monotonic() < deadline


def test_a_smaller_capacity_counts_at_once(asker: Asker) -> None:
    asker.take(b"web", 1, capacity=100)
    assert asker.peek(b"web", capacity=10).remaining == pytest.approx(10, abs=1e-3)


def test_a_batch_is_new_then_in_progress_then_done_with_its_answer(asker: Asker) -> None:
    assert asker.begin("web", "b-1").kind is ClaimKind.NEW
    assert asker.begin("web", "b-1").kind is ClaimKind.IN_PROGRESS
    asker.finish("web", "b-1", b'{"accepted":1}')
    claim = asker.begin("web", "b-1")
    assert claim.kind is ClaimKind.DONE
    assert claim.answer == b'{"accepted":1}'


def test_a_claim_is_renewed_by_its_owner_alone_and_until_it_is_finished(asker: Asker) -> None:
    assert asker.begin("web", "b-1").kind is ClaimKind.NEW
    assert asker.renew("web", "b-1")
    assert asker.begin("web", "b-1").kind is ClaimKind.IN_PROGRESS
    asker.finish("web", "b-1", b"answer")
    assert not asker.renew("web", "b-1"), "another worker has stored it"
    assert asker.begin("web", "b-1").answer == b"answer"


def test_a_claim_that_lapsed_is_taken_back_if_it_is_free(asker: Asker) -> None:
    assert asker.renew("web", "b-1")
    assert asker.begin("web", "b-1").kind is ClaimKind.IN_PROGRESS


def test_an_abandoned_batch_can_be_sent_again(asker: Asker) -> None:
    asker.begin("web", "b-1")
    asker.abandon("web", "b-1")
    assert asker.begin("web", "b-1").kind is ClaimKind.NEW


def test_a_finished_batch_cannot_be_abandoned(asker: Asker) -> None:
    asker.begin("web", "b-1")
    asker.finish("web", "b-1", b"answer")
    asker.abandon("web", "b-1")
    assert asker.begin("web", "b-1").answer == b"answer"


def test_no_emitter_can_touch_the_batch_of_another(asker: Asker) -> None:
    asker.begin("web", "b-1")
    asker.finish("web", "b-1", b"answer of web")
    assert asker.begin("csv", "b-1").kind is ClaimKind.NEW
    asker.abandon("csv", "b-1")
    assert asker.begin("web", "b-1").answer == b"answer of web"


def test_one_id_for_two_bodies_is_told_while_in_progress_and_once_stored(asker: Asker) -> None:
    assert asker.begin("web", "b-1", digest=7).kind is ClaimKind.NEW
    assert asker.begin("web", "b-1", digest=8).kind is ClaimKind.OTHER_BODY
    assert asker.begin("web", "b-1", digest=7).kind is ClaimKind.IN_PROGRESS
    asker.finish("web", "b-1", b"answer")
    assert asker.begin("web", "b-1", digest=8).kind is ClaimKind.OTHER_BODY
    assert asker.begin("web", "b-1", digest=7).answer == b"answer"


def test_the_digest_of_a_replayed_batch_is_kept_and_an_earlier_one_is_not_replaced(asker: Asker) -> None:
    asker.finish("web", "journal", b"answer", 7)
    assert asker.begin("web", "journal", digest=8).kind is ClaimKind.OTHER_BODY
    assert asker.begin("web", "journal", digest=7).answer == b"answer"
    asker.begin("web", "claimed", digest=7)
    asker.finish("web", "claimed", b"answer", 8)
    assert asker.begin("web", "claimed", digest=7).answer == b"answer"
    asker.finish("web", "old journal", b"answer")
    asker.finish("web", "old journal", b"answer", 7)
    assert asker.begin("web", "old journal", digest=8).kind is ClaimKind.OTHER_BODY


def test_an_abandoned_id_may_be_used_for_another_body(asker: Asker) -> None:
    asker.begin("web", "b-1", digest=7)
    asker.abandon("web", "b-1")
    assert asker.begin("web", "b-1", digest=2**64 - 1).kind is ClaimKind.NEW


def test_a_batch_that_a_journal_finished_matches_any_body(asker: Asker) -> None:
    asker.finish("web", "b-1", b"answer")
    assert asker.begin("web", "b-1", digest=9).answer == b"answer"


def test_a_journal_can_finish_what_nobody_began(asker: Asker) -> None:
    asker.finish("web", "b-1", b"from the journal")
    asker.finish("web", "b-1", b"from the journal")
    assert asker.begin("web", "b-1").answer == b"from the journal"


def test_a_worker_that_starts_still_knows_what_was_done(asker: Asker) -> None:
    asker.begin("web", "b-1")
    asker.finish("web", "b-1", b"answer")
    asker.store.worker_started(0)
    assert asker.begin("web", "b-1").answer == b"answer"


def test_an_answer_too_long_to_keep_still_counts_as_done(asker: Asker) -> None:
    asker.begin("web", "b-1")
    asker.finish("web", "b-1", b"x" * (MAX_ANSWER_BYTES + 1))
    claim = asker.begin("web", "b-1")
    assert claim.kind is ClaimKind.DONE
    assert claim.answer == b""


@pytest.mark.parametrize("size", [0, 1, MAX_ANSWER_BYTES])
def test_answers_come_back_byte_for_byte(asker: Asker, size: int) -> None:
    answer = bytes(index % 256 for index in range(size))
    asker.finish("web", "b-1", answer)
    assert asker.begin("web", "b-1").answer == answer


def test_a_store_in_use_is_healthy(asker: Asker) -> None:
    asker.take(b"web", 1)
    seen: list[str | None] = []
    asker.on_loop(lambda: seen.append(asker.store.healthy()))
    assert seen == [None]


def test_closing_twice_is_allowed(asker: Asker) -> None:
    asker.runner.run(asker.store.close())


def test_a_batch_may_be_remembered_for_less_time(asker: Asker) -> None:
    asker.begin("web", "brief")
    asker.finish("web", "brief", b"answer", ttl=0.001)
    asker.finish("web", "of a journal", b"answer", ttl=0.001)
    asker.begin("web", "as usual")
    asker.finish("web", "as usual", b"answer")
    deadline = time.monotonic() + 60
    while {asker.begin("web", name).kind for name in ("brief", "of a journal")} != {ClaimKind.NEW}:
        assert time.monotonic() < deadline
        asker.abandon("web", "brief")
        asker.abandon("web", "of a journal")
    assert asker.begin("web", "as usual").answer == b"answer"
