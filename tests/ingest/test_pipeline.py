from __future__ import annotations

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
from tests.ingest.doors import ARRAY, COUNT, Claims, Door
from tests.support.loki import json_push
from tests.support.turns import Turns
from tests.support.values import values


def send(claim: BatchClaim, body: bytes, body_id: str = "") -> Reply:
    turns = Turns()
    pipeline = IngestPipeline(
        normaliser=Normaliser(),
        sink=NullSink(),
        batch_ids=Claims(claim),
        metrics=IngestMetrics(Registry(), ["web"]),
        queue=turns.queue,
    )
    replies: list[Reply] = []
    pipeline.send(Batch(body, Format.JSON, "web", "na", "b-1", True, 0.0, body_id=body_id), replies.append)
    turns.run()
    (reply,) = replies
    return reply


def test_a_stored_batch_gets_its_first_answer() -> None:
    assert values(send(BatchClaim(ClaimKind.DONE, b"first"), b"{}")) == values(Reply(200, b"first"))


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
    # A clock beyond the calendar represents any unexpected failure.
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


def test_the_same_large_batch_again_is_answered_and_stored_once() -> None:
    door = Door()
    first = door.send(ARRAY, batch_id="one")
    again = door.send(ARRAY, batch_id="one")
    assert orjson.loads(first.body) == orjson.loads(again.body)
    assert len(door.sink.events) == COUNT


def test_a_sink_that_fails_is_503_and_the_batch_may_come_again() -> None:
    door = Door(ok=False)
    assert door.send(ARRAY, batch_id="one").reason == "sink_failed"
    door.sink.ok = True
    assert door.send(ARRAY, batch_id="one").status == 200


def test_a_large_batch_that_waits_too_long_is_overloaded_and_may_come_again() -> None:
    door = Door()
    replies: list[Reply] = []
    wide = b"[" + b" " * (1 << 20) + ARRAY[1:]
    for number in range(3):
        batch = Batch(wide, Format.JSON, "web", "na", f"b-{number}", True, float(number))
        door.pipeline.send(batch, replies.append)
    (timer,) = door.turns.timers
    timer.callback()
    assert [reply.reason for reply in replies] == ["overloaded"]
    door.turns.run()
    assert [reply.status for reply in replies] == [503, 200, 200]
    assert door.send(wide, batch_id="b-2").status == 200


TIMED = b'[{"ts":"2026-01-01T00:00:00Z","level":"WARN","msg":"a"}]'


@pytest.mark.parametrize("body", [TIMED, ARRAY])
@pytest.mark.parametrize("batch_id", ["", "of-the-forwarder"])
def test_a_batch_with_the_same_body_is_stored_once_and_says_so(body: bytes, batch_id: str) -> None:
    door = Door()
    first = door.summary(body, body_id="f" * 64, batch_id=batch_id and batch_id + "-1")
    assert "duplicate" not in first
    again = door.summary(body, body_id="f" * 64, batch_id=batch_id and batch_id + "-2")
    assert again == first | {"duplicate": True}
    assert door.metric("logops_deduplicated_batches_total") == 1
    assert door.metric("logops_accepted_total") == first["accepted"]
    (entry,) = door.sink.entries
    assert entry is not None
    assert (entry.emitter, entry.batch_id) == ("web", "body:" + "f" * 64)
    assert door.summary(body, body_id="e" * 64)["accepted"] == first["accepted"]
    assert len(door.sink.entries) == 2


def test_the_forwarders_next_try_of_a_batch_is_no_duplicate() -> None:
    door = Door()
    first = door.send(TIMED, body_id="f" * 64, batch_id="b")
    assert door.send(TIMED, body_id="f" * 64, batch_id="b").body == first.body
    assert door.metric("logops_deduplicated_batches_total") == 0
    assert len(door.sink.entries) == 1


@pytest.mark.parametrize("without", [b'{"msg":"b"}', b'{"ts":"soon","msg":"b"}'])
def test_a_batch_in_which_an_event_has_no_time_is_stored_each_time(without: bytes) -> None:
    door = Door()
    body = TIMED[:-1] + b"," + without + b"]"
    for _ in range(2):
        assert "duplicate" not in door.summary(body, body_id="f" * 64)
    assert door.sink.entries == [None, None]
    # The id that the forwarder gives it still counts.
    once = door.send(body, body_id="f" * 64, batch_id="b")
    assert door.send(body, body_id="f" * 64, batch_id="b").body == once.body
    assert len(door.sink.entries) == 3
    assert door.metric("logops_deduplicated_batches_total") == 0


def test_what_was_not_stored_is_not_remembered_by_its_body() -> None:
    door = Door(ok=False)
    assert door.send(TIMED, body_id="f" * 64).reason == "sink_failed"
    door.sink.ok = True
    assert "duplicate" not in door.summary(TIMED, body_id="f" * 64)
    for body, reason in ((b"[7]", "no_valid_events"), (b"[", "malformed")):
        for _ in range(2):
            assert door.send(body, body_id="e" * 64).reason == reason


@pytest.mark.parametrize("claim", [ClaimKind.IN_PROGRESS, ClaimKind.UNAVAILABLE, ClaimKind.OTHER_BODY])
def test_a_body_that_cannot_be_claimed_is_refused(claim: ClaimKind) -> None:
    reply = send(BatchClaim(claim), TIMED, body_id="f" * 64)
    assert (
        reply.reason
        == {
            ClaimKind.IN_PROGRESS: "batch_in_progress",
            ClaimKind.UNAVAILABLE: "state_unavailable",
            ClaimKind.OTHER_BODY: "batch_id_reused",
        }[claim]
    )


def test_a_forgotten_answer_of_a_body_is_made_again() -> None:
    summary = orjson.loads(send(BatchClaim(ClaimKind.DONE), TIMED, body_id="f" * 64).body)
    assert (summary["accepted"], summary["duplicate"]) == (1, True)


def test_a_tenant_is_a_field_of_each_event_and_of_what_is_rejected() -> None:
    door = Door()
    push = json_push(({"tenant": "own"}, [["1741003200000000005", "x"], ["1741003200000000006", "y", 7]]))
    assert door.summary(push, Format.LOKI_JSON, tenant="10.1.2.3")["rejected"] == 1
    (event,), (rejected,) = door.sink.events, door.sink.rejected
    assert (event["tenant"], event["tenant_raw"]) == ("10.1.x.x", "own")
    assert rejected["tenant"] == "10.1.x.x"
