"""Contract 2, row by row, against the real command over sockets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest
import zstandard

from logops_fast import __version__
from tests.support.gateway import Gateway, raw, request, running
from tests.support.signing import signed

pytestmark = pytest.mark.process

EVENTS = [{"ts": "2026-01-02T03:04:05.678Z", "level": "warn", "msg": "mail bob@example.com from 10.1.2.3", "n": 1}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {
        "auth": {"failures": {"capacity": 100000, "refill_per_sec": 1000}},
        "backpressure": {"max_body_bytes": 65536, "max_items": 500},
    }
    with running(tmp_path_factory.mktemp("http"), settings=settings) as started:
        yield started


@pytest.mark.parametrize("target", ["/ingest", "/v1/logs"])
def test_a_signed_batch_is_stored_masked_and_summarised(gateway: Gateway, target: str) -> None:
    answer = gateway.send(EVENTS, target=target, headers={"X-Scenario-Id": "s1"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    summary = answer.json
    batch_id = summary.pop("batch_id")
    assert summary == {
        "accepted": 1,
        "rejected": 0,
        "missing_ts": 0,
        "missing_level": 0,
        "levels": {"WARN": 1},
        "emitter": "web",
        "scenario_id": "s1",
        "errors": [],
    }
    assert len(batch_id) >= 16
    line = gateway.stored()[-1]
    assert line["msg"] == "mail b***@example.com from 10.1.x.x"
    assert (line["ts"], line["level"], line["n"]) == ("2026-01-02T03:04:05.678Z", "WARN", 1)
    assert (line["emitter"], line["scenario_id"], line["app"], line["source"]) == ("web", "s1", "logops", "ingest")


def test_the_ingest_gateway_answers_its_own_door(gateway: Gateway) -> None:
    answer = request(gateway.ingest_port, "POST", "/v1/logs", b'{"msg":"direct"}', {"Content-Type": "application/json"})
    assert answer.status == 200
    assert answer.json["accepted"] == 1
    assert answer.json["emitter"] == "unknown"


@pytest.mark.parametrize("door", ["auth", "ingest"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_answer_get_and_head(gateway: Gateway, door: str, method: str, path: str) -> None:
    port = gateway.auth_port if door == "auth" else gateway.ingest_port
    answer = request(port, method, path)
    assert answer.status == 200
    assert (answer.body == b"") == (method == "HEAD")
    if path == "/healthz" and method == "GET":
        assert answer.json["status"] == "ok"
        assert answer.json["version"] == __version__
    if path == "/metrics":
        assert answer.headers["content-type"].startswith("text/plain")
        open_metrics = request(port, method, path, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
        if method == "GET":
            assert open_metrics.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("door", ["auth", "ingest"])
def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow(gateway: Gateway, door: str) -> None:
    port = gateway.auth_port if door == "auth" else gateway.ingest_port
    missing = request(port, "GET", "/nothing")
    assert (missing.status, missing.reason) == (404, "not_found")
    for method, path, allow in (
        ("GET", "/v1/logs", "POST"),
        ("DELETE", "/v1/logs", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
    ):
        wrong = request(port, method, path)
        assert (wrong.status, wrong.reason, wrong.headers["allow"]) == (405, "method_not_allowed", allow)
    assert gateway.metric("logops_rejected_total", reason="not_found", gateway=door) >= 1
    assert gateway.metric("logops_rejected_total", reason="method_not_allowed", gateway=door) >= 4


FORMATS = [
    ("application/json", b'{"msg":"one object"}', 1),
    ("application/json; charset=utf-8", b'[{"msg":"a"},{"msg":"b"}]', 2),
    (None, b'[{"msg":"no content type means JSON"}]', 1),
    ("application/x-ndjson", b'{"msg":"a"}\n{"msg":"b"}\n', 2),
    ("application/ndjson", b'{"msg":"a"}', 1),
    ("application/jsonl", b'{"msg":"a"}\n\n{"msg":"b"}', 2),
    ("text/csv", b'ts,level,msg\n2026-01-01T00:00:00Z,INFO,"a, quoted\nnewline"\n', 1),
    ("TEXT/CSV; header=present", b"2026-01-01T00:00:00Z,INFO,no header\n", 1),
    ("text/plain", b"2026-01-01 00:00:00 ERROR host app[1]: boom\nanything else\n", 2),
]


@pytest.mark.parametrize(("content_type", "body", "events"), FORMATS)
def test_each_body_format_is_taken(gateway: Gateway, content_type: str | None, body: bytes, events: int) -> None:
    before = len(gateway.lines())
    answer = gateway.send(body, content_type=content_type)
    assert (answer.status, answer.json["accepted"]) == (200, events)
    assert len(gateway.lines()) == before + events


@pytest.mark.parametrize("content_type", ["application/xml", "text/html", "application/grpc", "nonsense"])
def test_another_media_type_is_415(gateway: Gateway, content_type: str) -> None:
    answer = gateway.send(b"x", content_type=content_type)
    assert (answer.status, answer.reason) == (415, "unsupported_media_type")
    assert answer.headers["connection"] == "close"
    assert gateway.metric("logops_rejected_total", reason="unsupported_media_type", gateway="auth") >= 1


def test_another_charset_is_415(gateway: Gateway) -> None:
    answer = gateway.send(EVENTS, content_type="application/json; charset=shift_jis")
    assert (answer.status, answer.reason) == (415, "unsupported_charset")
    assert gateway.metric("logops_rejected_total", reason="unsupported_charset", gateway="auth") >= 1


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bodies_are_taken_and_their_bombs_refused(gateway: Gateway, encoding: str) -> None:
    def pack(data: bytes) -> bytes:
        return gzip.compress(data) if encoding == "gzip" else zstandard.compress(data)

    fine = gateway.send(pack(json.dumps(EVENTS).encode()), headers={"Content-Encoding": encoding})
    assert (fine.status, fine.json["accepted"]) == (200, 1)
    bomb = gateway.send(pack(b" " * 10_000_000), headers={"Content-Encoding": encoding})
    assert (bomb.status, bomb.reason, bomb.headers["x-backpressure-reason"]) == (413, "too_large", "too_large")
    torn = gateway.send(pack(json.dumps(EVENTS * 20).encode())[:-9], headers={"Content-Encoding": encoding})
    assert (torn.status, torn.reason) == (400, "malformed")


@pytest.mark.parametrize("encoding", ["br", "gzip, deflate", "gzip, gzip"])
def test_another_content_encoding_is_415(gateway: Gateway, encoding: str) -> None:
    answer = gateway.send(EVENTS, headers={"Content-Encoding": encoding})
    assert (answer.status, answer.reason) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "reason"),
    [
        ("application/json", b"", 400, "empty"),
        ("application/json", b'{"msg":', 400, "malformed"),
        ("application/json", b"[1,2,3]", 422, "no_valid_events"),
        ("application/x-ndjson", b"not json\nnor this\n", 422, "no_valid_events"),
        ("application/json", b'{"resourceSpans":[{"scopeSpans":[]}]}', 415, "otlp_not_supported"),
    ],
)
def test_a_body_without_events_is_refused(
    gateway: Gateway, content_type: str, body: bytes, status: int, reason: str
) -> None:
    before = len(gateway.lines())
    answer = gateway.send(body, content_type=content_type)
    assert (answer.status, answer.reason) == (status, reason)
    assert len(answer.json["detail"]) > 15
    assert len(gateway.lines()) == before
    assert gateway.metric("logops_rejected_total", reason=reason, gateway="ingest") >= 1


def test_unreadable_events_are_counted_listed_and_kept_masked(gateway: Gateway) -> None:
    parse_errors = gateway.metric("logops_parse_errors_total", emitter="web")
    body = [{"msg": "fine"}, "stray bob@example.com", 7, *[None] * 60]
    answer = gateway.send(body)
    assert answer.status == 200
    summary = answer.json
    assert (summary["accepted"], summary["rejected"], len(summary["errors"])) == (1, 62, 50)
    assert summary["errors"][0] == {"index": 1, "reason": "not_an_object"}
    kept = [line for line in gateway.rejected() if line["batch_id"] == summary["batch_id"]]
    assert len(kept) == 62
    assert kept[0]["emitter"] == "web"
    assert "b***@example.com" in kept[0]["text"]
    assert gateway.metric("logops_parse_errors_total", emitter="web") == parse_errors + 62


def test_keep_alive_and_pipelining_keep_the_order(gateway: Gateway) -> None:
    def post(n: int, close: bool) -> bytes:
        body = json.dumps({"msg": f"p{n}"}).encode()
        fields = signed("web-1", "test-secret-web-1", body)
        fields |= {"Content-Length": str(len(body)), "Host": "x", "X-Batch-Id": f"pipelined-{n}-{id(gateway)}"}
        if close:
            fields["Connection"] = "close"
        head = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        return f"POST /ingest HTTP/1.1\r\n{head}\r\n".encode() + body

    received = raw(gateway.auth_port, b"".join(post(n, n == 9) for n in range(10)))
    ids = [part.split(b'"')[0].decode() for part in received.split(b'"batch_id":"')[1:]]
    assert ids == [f"pipelined-{n}-{id(gateway)}" for n in range(10)]


def test_expect_100_is_answered_after_the_checks(gateway: Gateway) -> None:
    body = b'{"msg":"expected"}'
    fields = signed("web-1", "test-secret-web-1", body)
    lines = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    tail = f"Host: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    accepted = raw(gateway.auth_port, f"POST /ingest HTTP/1.1\r\n{lines}{tail}".encode() + body)
    assert accepted.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    refused = raw(gateway.auth_port, f"POST /ingest HTTP/1.1\r\n{tail}".encode())
    assert refused.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in refused


def test_a_refusal_before_the_body_closes_and_the_rest_is_never_a_request(gateway: Gateway) -> None:
    inner = b"GET /healthz HTTP/1.1\r\nHost: smuggled.test\r\n\r\n"
    outer = b"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(inner)
    received = raw(gateway.auth_port, outer + inner + inner)
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in received
