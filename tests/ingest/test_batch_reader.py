"""Reading, in one step or in many, seen through the pipeline."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.formats.pieces import PIECE_BYTES, PIECE_ITEMS
from logops_fast.ingest.batch_reader import AHEAD_BYTES
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.native.reader import NativeReader
from logops_fast.ingest.normaliser import Normaliser
from logops_fast.ingest.parsers import registry
from logops_fast.ingest.parsers.base import Limits
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.state.interface import BatchClaim, ClaimKind
from logops_fast.state.memory import open_memory
from logops_fast.telemetry.registry import Registry
from tests.ingest.doors import ARRAY, COUNT, EVENTS, WRITTEN, Claims, Door, Kept
from tests.support.loki import json_push
from tests.support.turns import Turns

LINES = b"\n".join(WRITTEN) + b"\n"
ROWS = b"ts,level,msg\n" + b"".join(b'2026-01-01T00:00:00Z,WARN,"%b"\n' % event["msg"].encode() for event in EVENTS)
PLAIN = b"".join(b"<12>1 2026-01-01T00:00:00Z h a - - - %b\n" % event["msg"].encode() for event in EVENTS)


@pytest.mark.parametrize(
    ("body", "format"),
    [
        (ARRAY, Format.JSON),
        (b"".join(WRITTEN), Format.JSON),
        (LINES, Format.JSON),
        (b'{"events":' + ARRAY + b"}", Format.JSON),
        (LINES, Format.NDJSON),
        (b"".join(b'{"index":{}}\n' + line + b"\n" for line in WRITTEN), Format.NDJSON),
        (ROWS, Format.CSV),
        (PLAIN, Format.PLAIN),
    ],
    ids=["array", "sequence", "lines as JSON", "envelope", "ndjson", "bulk", "csv", "syslog"],
)
def test_a_large_batch_is_stored_as_a_small_one_in_many_slices(body: bytes, format: Format) -> None:
    door = Door()
    summary = door.summary(body, format)
    assert door.turns.made >= COUNT // 128
    assert (summary["accepted"], summary["rejected"], summary["levels"]) == (COUNT, 0, {"WARN": COUNT})
    assert [event["msg"] for event in door.sink.events] == [event["msg"] for event in EVENTS]


def test_a_small_batch_takes_no_turn() -> None:
    door = Door()
    door.summary(b'[{"msg":"a"}]')
    assert door.turns.made == 0


def test_a_small_body_of_many_events_is_worked_on_in_slices() -> None:
    door = Door()
    body = b"[" + b",".join([b"{}"] * 10_000) + b"]"
    assert door.summary(body)["accepted"] == 10_000
    assert door.turns.made >= 10_000 // 128
    made = door.turns.made
    assert door.summary(body, items=10_000)["accepted"] == 10_000
    assert door.turns.made - made >= 10_000 // 128


def test_errors_count_on_through_all_pieces() -> None:
    door = Door()
    items = [b'{"msg":"x"}', b"7"] * 6_000
    summary = door.summary(b"[" + b",".join(items) + b"]")
    assert (summary["accepted"], summary["rejected"]) == (6_000, 6_000)
    assert [error["index"] for error in summary["errors"]] == list(range(1, 100, 2))
    assert [line["index"] for line in door.sink.rejected] == list(range(1, 12_000, 2))
    assert door.metric("logops_parse_errors_total") == 6_000


def test_each_event_without_a_time_gets_a_microsecond_of_its_own() -> None:
    door = Door()
    door.summary(b"[" + b",".join([b'{"msg":"x"}'] * 9_000) + b"]")
    stamps = [event["ts"] for event in door.sink.events]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) >= 9_000 // 4096  # each piece begins later; within one it is the normaliser's business


@pytest.mark.parametrize("count", [0, 3, COUNT])
def test_an_event_too_large_as_sent_is_set_aside_and_its_neighbours_are_stored(count: int) -> None:
    door = Door(Limits(max_event_bytes=5000))
    large = b'{"msg":"bob@example.com ' + b"x" * 100_000 + b'"}'
    body = b"[" + b",".join([*WRITTEN[:count], large, *WRITTEN[:count]]) + b"]"
    reply = door.send(body)
    assert reply.status == (200 if count else 422)
    assert len(door.sink.events) == 2 * count
    (rejected,) = door.sink.rejected
    assert (rejected["reason"], rejected["index"]) == ("event_too_large", count)
    assert rejected["text"].startswith('{"msg":"b***@example.com xxx')
    assert len(rejected["text"]) < 65536 + 100  # masks may lengthen it
    assert door.metric("logops_events_too_large_total") == 1
    assert door.metric("logops_parse_errors_total") == 0


@pytest.mark.parametrize("count", [0, 2, 4000])
def test_an_event_too_large_as_stored_is_set_aside(count: int) -> None:
    door = Door(Limits(max_event_bytes=5000))
    grows = b"<12>1 - h a - - - " + b"\x01" * 1000  # six bytes each as JSON
    plain = [b"<12>1 - h a - - - line"] * count
    reply = door.send(b"\n".join([*plain, b"ERROR " + grows, *plain]) + b"\n", Format.PLAIN)
    assert reply.status == (200 if count else 422)
    (rejected,) = door.sink.rejected
    assert (rejected["reason"], rejected["index"]) == ("event_too_large", count)
    assert len(door.sink.events) == 2 * count
    if count:
        summary = orjson.loads(reply.body)
        assert (summary["accepted"], summary["rejected"]) == (2 * count, 1)
        assert sum(summary["levels"].values()) == 2 * count


@pytest.mark.parametrize("format", [Format.JSON, Format.NDJSON, Format.PLAIN, Format.CSV])
def test_too_many_events_are_refused_after_as_many(format: Format) -> None:
    bodies = {Format.JSON: b"".join(WRITTEN), Format.NDJSON: LINES, Format.PLAIN: PLAIN, Format.CSV: ROWS}
    door = Door(Limits(max_items=3000))
    reply = door.send(bodies[format], format)
    assert (reply.status, reply.reason) == (413, "too_many_items")
    assert door.turns.made < 3000 // 128 + 20
    assert not door.sink.events
    assert Door(Limits(max_items=COUNT)).send(bodies[format], format).status == 200
    assert Door(Limits(max_items=2)).send(b"[{},{},{}]").reason == "too_many_items"


def test_a_large_body_broken_at_its_end_stores_nothing() -> None:
    door = Door()
    reply = door.send(ARRAY[:-1] + b",}]", batch_id="again")
    assert (reply.status, reply.reason) == (400, "malformed")
    assert not door.sink.events
    assert door.send(ARRAY, batch_id="again").status == 200
    assert door.sink.entries[-1] is not None


def test_a_small_push_that_makes_much_is_read_in_steps() -> None:
    door = Door()
    push = json_push(({"a": "x" * 16_000}, [["1741003200000000005", "y"]] * 1500))
    assert len(push) < PIECE_BYTES
    replies: list[Reply] = []
    door.pipeline.send(Batch(push, Format.LOKI_JSON, "web", "na", "b", False, 0.0, 1500), replies.append)
    assert not replies
    assert door.turns.run() >= 80  # of 24 MB of lines
    assert orjson.loads(replies[0].body)["accepted"] == 1500


class HandsBack:
    """A kernel that finishes the last line, which is in order, and hands every other one back to the reference."""

    def read(
        self,
        body: bytes,
        by_line: bool,
        constants: list[bytes],
        zone_is_utc: bool,
        receipt: int,
        start: int,
        size: int,
        may_be_envelope: bool,
    ) -> Any:
        assert by_line
        *others, last = body.splitlines(keepends=True)
        handed, at = [], 0
        for line in others:
            handed.append((0, at, at + len(line), 0))
            at += len(line)
        finished = last.rstrip(b"}\n") + constants[0]
        return (finished, b"", handed, 1, 0, 0, {"INFO": 1}, {}), (True, [], [], len(body))

    def read_export(self, *_: Any) -> Any:
        raise AssertionError("it is not asked for exports")

    def learn_level(self, *_: Any) -> None:
        raise AssertionError("no level is new")

    def learn(self, names: list[str], items: Any, constants: int, telltale: bool) -> None:
        raise AssertionError("no layout is new")

    def learn_name(self, name: str, plain: bool) -> None:
        raise AssertionError("no name is new")


def ahead(body: bytes, claim: BatchClaim | None = None, body_format: Format = Format.NDJSON) -> tuple[Any, Any, Any]:
    """A batch of the pipeline with that kernel, read ahead; the sink and the batch ids."""
    sink = Kept()
    normaliser = Normaliser()
    ids = Claims(claim) if claim is not None else open_memory(300).batch_ids
    pipeline = IngestPipeline(
        normaliser=normaliser,
        sink=sink,
        batch_ids=ids,
        metrics=IngestMetrics(Registry(), ["web"]),
        native=NativeReader(HandsBack(), normaliser),
    )
    return pipeline.read_ahead(Batch(body, body_format, "web", "na", "b-1", True, 0.0)), sink, ids


LINE = b'{"ts":"2026-01-01T00:00:00Z","level":"INFO","msg":"%s"}\n'
TWO_LINES = LINE % b"to a@example.com" + LINE % b"b"


def test_a_batch_that_is_read_ahead_is_stored_later() -> None:
    read, sink, _ = ahead(TWO_LINES)
    assert (read.items, sink.events) == (2, [])
    replies: list[Reply] = []
    read.store(replies.append)
    (reply,) = replies
    assert (reply.status, reply.items, orjson.loads(reply.body)["accepted"]) == (200, 2, 2)
    assert [event["msg"] for event in sink.events] == ["to a***@example.com", "b"]


def test_a_batch_that_is_read_ahead_is_claimed_before_it_is_stored() -> None:
    read, sink, ids = ahead(TWO_LINES, BatchClaim(ClaimKind.DONE, b"first"))
    replies: list[Reply] = []
    read.store(replies.append)
    assert [reply.body for reply in replies] == [b"first"]
    assert (len(ids.digests), sink.events) == (1, [])


@pytest.mark.parametrize(
    ("body", "body_format"),
    [
        (b"not JSON\n" + LINE, Format.NDJSON),
        (b"ts,level,msg\n", Format.CSV),
        (b'{"msg":"x"}\n' * (PIECE_BYTES // 12 + 1), Format.NDJSON),
        (LINE * (PIECE_ITEMS + 1), Format.NDJSON),
    ],
)
def test_what_the_kernel_does_not_read_whole_is_not_read_ahead(body: bytes, body_format: Format) -> None:
    assert ahead(body, body_format=body_format)[0] is None


DEEP = '{"a":' * 300 + "1" + "}" * 300
WIDE = str(2**64)


@pytest.mark.parametrize("by_line", [False, True])
@pytest.mark.parametrize("filler", [1, 400], ids=["small", "over a step"])
@pytest.mark.parametrize(
    "event",
    [
        f'{{"ts":"2026-03-01T00:00:01Z","level":"INFO","msg":"x","n":{WIDE}}}',
        f'{{"ts":"2026-03-01T00:00:01Z","level":"INFO","msg":{WIDE}}}',
        f'{{"ts":"2026-03-01T00:00:01Z","level":"INFO","msg":{DEEP}}}',
        f'{{"ts":{WIDE},"level":{WIDE},"message":["x",{WIDE}]}}',
        f'{{"time":{WIDE},"log":"x","emitter":{WIDE},"app":-{WIDE}}}',
        f'{{"event":{{"msg":"x","n":{WIDE}}},"time":5}}',
    ],
)
def test_what_cannot_be_written_as_it_is_is_read_once_more(event: str, filler: int, by_line: bool) -> None:
    usual = '{"ts":"2026-03-01T00:00:01.5Z","level":"INFO","msg":"in order, of a usual length, and some more text"}'
    items = [event, *[usual] * filler]
    body = ("\n".join(items) if by_line else f"[{','.join(items)}]").encode()
    body_format = Format.NDJSON if by_line else Format.JSON
    sink, turns, replies = Kept(), Turns(), list[Reply]()
    pipeline = IngestPipeline(
        normaliser=Normaliser(), sink=sink, batch_ids=open_memory(300.0).batch_ids,
        metrics=IngestMetrics(Registry(), ["web"]), queue=turns.queue, wall=lambda: 1_760_000_000.0,
    )  # fmt: skip
    pipeline.send(Batch(body, body_format, "web", "na", "b-1", False, 0.0), replies.append)
    turns.run()
    parsed = registry.parse(body_format, body, 1_760_000_000.0)
    wanted = Normaliser().run(parsed.events, emitter="web", scenario_id="na", received_at=1_760_000_000.0)
    assert sink.lines == wanted.lines
    summary = orjson.loads(replies[0].body)
    assert (summary["accepted"], summary["rejected"]) == (wanted.count, len(parsed.faults))
    assert (summary["missing_ts"], summary["levels"]) == (wanted.missing_ts, wanted.levels)
    assert [line["reason"] for line in sink.rejected] == [one.reason for one in parsed.faults]


def parsed_ahead(
    body: bytes, body_format: Format = Format.JSON, limits: Limits = registry.DEFAULT_LIMITS
) -> tuple[Any, Kept]:
    """A batch of a pipeline without the kernel, read ahead; and the sink."""
    sink = Kept()
    pipeline = IngestPipeline(
        normaliser=Normaliser(),
        sink=sink,
        batch_ids=open_memory(300).batch_ids,
        metrics=IngestMetrics(Registry(), ["web"]),
        limits=limits,
    )
    return pipeline.read_ahead(Batch(body, body_format, "web", "na", "b-1", False, 0.0)), sink


@pytest.mark.parametrize(
    ("body", "items", "stored"),
    [
        (b'[{"msg":"to a@example.com"},{"msg":"b"}]', 2, [b'"to a***@example.com"', b'"b"']),
        (b'{"msg":"one"}', 1, [b'"one"']),
        (b'[{"msg":"a"},{"id":123456789012345678901234567890}]', 2, [b'"a"', b'"123456789012345678901234567890"']),
        (b'{"msg":"a"}\n{"msg":"b"}', 2, [b'"a"', b'"b"']),
    ],
    ids=["array", "object", "beyond 64 bits", "lines"],
)
def test_without_the_kernel_json_is_parsed_ahead_and_stored_later(body: bytes, items: int, stored: list[bytes]) -> None:
    read, sink = parsed_ahead(body, Format.NDJSON if b"\n" in body else Format.JSON)
    assert (read.items, sink.lines) == (items, b"")
    replies: list[Reply] = []
    read.store(replies.append)
    (reply,) = replies
    assert (reply.status, reply.items) == (200, items)
    assert sink.lines.count(b"\n") == len(stored)
    assert all(text in sink.lines for text in stored)


@pytest.mark.parametrize(
    ("body", "body_format"),
    [
        (b"", Format.JSON),
        (b'[{"msg":', Format.JSON),
        (b"<34>1 - - - - - - x", Format.PLAIN),
        (b'{"msg":"x"}\n' * (AHEAD_BYTES // 12 + 1), Format.NDJSON),
        (b"{}\n" * (PIECE_ITEMS + 1), Format.NDJSON),
        (b'[{"msg":"a"},7,"x"]', Format.JSON),
        (b"[" + b"1," * 16_000 + b"1]", Format.JSON),
        (b"1\n" * 16_000, Format.NDJSON),
        (b'{"events":[{"msg":"a"},{"msg":"b"}]}', Format.JSON),
    ],
)
def test_what_does_not_parse_at_once_or_is_large_is_counted(body: bytes, body_format: Format) -> None:
    assert parsed_ahead(body, body_format)[0] is None


@pytest.mark.parametrize("limits", [Limits(max_items=1), Limits(max_event_bytes=20)], ids=["items", "bytes"])
def test_what_is_over_a_limit_is_not_parsed_ahead(limits: Limits) -> None:
    assert parsed_ahead(b'[{"msg":"a"},{"msg":"b"}]', limits=limits)[0] is None
