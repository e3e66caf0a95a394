"""The Ingest Gateway's entrance without a process: what it refuses, what it hands on, and who leaves meanwhile."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import orjson
import pytest

from logops_fast.formats.batch import Batch, Reply
from logops_fast.formats.media_type import Format
from logops_fast.http.exchange import BodyConsumer, Request, Response
from logops_fast.http.head import parse_head
from logops_fast.http.limits import HttpLimits
from logops_fast.ingest.gateway import IngestGateway
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.telemetry.registry import Registry
from tests.support.turns import Turns
from tests.support.values import values

CAP = 8 << 20


class Connection:
    """What a request sees of its connection."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.consumer: BodyConsumer | None = None

    def answer(self, request: Request, response: Response) -> None:
        request.answered = True
        self.responses.append(response)

    def is_private(self, request: Request) -> bool:
        raise AssertionError("no token is looked at behind the Auth Gateway")

    def take_body(self, request: Request, consumer: BodyConsumer) -> None:
        self.consumer = consumer


class Downstream:
    """Keeps batches; a test answers them."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.replies: list[Callable[[Reply], None]] = []

    def send(self, batch: Batch, reply: Callable[[Reply], None]) -> None:
        self.batches.append(batch)
        self.replies.append(reply)


class Door:
    def __init__(self) -> None:
        self.turns = Turns()
        self.downstream = Downstream()
        self.connection = Connection()
        self.gateway = IngestGateway(
            pipeline=self.downstream,
            metrics=IngestMetrics(Registry(), ["web"]),
            max_body_bytes=CAP,
            max_items=1000,
            queue=self.turns.queue,
        )

    def request(self, *, length: int | None = 10, **fields: str) -> Request:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        lines.append(f"content-length: {length}" if length is not None else "transfer-encoding: chunked")
        head = "POST /v1/logs HTTP/1.1\r\nhost: x\r\n" + "\r\n".join(lines) + "\r\n\r\n"
        request = Request(parse_head(head.encode(), HttpLimits(), frozenset()), "127.0.0.1", 5.0, self.connection)
        self.gateway.handle(request)
        return request

    def body(self, *pieces: bytes) -> None:
        consumer = self.connection.consumer
        assert consumer is not None
        for piece in pieces:
            consumer.feed(piece)
        consumer.end()

    @property
    def refusal(self) -> tuple[int, str]:
        (response,) = self.connection.responses
        return response.status, orjson.loads(response.body)["error"]


@pytest.mark.parametrize(
    ("fields", "length", "refusal"),
    [
        ({"x_emitter": "two words"}, 10, (400, "bad_emitter")),
        ({"x_emitter": "x" * 65}, 10, (400, "bad_emitter")),
        ({}, CAP + 1, (413, "too_large_hdr")),
        ({"content_type": "image/png"}, 10, (415, "unsupported_media_type")),
        ({"content_encoding": "br"}, 10, (415, "unsupported_encoding")),
        ({"x_scenario_id": "a b"}, 10, (400, "bad_scenario_id")),
        ({"x_batch_id": "a b"}, 10, (400, "bad_batch_id")),
    ],
)
def test_what_the_headers_show_is_refused_before_the_body(
    fields: dict[str, str], length: int, refusal: tuple[int, str]
) -> None:
    door = Door()
    door.request(length=length, **fields)
    assert door.refusal == refusal
    assert door.connection.consumer is None


def test_a_batch_goes_on_with_its_names_and_its_answer_comes_back() -> None:
    door = Door()
    door.request(x_emitter="web", x_scenario_id="s1", x_batch_id="b1", content_type="application/x-ndjson")
    door.body(b'{"a":1}\n', b'{"b":2}\n')
    (batch,) = door.downstream.batches
    sent = Batch(b'{"a":1}\n{"b":2}\n', Format.NDJSON, "web", "s1", "b1", True, 5.0, 3)
    assert values(batch) == values(sent)
    door.downstream.replies[0](Reply(200, b"stored", ((b"x-more", b"1"),)))
    (response,) = door.connection.responses
    assert (response.status, response.body, response.headers) == (200, b"stored", ((b"x-more", b"1"),))


def test_without_a_name_the_emitter_is_unknown() -> None:
    door = Door()
    door.request()
    door.body(b"{}")
    assert door.downstream.batches[0].emitter == "unknown"


def test_a_body_that_grows_over_the_cap_is_refused_once() -> None:
    door = Door()
    door.request(length=None)
    consumer = door.connection.consumer
    assert consumer is not None
    consumer.feed(b"x" * CAP)
    consumer.feed(b"x")
    assert door.refusal == (413, "too_large")
    consumer.end()
    assert not door.downstream.batches
    assert len(door.connection.responses) == 1


@pytest.mark.parametrize(
    ("body", "encoding", "refusal"),
    [
        (gzip.compress(bytes(CAP + 1)), "gzip", (413, "too_large")),
        (b"no gzip", "gzip", (400, "malformed")),
        (gzip.compress(b"[" + b"1," * 2_000_000 + b"1]"), "gzip", (413, "too_many_items")),
        (b"[" + b"1," * 2000 + b"1]", "identity", (413, "too_many_items")),
        (b"[" + b"1," * 2_000_000 + b"1]", "identity", (413, "too_many_items")),
    ],
)
def test_what_the_body_shows_is_refused_before_the_pipeline(
    body: bytes, encoding: str, refusal: tuple[int, str]
) -> None:
    door = Door()
    door.request(content_encoding=encoding)
    door.body(body)
    door.turns.run()
    assert door.refusal == refusal
    assert not door.downstream.batches


def test_a_small_body_is_handed_on_at_once_and_a_large_one_in_slices() -> None:
    small = b'[{"msg":"a"}]'
    large = b'[{"msg":"' + b"x" * 3_000_000 + b'"},{"msg":"b"}]'
    for body, least in ((small, 0), (large, 1), (gzip.compress(small), 0), (gzip.compress(large), 3)):
        door = Door()
        if body[:2] == b"\x1f\x8b":
            door.request(content_encoding="gzip")
        else:
            door.request()
        door.body(body)
        assert bool(door.downstream.batches) is (least == 0)
        assert door.turns.run() >= least
        (batch,) = door.downstream.batches
        assert batch.body in (small, large)
        assert batch.items in (1, 2)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_client_that_leaves_while_its_body_is_worked_on_is_forgotten(encoding: str) -> None:
    door = Door()
    body = b"[" + b'{"msg":"x"},' * 400_000 + b"1]"
    request = door.request(content_encoding=encoding)
    door.body(gzip.compress(body) if encoding == "gzip" else body)
    request.closed = True
    assert request.on_close is not None
    request.on_close()
    door.turns.run()
    assert not door.downstream.batches
    assert not door.connection.responses


def test_a_body_that_never_becomes_whole_goes_no_further_and_a_late_answer_nowhere() -> None:
    door = Door()
    request = door.request()
    consumer = door.connection.consumer
    assert consumer is not None
    consumer.feed(b"{")
    consumer.abort("closed")
    assert not door.downstream.batches
    door = Door()
    request = door.request()
    door.body(b"{}")
    request.closed = True
    door.downstream.replies[0](Reply(200, b"late"))
    assert not door.connection.responses


def test_compressed_bodies_wait_their_turn() -> None:
    door = Door()
    packed = gzip.compress(b"[" + b" " * 3_000_000 + b"1]")
    consumers = []
    for _ in range(3):
        door.request(content_encoding="gzip", x_emitter="web")
        assert door.connection.consumer is not None
        consumers.append(door.connection.consumer)
        consumers[-1].feed(packed)
    for consumer in consumers:
        consumer.end()
    (timer,) = door.turns.timers
    timer.callback()
    assert door.refusal == (503, "overloaded")
    door.turns.run()
    assert len(door.downstream.batches) == 2
