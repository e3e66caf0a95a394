"""Loki's push API on real gateways: by Loki's own message classes, and by handlers that people run."""

from __future__ import annotations

import gzip
import json
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from logging_loki import LokiHandler

from logops_fast.formats import snappy_block
from tests.data.regen import DATA
from tests.support.gateway import Answer, Gateway, request, running
from tests.support.loki import PATH, json_push, snappy_push
from tests.support.ports import free_port
from tests.support.services import require_service

pytestmark = pytest.mark.process

CORPUS = (DATA / "events_loki.json").read_bytes()
STORED = [
    json.loads(line) for line in (DATA / "golden" / "stored_events_loki_json.ndjson").read_text("utf-8").splitlines()
]
PROTOBUF = "application/x-protobuf"
TIME = "1741003200000000005"
DEDUP = {"dedup": {"by_body": ["web", "unknown"]}}
WINSTON = ("winston@3.19.0", "winston-loki@6.1.7")


def push(gateway: Gateway, body: bytes, content_type: str | None = PROTOBUF, **headers: str) -> Answer:
    """A signed push, as Promtail sends it but for the signature."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.send(body, target=PATH, content_type=content_type, headers=named)


def as_stored(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event | {"scenario_id": "golden"} for event in events]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("up"), settings=DEDUP) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Gateway]]:
    with running(tmp_path_factory.mktemp("ingest"), "ingest", settings=DEDUP) as ingest:
        forward = {"url": f"http://127.0.0.1:{ingest.ingest_port}/v1/logs"}
        with running(tmp_path_factory.mktemp("authgw"), "authgw", settings={"forward": forward, **DEDUP}) as front:
            yield front, ingest


@pytest.mark.parametrize(
    ("content_type", "body", "encoding"),
    [
        (PROTOBUF, snappy_push(CORPUS), ""),
        (None, snappy_push(CORPUS), "snappy"),
        (PROTOBUF, gzip.compress(snappy_push(CORPUS)), "gzip"),
        ("application/json", CORPUS, ""),
        ("application/json; charset=utf-8", zstandard.compress(CORPUS), "zstd"),
    ],
    ids=["snappy", "snappy, named", "snappy in gzip", "json", "json in zstd"],
)
def test_each_entry_of_a_push_is_stored(tmp_path: Path, content_type: str | None, body: bytes, encoding: str) -> None:
    with running(tmp_path) as gateway:
        answer = push(gateway, body, content_type, **({"Content_Encoding": encoding} if encoding else {}))
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers
        assert as_stored(gateway.stored()) == STORED


def test_a_push_is_forwarded_with_its_tenant(split: tuple[Gateway, Gateway]) -> None:
    front, ingest = split
    for body, content_type in ((snappy_push(CORPUS), PROTOBUF), (CORPUS, "application/json")):
        before = len(ingest.lines())
        answer = push(front, body, content_type, X_Scope_OrgID="team-a")
        assert (answer.status, answer.body) == (204, b"")
        stored = as_stored(ingest.stored()[before:])
        assert stored == [{**event, "tenant": "team-a"} for event in STORED]


def test_single_entries_that_are_refused_are_kept_and_the_answer_is_204(up: Gateway) -> None:
    before = len(up.rejected())
    answer = push(up, json_push(({"a": "b"}, [[TIME, "good one"], [TIME], [TIME, "bad", 7]])), "application/json")
    assert answer.status == 204
    assert [event["reason"] for event in up.rejected()[before:]] == ["bad_entry", "bad_entry"]
    assert up.stored()[-1]["msg"] == "good one"
    assert up.metric("logops_parse_errors_total", format="loki_json") == 2


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"no snappy", {}, 400, "malformed"),
        (snappy_block.compress(b"\x0a\x09"), {}, 400, "malformed"),
        (b"", {}, 400, "empty"),
        (b"\xff\xff\xff\x0f\x00a", {}, 413, "too_large"),
        (snappy_block.compress(b"\0" * (16 << 20) + b"\0"), {}, 413, "too_large"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {"Content-Type": "application/json", "Content-Encoding": "snappy"}, 415, "unsupported_encoding"),
        (b'{"streams":[]}', {"Content-Type": "application/json"}, 422, "no_valid_events"),
        (b'{"events":[]}', {"Content-Type": "application/json"}, 400, "malformed"),
        (snappy_push(CORPUS), {"X-Scope-OrgID": "a|b"}, 400, "bad_tenant"),
        (snappy_push(CORPUS), {"X-Scope-OrgID": ".."}, 400, "bad_tenant"),
        (snappy_push(CORPUS), {"X-Batch-Id": "a b"}, 400, "bad_batch_id"),
    ],
)  # fmt: skip
def test_refusals_are_a_line_of_text_at_either_gateway(
    up: Gateway, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    headers = {"Content-Type": PROTOBUF, **headers}
    for answer in (
        up.send(body, target=PATH, content_type=None, headers=headers),
        request(up.ingest_port, "POST", PATH, body, headers),
    ):
        assert (answer.status, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
        assert answer.body.decode().startswith(f"{reason}: ")
        assert answer.body.endswith(b"\n")


def test_strangers_and_other_methods_are_answered_in_text_too(up: Gateway) -> None:
    unsigned = request(up.auth_port, "POST", PATH, b"x", {"Content-Type": PROTOBUF})
    assert (unsigned.status, unsigned.body.partition(b":")[0]) == (401, b"missing_headers")
    for method in ("GET", "PUT"):
        answer = request(up.auth_port, method, PATH)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert answer.body.startswith(b"method_not_allowed: ")
    assert request(up.auth_port, "HEAD", PATH).status == 405


def test_a_push_over_its_bucket_is_429_with_retry_after(tmp_path: Path) -> None:
    bucket = {"capacity": 70, "refill_per_sec": 0.01}
    with running(tmp_path, settings={"ratelimit": {"per_emitter": bucket}}) as gateway:
        assert push(gateway, snappy_push(CORPUS)).status == 204
        refused = push(gateway, snappy_push(CORPUS))
        assert (refused.status, refused.body.partition(b":")[0]) == (429, b"rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        # 64 of 70 were charged: the count that is read off the wire is exact.
        assert float(refused.headers["x-ratelimit-remaining"]) == pytest.approx(6, abs=1)


# dedup.by_body


def timed(name: str) -> bytes:
    return json_push(({"app": name}, [[TIME, f"{name} {number}"] for number in range(5)]))


def test_a_push_that_is_sent_again_is_stored_once_however_it_is_compressed(
    up: Gateway, split: tuple[Gateway, Gateway]
) -> None:
    for front, behind in ((up, up), split):
        before, counted = len(behind.lines()), behind_metric(behind)
        for body, headers in (
            (timed("again"), {}),
            (gzip.compress(timed("again")), {"Content_Encoding": "gzip"}),
            (zstandard.compress(timed("again")), {"Content_Encoding": "zstd"}),
        ):
            assert push(front, body, "application/json", **headers).status == 204
        assert len(behind.lines()) - before == 5
        assert behind_metric(behind) - counted == 2
        # Another tenant, path or client is another batch.
        assert push(front, timed("again"), "application/json", X_Scope_OrgID="b").status == 204
        other = front.send(timed("again"), target="/v1/logs")
        assert (other.status, other.json.get("duplicate")) == (200, None)
        again = front.send(timed("again"), target="/v1/logs")
        assert again.json == other.json | {"duplicate": True}
        assert len(behind.lines()) - before == 15


def behind_metric(gateway: Gateway) -> float:
    port = gateway.ingest_port
    return sum(gateway.metrics(port).get("logops_deduplicated_batches_total", {}).values())


def test_a_push_whose_answer_a_crash_swallowed_is_stored_once(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"authgw": {"port": free_port()}, "ingest": {"port": free_port()}, **DEDUP}
    # In memory: after the crash nothing but the sink's journal knows the batch.
    settings["state"] = {"backend": "memory"}
    with running(tmp_path, settings=settings) as gateway:
        assert push(gateway, timed("crash"), "application/json").status == 204
        os.killpg(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait()
    with running(tmp_path, settings=settings) as gateway:
        assert push(gateway, timed("crash"), "application/json").status == 204
        assert len(gateway.lines()) == 5
        assert behind_metric(gateway) == 1


# What people run


@pytest.fixture(scope="module")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """For handlers that can sign nothing."""
    with running(tmp_path_factory.mktemp("open"), settings={"auth": {"mode": "none"}, **DEDUP}) as gateway:
        yield gateway


LINES = [f'line {number}, ünïcode 東京 "quoted" \\ back\tslash' for number in range(40)]


def test_python_logging_loki_is_stored_line_for_line(open_door: Gateway) -> None:
    before = len(open_door.lines())
    handler = LokiHandler(f"http://127.0.0.1:{open_door.auth_port}{PATH}", tags={"app": "billing"}, version="1")
    logger = logging.Logger("shop.cart")
    logger.addHandler(handler)
    failed: list[logging.LogRecord] = []
    handler.handleError = failed.append
    for number, line in enumerate(LINES):
        logger.log(logging.WARNING if number % 2 else logging.ERROR, line, extra={"tags": {"order-id": str(number)}})
    handler.emitter.close()
    assert not failed
    stored = open_door.stored()[before:]
    assert [event["msg"] for event in stored] == LINES
    assert [event["level"] for event in stored] == ["ERROR", "WARN"] * 20
    assert {(event["app"], event["logger"]) for event in stored} == {("billing", "shop.cart")}
    assert [event["order_id"] for event in stored] == [str(number) for number in range(40)]
    assert all(event["ts"][4::3][:6] == "--T::." and len(event["ts"]) == 30 for event in stored)


SENDER = """
const { createLogger, format } = require('winston')
const LokiTransport = require('winston-loki')
const [host, json, ...lines] = process.argv.slice(2)
const transport = new LokiTransport({
  host, json: json === 'json', labels: { app: 'billing' }, format: format.printf(info => info.message),
  replaceTimestamp: true, onConnectionError: error => { console.error(error); process.exitCode = 1 }
})
const logger = createLogger({ transports: [transport] })
lines.forEach((line, number) => logger.log(number % 2 ? 'warn' : 'error', line))
setImmediate(() => transport.close().then(() => process.exit()))
"""


@pytest.fixture(scope="module")
def winston() -> Path:
    """A folder with winston-loki, which stays for the next run."""
    node = require_service("node")
    folder = Path(tempfile.gettempdir()) / f"logops-{WINSTON[1]}-{os.getuid()}"
    if not (folder / "done").exists():
        folder.mkdir(exist_ok=True)
        npm = shutil.which("npm")
        command = [npm or "npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), *WINSTON]
        if npm is None or subprocess.run(command, cwd=folder, timeout=300, check=False).returncode:
            if os.environ.get("LOGOPS_REQUIRE_SERVICES") == "1":
                pytest.fail(f"{WINSTON} cannot be installed")
            pytest.skip(f"{WINSTON} cannot be installed")
        (folder / "done").touch()
    assert node
    return folder


@pytest.mark.service
@pytest.mark.parametrize("kind", ["protobuf", "json"])
def test_winston_loki_is_stored_line_for_line(open_door: Gateway, winston: Path, tmp_path: Path, kind: str) -> None:
    before = len(open_door.lines())
    script = tmp_path / "send.js"
    script.write_text(SENDER)
    done = subprocess.run(
        ["node", script, f"http://127.0.0.1:{open_door.auth_port}", kind, *LINES],
        env={**os.environ, "NODE_PATH": str(winston / "node_modules")},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    stored = open_door.stored()[before:]
    assert sorted(event["msg"] for event in stored) == sorted(LINES)
    by_level = {level: [e["msg"] for e in stored if e["level"] == level] for level in ("ERROR", "WARN")}
    assert by_level == {"ERROR": LINES[::2], "WARN": LINES[1::2]}
    assert {event["app"] for event in stored} == {"billing"}
