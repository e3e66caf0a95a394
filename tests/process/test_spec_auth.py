"""contract 3, row by row, against the real command over sockets: status, reason, headers and metric."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import shutil
import signal
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from logops_fast.config.sections.state import StateSettings
from logops_fast.config.settings import Settings
from logops_fast.runtime.state_size import state_caps
from logops_fast.state.factory import open_state
from tests.support.gateway import KEY, SECRET, Answer, Gateway, raw, request, running
from tests.support.signing import signed, signed_v2

pytestmark = pytest.mark.process
BODY = json.dumps([{"msg": "hello", "level": "info"}]).encode()
TOKEN = "kX2vQ9bT7mLs4RzW8nYp3c"
WITH_TOKEN = {KEY: {"secrets": [SECRET], "emitter": "web", "tokens": [TOKEN]}}
LENIENT = {"failures": {"capacity": 100000, "refill_per_sec": 1000}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {
        "auth": LENIENT,
        "backpressure": {"max_body_bytes": 20000, "max_items": 50},
        "ratelimit": {
            "overrides": {"csv": {"capacity": 10, "refill_per_sec": 1}, "app": {"capacity": 60, "refill_per_sec": 1}}
        },
    }
    folder = tmp_path_factory.mktemp("auth")
    aged_state(folder / "data" / "state")
    with running(folder, settings=settings) as started:
        yield started


def aged_state(directory: Path) -> None:
    """A state directory made an hour ago: one made now would refuse what was signed before it, as it should."""
    directory.parent.mkdir(parents=True)
    settings = Settings(state=StateSettings(max_request_rate=500))  # as of tests.support.gateway
    state = open_state(
        "shared",
        workers=1,
        directory=directory,
        redis_url="",
        tolerance=300,
        caps=state_caps(settings, "up"),
        wall=lambda: time.time() - 3600,
    )
    asyncio.run(state.close())


def test_row_6_what_was_signed_before_the_memory_of_nonces_began_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, settings={"auth": LENIENT}) as gateway:
        answer = gateway.send(BODY, timestamp=str(int(time.time()) - 30))
        assert (answer.status, answer.reason) == (401, "replay")
        assert "first start" in answer.json["detail"]
        assert gateway.send(BODY).status == 200


def test_row_6_a_hundred_requests_signed_before_the_first_start_lock_no_one_out(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        stamp = str(int(time.time()) - 30)
        assert {gateway.send(BODY, timestamp=stamp).reason for _ in range(150)} == {"replay"}
        assert gateway.send(BODY).status == 200


def assert_refused(gateway: Gateway, answer: Answer, status: int, reason: str, before: float) -> None:
    """The shape that every refusal has, and its metric."""
    assert (answer.status, answer.reason) == (status, reason)
    assert set(answer.json) == {"error", "detail"}
    assert len(answer.json["detail"]) > 15
    assert answer.headers["content-type"] == "application/json"
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    if status in (413, 503):
        assert answer.headers["x-backpressure-reason"] == reason
    assert gateway.metric("logops_rejected_total", gateway="auth", reason=reason) == before + 1


def count(gateway: Gateway, reason: str) -> float:
    return gateway.metric("logops_rejected_total", gateway="auth", reason=reason)


def test_row_1_a_declared_length_over_the_cap_is_413_before_anything_else(gateway: Gateway) -> None:
    before = count(gateway, "too_large_hdr")
    answer = request(gateway.auth_port, "POST", "/ingest", b"x" * 20001, {})
    assert_refused(gateway, answer, 413, "too_large_hdr", before)
    assert answer.headers["connection"] == "close"


HEADER_CASES = [
    ("missing_headers", {"X-Api-Key": None}),
    ("missing_headers", {"X-Timestamp": None}),
    ("missing_headers", {"X-Content-SHA256": None}),
    ("missing_headers", {"X-Signature": None}),
    ("missing_headers", {"X-Nonce": None}),
    ("bad_timestamp", {"X-Timestamp": "yesterday"}),
    ("bad_timestamp", {"X-Timestamp": "1700000000.5"}),
    ("bad_timestamp", {"X-Timestamp": "2026-01-01T00:00:00"}),
    ("bad_nonce", {"X-Nonce": "short"}),
    ("bad_nonce", {"X-Nonce": "x" * 129}),
    ("bad_nonce", {"X-Nonce": "white space here"}),
    ("bad_content_sha256", {"X-Content-SHA256": "abc"}),
    ("bad_content_sha256", {"X-Content-SHA256": "g" * 64}),
]


@pytest.mark.parametrize(("reason", "change"), HEADER_CASES, ids=str)
def test_row_2_headers_must_be_there_and_well_formed(
    gateway: Gateway, reason: str, change: dict[str, str | None]
) -> None:
    before = count(gateway, reason)
    headers = signed(KEY, SECRET, BODY)
    for name, value in change.items():
        headers.pop(name)
        if value is not None:
            headers[name] = value
    answer = request(gateway.auth_port, "POST", "/ingest", BODY, headers)
    assert_refused(gateway, answer, 401, reason, before)
    assert answer.headers["connection"] == "close"


def test_row_3_an_unknown_key_is_refused(gateway: Gateway) -> None:
    before = count(gateway, "unknown_client")
    assert_refused(gateway, gateway.send(BODY, key="nobody"), 401, "unknown_client", before)


@pytest.mark.parametrize("offset", [-302, 302, -86400 * 400, 10**9])
def test_row_4_a_clock_out_of_tolerance_is_refused(gateway: Gateway, offset: int) -> None:
    before = count(gateway, "clock_skew")
    answer = gateway.send(BODY, timestamp=str(int(time.time()) + offset))
    assert_refused(gateway, answer, 401, "clock_skew", before)


@pytest.mark.parametrize("offset", [-297, 297])
def test_row_4_a_clock_within_tolerance_passes_in_each_form(gateway: Gateway, offset: int) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=offset)
    for text in (
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        moment.isoformat(timespec="milliseconds"),
        str(int(moment.timestamp())),
    ):
        assert gateway.send(BODY, timestamp=text).status == 200


def test_row_5_each_signed_part_is_under_the_signature(gateway: Gateway) -> None:
    good = signed(KEY, SECRET, BODY)
    other = b'{"msg":"other"}'
    tampered = [
        {**good, "X-Nonce": "another-nonce-1"},
        {**good, "X-Timestamp": str(int(good["X-Timestamp"]) - 1)},
        {**good, "X-Content-SHA256": hashlib.sha256(other).hexdigest()},
        {**good, "X-Signature": "A" * 43 + "="},
        {**good, "X-Signature": "not base64 at all"},
        signed(KEY, "a wrong secret", BODY),
        signed(KEY, SECRET, BODY, target="/v1/logs"),
        signed(KEY, SECRET, BODY, method="PUT"),
    ]
    for headers in tampered:
        before = count(gateway, "bad_signature")
        answer = request(gateway.auth_port, "POST", "/ingest", BODY, headers)
        assert_refused(gateway, answer, 401, "bad_signature", before)
    assert request(gateway.auth_port, "POST", "/ingest", BODY, good).status == 200


def test_row_5_the_query_is_signed_and_both_secrets_of_a_rotation_work(gateway: Gateway) -> None:
    assert gateway.send(BODY, target="/ingest?a=1&b=%20").status == 200
    headers = signed(KEY, SECRET, BODY, target="/ingest?a=1")
    assert request(gateway.auth_port, "POST", "/ingest?a=2", BODY, headers).reason == "bad_signature"
    for secret in ("test-secret-app-2", "test-secret-app-2-old"):
        assert gateway.send(BODY, key="app-2", secret=secret).status == 200


def test_row_6_a_replay_is_refused_and_a_bad_signature_burns_no_nonce(gateway: Gateway) -> None:
    headers = signed(KEY, SECRET, BODY)
    forged = {**headers, "X-Signature": signed(KEY, "wrong", BODY)["X-Signature"]}
    assert request(gateway.auth_port, "POST", "/ingest", BODY, forged).reason == "bad_signature"
    assert request(gateway.auth_port, "POST", "/ingest", BODY, headers).status == 200
    before = count(gateway, "replay")
    answer = request(gateway.auth_port, "POST", "/ingest", BODY, headers)
    assert_refused(gateway, answer, 401, "replay", before)


def test_row_6_a_nonce_belongs_to_its_client(gateway: Gateway) -> None:
    nonce = "the-same-nonce-1"
    assert gateway.send(BODY, nonce=nonce).status == 200
    assert gateway.send(BODY, key="app-2", secret="test-secret-app-2", nonce=nonce).status == 200


def test_row_7_an_emitter_must_be_the_clients_own_or_listed(gateway: Gateway) -> None:
    assert gateway.send(BODY).json["emitter"] == "web"
    assert gateway.send(BODY, headers={"X-Emitter": "batch"}).json["emitter"] == "batch"
    for emitter in ("app", "Batch", "batch ", "x" * 300, "é"):
        before = count(gateway, "emitter_not_allowed")
        answer = gateway.send(BODY, headers={"X-Emitter": emitter.encode().decode("latin-1")})
        if emitter == "batch ":  # white space around a value is no part of it (RFC 9110, 5.5)
            assert answer.status == 200
        else:
            assert_refused(gateway, answer, 403, "emitter_not_allowed", before)


def test_row_8_a_body_over_the_cap_is_cut_off_while_it_arrives(gateway: Gateway) -> None:
    before = count(gateway, "too_large")
    body = b"x" * 30000
    fields = signed(KEY, SECRET, body) | {"Host": "x", "Transfer-Encoding": "chunked"}
    head = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    chunks = b"".join(b"%x\r\n%s\r\n" % (1000, b"x" * 1000) for _ in range(30)) + b"0\r\n\r\n"
    received = raw(gateway.auth_port, f"POST /ingest HTTP/1.1\r\n{head}\r\n".encode() + chunks)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"x-backpressure-reason: too_large\r\n" in received
    assert b"connection: close" in received
    assert received.count(b"HTTP/1.1 ") == 1
    assert count(gateway, "too_large") == before + 1


def test_row_8_a_body_that_is_not_the_signed_one_is_refused(gateway: Gateway) -> None:
    before = count(gateway, "bad_content_sha256")
    other = BODY.replace(b"hello", b"jello")
    answer = request(gateway.auth_port, "POST", "/ingest", other, signed(KEY, SECRET, BODY))
    assert_refused(gateway, answer, 401, "bad_content_sha256", before)


def test_row_8_the_digest_may_be_upper_case_and_the_body_chunked(gateway: Gateway) -> None:
    digest = hashlib.sha256(BODY).hexdigest().upper()
    assert gateway.send(BODY, digest=digest).status == 200
    fields = signed(KEY, SECRET, BODY) | {"Host": "x", "Transfer-Encoding": "chunked", "Connection": "close"}
    head = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    received = raw(gateway.auth_port, f"POST /ingest HTTP/1.1\r\n{head}\r\n".encode() + chunks)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", json.dumps([{"m": 1}] * 51).encode()),
        ("application/json", b"[" + b",".join([b"1"] * 51) + b"]"),
        ("application/x-ndjson", b'{"m":1}\n' * 51),
        ("text/csv", b"ts,level,msg\n" + b"2026-01-01T00:00:00Z,INFO,x\n" * 51),
        ("text/plain", b"x\n" * 51),
    ],
)
def test_row_9_too_many_items(gateway: Gateway, content_type: str, body: bytes) -> None:
    before = count(gateway, "too_many_items")
    answer = gateway.send(body, content_type=content_type)
    assert_refused(gateway, answer, 413, "too_many_items", before)


def test_row_9_braces_in_text_and_nested_objects_are_no_items(gateway: Gateway) -> None:
    events = [{"msg": "{" * 50, "nested": [{}] * 50}] * 50
    answer = gateway.send(json.dumps(events).encode())
    assert (answer.status, answer.json["accepted"]) == (200, 50)


def test_row_10_the_bucket_counts_events_and_says_when_the_batch_would_fit(gateway: Gateway) -> None:
    def send(n: int) -> Answer:
        return gateway.send(json.dumps([{"msg": "{"}] * n).encode(), headers={"X-Emitter": "csv"})

    first = send(8)
    assert first.status == 200
    assert first.headers["x-ratelimit-limit"] == "10"
    assert first.headers["x-ratelimit-remaining"] == "2"
    before = count(gateway, "rate_limited")
    denied_before = gateway.metric("logops_ratelimit_denied_events_total", emitter="csv")
    refused = send(8)
    assert_refused(gateway, refused, 429, "rate_limited", before)
    assert 5 <= int(refused.headers["retry-after"]) <= 6
    assert int(refused.headers["x-ratelimit-remaining"]) in (2, 3)
    assert gateway.metric("logops_ratelimit_denied_events_total", emitter="csv") == denied_before + 8
    never = send(11)
    assert (never.status, never.reason) == (413, "too_many_items")
    assert "holds 10" in never.json["detail"]
    assert "split" in never.json["detail"]
    assert gateway.send(BODY).status == 200, "another emitter has a bucket of its own"


def test_row_10_a_batch_that_was_refused_for_now_may_be_sent_again_as_it_is(tmp_path: Path) -> None:
    settings = {"ratelimit": {"per_emitter": {"capacity": 3, "refill_per_sec": 2}}}
    with running(tmp_path, settings=settings) as gateway:
        batch = json.dumps([{"msg": "x"}] * 3).encode()
        assert gateway.send(batch).status == 200
        headers = signed(KEY, SECRET, batch)
        seen: list[int] = []
        deadline = time.monotonic() + 60
        while not seen or seen[-1] != 200:
            seen.append(request(gateway.auth_port, "POST", "/ingest", batch, headers).status)
            assert time.monotonic() < deadline
        assert set(seen[:-1]) == {429}
        assert request(gateway.auth_port, "POST", "/ingest", batch, headers).reason == "replay"
        assert len(gateway.stored()) == 6


def test_row_10_a_few_huge_events_cost_what_they_weigh(tmp_path: Path) -> None:
    settings = {"ratelimit": {"per_emitter": {"capacity": 30, "refill_per_sec": 0.001}}}
    with running(tmp_path, settings=settings) as gateway:
        heavy = json.dumps([{"msg": "x" * 10_000}]).encode()
        assert gateway.send(heavy).headers["x-ratelimit-remaining"] == "21"
        assert gateway.send(BODY).headers["x-ratelimit-remaining"] == "20"


def test_a_client_that_is_gone_in_mid_body_may_send_the_same_again(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        headers = signed(KEY, SECRET, BODY) | {"Host": "x", "Content-Length": str(len(BODY))}
        head = "POST /ingest HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        with socket.create_connection(("127.0.0.1", gateway.auth_port)) as sock:
            sock.sendall(head.encode() + BODY[:10])
            deadline = time.monotonic() + 60
            while gateway.metric("logops_inflight_bytes", gateway="auth") == 0:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        deadline = time.monotonic() + 60
        while (answer := request(gateway.auth_port, "POST", "/ingest", BODY, headers)).status != 200:
            assert answer.reason == "replay"  # until the gateway has seen the end of the connection
            assert time.monotonic() < deadline
        assert len(gateway.stored()) == 1


def test_failed_authentications_are_limited_per_peer_and_right_signatures_pass(tmp_path: Path) -> None:
    settings = {"auth": {"failures": {"capacity": 5, "refill_per_sec": 1}}}
    with running(tmp_path, settings=settings) as gateway:
        for _ in range(20):
            assert request(gateway.auth_port, "POST", "/ingest", b"", {}).reason == "missing_headers"
        answers = [gateway.send(BODY, secret="wrong guess") for _ in range(8)]
        assert [answer.reason for answer in answers[:5]] == ["bad_signature"] * 5
        assert (answers[-1].status, answers[-1].reason) == (429, "auth_failures")
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert gateway.send(BODY).status == 200
        deadline = time.monotonic() + 60
        while gateway.send(BODY, secret="wrong guess").reason != "bad_signature":
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_token_from_a_blocked_address_is_refused_whatever_it_is(tmp_path: Path) -> None:
    settings = {"auth": {"mode": "any", "failures": {"capacity": 3, "refill_per_sec": 0.01}}}
    with running(tmp_path, settings=settings, clients=WITH_TOKEN) as gateway:

        def post(key: str) -> Answer:
            return request(gateway.auth_port, "POST", "/ingest", BODY, {"X-Api-Key": key})

        assert post(TOKEN).status == 200
        assert [post(f"guess {number}").reason for number in range(5)] == ["unknown_client"] * 3 + ["auth_failures"] * 2
        assert post(TOKEN).reason == "auth_failures"
        assert gateway.send(BODY).status == 200


def test_one_batch_id_for_two_bodies_is_422_and_the_second_is_not_stored(gateway: Gateway) -> None:
    first = gateway.send(BODY, headers={"X-Batch-Id": "reused-1"})
    assert first.status == 200
    stored = len(gateway.stored())
    before = gateway.metric("logops_rejected_total", gateway="ingest", reason="batch_id_reused")
    other = gateway.send(BODY.replace(b"hello", b"other"), headers={"X-Batch-Id": "reused-1"})
    assert (other.status, other.reason) == (422, "batch_id_reused")
    assert gateway.metric("logops_rejected_total", gateway="ingest", reason="batch_id_reused") == before + 1
    packed = gzip.compress(BODY)
    again = gateway.send(packed, headers={"X-Batch-Id": "reused-1", "Content-Encoding": "gzip"})
    assert (again.status, again.body) == (200, first.body), "a retry may be compressed"
    assert len(gateway.stored()) == stored


def test_an_id_from_the_journal_is_422_for_another_body(tmp_path: Path) -> None:
    """After a crash that also lost the tables of state, the journal alone knows the id."""
    fields = {"X-Batch-Id": "journal-1"}
    with running(tmp_path) as gateway:
        first = gateway.send(BODY, headers=fields)
        assert first.status == 200
        os.killpg(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait()
    shutil.rmtree(tmp_path / "data" / "state")
    with running(tmp_path) as gateway:
        other = gateway.send(BODY.replace(b"hello", b"other"), headers=fields)
        assert (other.status, other.reason) == (422, "batch_id_reused")
        again = gateway.send(BODY, headers=fields)
        assert (again.status, again.body) == (200, first.body)
        assert len(gateway.stored()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "text/plain"),
        ("X-Emitter", "batch"),
        ("X-Scenario-Id", "theirs"),
        ("X-Batch-Id", "theirs"),
        ("X-Scope-OrgID", "theirs"),
        ("Content-Encoding", "gzip"),
        ("X-Signature-Version", "1"),
        ("X-Signature-Version", None),
        ("X-Batch-Id", None),
    ],
)
def test_version_2_signs_what_decides_where_a_batch_goes(gateway: Gateway, name: str, value: str | None) -> None:
    fields = {
        "Content-Type": "application/json",
        "X-Scenario-Id": "mine",
        # No digits of a clock: one number in a thousand is a card's, and is refused.
        "X-Batch-Id": f"v2-{name}-{value}".replace("/", "-"),
        "X-Scope-OrgID": "tenant-1",
    }

    def post(change: dict[str, str | None]) -> Answer:
        headers = {**fields, **signed_v2(KEY, SECRET, BODY, fields), **change}
        return request(gateway.auth_port, "POST", "/ingest", BODY, {k: v for k, v in headers.items() if v is not None})

    assert post({name: value}).reason == "bad_signature"
    assert post({}).json["scenario_id"] == "mine"


def test_version_2_and_a_scenario_that_it_does_not_sign(gateway: Gateway) -> None:
    headers = signed_v2(KEY, SECRET, BODY, {}) | {"X-Scenario": "theirs"}
    answer = request(gateway.auth_port, "POST", "/ingest", BODY, headers)
    assert (answer.status, answer.reason) == (400, "bad_scenario_id")
    both = gateway.send(BODY, headers={"X-Scenario": "one", "X-Scenario-Id": "two"})
    assert (both.status, both.reason) == (400, "bad_scenario_id")
    assert gateway.send(BODY, headers={"X-Scenario": "one", "X-Scenario-Id": "one"}).json["scenario_id"] == "one"


def test_a_version_that_is_none_is_refused(gateway: Gateway) -> None:
    before = count(gateway, "bad_signature_version")
    headers = signed(KEY, SECRET, BODY) | {"X-Signature-Version": "3"}
    answer = request(gateway.auth_port, "POST", "/ingest", BODY, headers)
    assert_refused(gateway, answer, 401, "bad_signature_version", before)


def test_a_client_may_be_held_to_version_2_and_a_gateway_has_an_audience(tmp_path: Path) -> None:
    clients = {KEY: {"secrets": [SECRET], "emitter": "web", "signature_version": 2}}
    settings = {"auth": {"audience": "https://logs.example/ingest"}}
    with running(tmp_path, clients=clients, settings=settings) as gateway:
        assert gateway.send(BODY).reason == "bad_signature_version"

        def post(audience: str) -> Answer:
            headers = signed_v2(KEY, SECRET, BODY, {}, audience=audience)
            return request(gateway.auth_port, "POST", "/ingest", BODY, headers)

        assert post("https://logs.example/ingest").status == 200
        assert post("").reason == "bad_signature"
        assert post("https://elsewhere.example/ingest").reason == "bad_signature"


def test_requests_are_counted_by_status_and_timed_by_emitter(gateway: Gateway) -> None:
    requests = gateway.metric("logops_auth_requests_total", status="200", emitter="web")
    timed = gateway.metric("logops_auth_request_latency_seconds_count", emitter="web")
    batches = gateway.metric("logops_batch_latency_seconds_count", emitter="web")
    assert gateway.send(BODY).status == 200
    assert gateway.metric("logops_auth_requests_total", status="200", emitter="web") == requests + 1
    assert gateway.metric("logops_auth_request_latency_seconds_count", emitter="web") == timed + 1
    assert gateway.metric("logops_batch_latency_seconds_count", emitter="web") == batches + 1


@pytest.mark.parametrize("mode", ["api_key", "any", "none"])
def test_the_other_modes(tmp_path: Path, mode: str) -> None:
    """A token may come over plain HTTP from this machine, and not from one that a trusted proxy names."""
    settings = {"auth": {"mode": mode, **LENIENT}, "server": {"trusted_proxies": ["127.0.0.1"]}}
    with running(tmp_path, settings=settings, clients=WITH_TOKEN) as gateway:

        def post(headers: dict[str, str]) -> Answer:
            return request(gateway.auth_port, "POST", "/ingest", BODY, headers)

        if mode == "none":
            assert post({}).status == 200
            return
        assert post({"X-Api-Key": TOKEN}).json["emitter"] == "web"
        assert post({"Authorization": f"Bearer {TOKEN}"}).status == 200
        assert post({"Authorization": "Basic " + b64encode(f"{KEY}:{TOKEN}".encode()).decode()}).status == 200
        assert post({"X-Api-Key": "wrong"}).reason == "unknown_client"
        assert post({"X-Api-Key": SECRET}).reason == "unknown_client", "a signing secret is no token"
        assert post({}).reason == "missing_headers"
        bearer = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "203.0.113.9"}
        before = count(gateway, "tls_required")
        assert_refused(gateway, post(bearer), 403, "tls_required", before)
        assert post({**bearer, "X-Forwarded-Proto": "https"}).status == 200
        if mode == "any":
            assert gateway.send(BODY).status == 200
            half = signed(KEY, SECRET, BODY)
            del half["X-Signature"]
            assert post(half).status == 401, "half a signature is no token"
        assert TOKEN not in gateway.output()
