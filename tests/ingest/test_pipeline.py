from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.ingest.sink.interface import NullSink
from logops_fast.state.interface import BatchClaim, ClaimKind
from logops_fast.telemetry.registry import Registry


class Claims:
    """Batch ids of which each claim finds the same."""

    def __init__(self, claim: BatchClaim) -> None:
        self.claim = claim
        self.abandoned: list[str] = []
        self.digests: list[int] = []

    def begin(self, emitter: str, batch_id: str, digest: int, done: Callable[[BatchClaim], None]) -> None:
        self.digests.append(digest)
        done(self.claim)

    def renew(self, emitter: str, batch_id: str, done: Callable[[bool], None]) -> None:
        raise AssertionError("nothing waits")

    def finish(self, emitter: str, batch_id: str, answer: bytes) -> None:
        raise AssertionError("nothing is stored")

    def abandon(self, emitter: str, batch_id: str) -> None:
        self.abandoned.append(batch_id)


def send(claim: BatchClaim, body: bytes) -> Reply:
    pipeline = IngestPipeline(
        normaliser=Normaliser(), sink=NullSink(), batch_ids=Claims(claim), metrics=IngestMetrics(Registry(), ["web"])
    )
    replies: list[Reply] = []
    pipeline.send(Batch(body, Format.JSON, "web", "na", "b-1", True, 0.0), replies.append)
    (reply,) = replies
    return reply


def test_a_stored_batch_gets_its_first_answer() -> None:
    assert send(BatchClaim(ClaimKind.DONE, b"first"), b"{}") == Reply(200, b"first")


@pytest.mark.parametrize(("body", "accepted", "rejected"), [(b'[{"msg":"a"},7]', 1, 1), (b"not JSON", 0, 0)])
def test_where_the_first_answer_is_forgotten_the_body_makes_it_again(body: bytes, accepted: int, rejected: int) -> None:
    reply = send(BatchClaim(ClaimKind.DONE), body)
    summary = orjson.loads(reply.body)
    assert (reply.status, summary["accepted"], summary["rejected"]) == (200, accepted, rejected)
    assert summary["batch_id"] == "b-1"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(ClaimKind.IN_PROGRESS, "batch_in_progress"), (ClaimKind.UNAVAILABLE, "state_unavailable")],
)
def test_a_claim_that_is_not_ours_is_503(kind: ClaimKind, reason: str) -> None:
    reply = send(BatchClaim(kind), b"{}")
    assert (reply.status, reply.reason) == (503, reason)


def test_an_id_that_was_used_for_another_body_is_422() -> None:
    reply = send(BatchClaim(ClaimKind.OTHER_BODY), b"{}")
    assert (reply.status, reply.reason) == (422, "batch_id_reused")


def test_a_claim_names_its_body() -> None:
    claims = Claims(BatchClaim(ClaimKind.IN_PROGRESS))
    pipeline = IngestPipeline(
        normaliser=Normaliser(), sink=NullSink(), batch_ids=claims, metrics=IngestMetrics(Registry(), ["web"])
    )
    for body in (b"{}", b"{} ", b"{}", b""):
        pipeline.send(Batch(body, Format.JSON, "web", "na", "b-1", True, 0.0), lambda reply: None)
    first, other, again, empty = claims.digests
    assert first == again
    assert len({first, other, empty}) == 3
    assert 0 not in claims.digests


def test_a_defect_is_answered_and_leaves_no_batch_id_claimed(caplog: pytest.LogCaptureFixture) -> None:
    claims = Claims(BatchClaim(ClaimKind.NEW))
    # A clock beyond the calendar stands for whatever may go wrong.
    pipeline = IngestPipeline(
        normaliser=Normaliser(),
        sink=NullSink(),
        batch_ids=claims,
        metrics=IngestMetrics(Registry(), ["web"]),
        wall=lambda: 1e300,
    )
    replies: list[Reply] = []
    pipeline.send(Batch(b'[{"msg":"a"}]', Format.JSON, "web", "na", "b-1", True, 0.0), replies.append)
    (reply,) = replies
    assert (reply.status, reply.reason) == (500, "internal_error")
    assert claims.abandoned == ["b-1"]
    assert "a batch could not be read" in caplog.text
