"""OTLP/HTTP at the real gateways: by OpenTelemetry's own SDK, and by requests made by hand."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import zstandard
from google.rpc.status_pb2 import Status
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource

from tests.support.gateway import KEY, SECRET, Answer, Gateway, request, running, start
from tests.support.ports import free_port
from tests.support.signing import signed

pytestmark = pytest.mark.process

PROTOBUF = "application/x-protobuf"
DATA = Path(__file__).resolve().parents[1] / "data"
NUMBER = 10_000
EXPORT_TIMEOUT = 60.0  # seconds; the SDK tries again within it


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settled = {
        "auth": {"failures": {"capacity": 1_000_000}},
        "backpressure": {"max_body_bytes": 400_000, "max_items": 1000, "max_event_bytes": 20_000},
        "ratelimit": {"overrides": {"csv": {"capacity": 50, "refill_per_sec": 0.001}}},
    }
    with running(tmp_path_factory.mktemp("otlp"), settings=settled) as started:
        yield started


class Sign(requests.auth.AuthBase):
    """Signs what the SDK sends."""

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        assert isinstance(prepared.body, bytes)
        prepared.headers.update(signed(KEY, SECRET, prepared.body, target=prepared.path_url))
        return prepared


def exporter(gateway: Gateway, **options: Any) -> OTLPLogExporter:
    session = requests.Session()
    session.auth = Sign()
    url = f"http://127.0.0.1:{gateway.auth_port}/v1/logs"
    return OTLPLogExporter(endpoint=url, session=session, timeout=EXPORT_TIMEOUT, **options)


def records(number: int, marker: str) -> list[ReadableLogRecord]:
    """Records as the SDK makes them."""
    kept = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(resource=Resource.create({"service.name": "shop", "host.name": "node-1"}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    logger = provider.get_logger("otlp.test", "1.0")
    for at in range(number):
        logger.emit(
            LogRecord(
                timestamp=1_741_003_200_000_000_001 + at,
                severity_number=SeverityNumber.WARN,
                severity_text="WARNING",
                body=f"{marker}-{at}",
                attributes={"at": at, "ratio": 0.5, "tags": ["a", "b"]},
            )
        )
    return list(kept.get_finished_logs())


def post(gateway: Gateway, body: bytes, **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.send(body, target="/v1/logs", content_type=fields.pop("Content-Type", PROTOBUF), headers=fields)


def status_of(answer: Answer) -> Status:
    assert answer.headers["content-type"] == PROTOBUF
    return Status.FromString(answer.body)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_what_the_python_sdk_exports_is_stored(gateway: Gateway, compression: Compression) -> None:
    marker = f"sdk-{compression.value}"
    assert exporter(gateway, compression=compression).export(records(3, marker)) is LogRecordExportResult.SUCCESS
    stored = [event for event in gateway.stored() if event["msg"].startswith(marker)]
    assert [event["ts"] for event in stored] == [f"2025-03-03T12:00:00.00000000{n}Z" for n in (1, 2, 3)]
    first = stored[0]
    assert (first["level"], first["app"], first["host"], first["emitter"]) == ("WARN", "shop", "node-1", "web")
    assert first["attributes"] == {"at": 0, "ratio": 0.5, "tags": ["a", "b"]}
    assert first["scope"] == {"name": "otlp.test", "version": "1.0"}
    assert first["resource"]["telemetry.sdk.language"] == "python"


@pytest.mark.parametrize("form", ["pb", "json"])
@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "zstd"])
def test_the_reviewed_records_are_stored_as_reviewed(gateway: Gateway, form: str, encoding: str) -> None:
    body = (DATA / f"events_otlp.{form}").read_bytes()
    packs: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }
    before = len(gateway.stored())
    headers = {"Content_Encoding": encoding} if encoding else {}
    media_type = PROTOBUF if form == "pb" else "application/json"
    answer = post(gateway, packs[encoding](body), Content_Type=media_type, **headers)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (
        200,
        b"" if form == "pb" else b"{}",
        media_type,
    )
    assert int(answer.headers["x-ratelimit-remaining"]) > 0
    golden = [json.loads(line) for line in (DATA / "golden" / "stored_events_otlp_pb.ndjson").read_text().splitlines()]
    stored = gateway.stored()[before:]
    assert len(stored) == len(golden)
    for event, expected in zip(stored, golden, strict=True):
        expected["scenario_id"] = "na"
        if event["msg"] in ("no time at all", "time 0 is none"):
            event.pop("ts"), expected.pop("ts")
        assert event == expected


def test_an_empty_export_is_a_success(gateway: Gateway) -> None:
    before = len(gateway.lines())
    for body, media_type in ((b"", PROTOBUF), (b'{"resourceLogs":[]}', "application/json")):
        assert post(gateway, body, Content_Type=media_type).status == 200
    assert len(gateway.lines()) == before


def test_refused_records_are_a_partial_success_and_kept(gateway: Gateway) -> None:
    export = ExportLogsServiceRequest()
    logs = export.resource_logs.add().scope_logs.add().log_records
    logs.add().body.string_value = "partial small"
    logs.add().body.string_value = "partial large " + "x" * 30_000
    answer = post(gateway, export.SerializeToString())
    partial = ExportLogsServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_log_records) == (200, 1)
    assert "event_too_large" in partial.error_message
    assert "partial large" in gateway.rejected()[-1]["text"]
    text = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}},{"body":7}]}]}]}'
    answer = post(gateway, text, Content_Type="application/json")
    assert answer.json["partialSuccess"]["rejectedLogRecords"] == "1"


def many(number: int) -> bytes:
    export = ExportLogsServiceRequest()
    logs = export.resource_logs.add().scope_logs.add().log_records
    for _ in range(number):
        logs.add().severity_number = 9
    return bytes(export.SerializeToString())


def test_refusals_are_statuses_with_reason_and_sentence(gateway: Gateway) -> None:
    good = many(1)
    for answer, http_status, code, reason in (
        (post(gateway, good, X_Signature="AAAA"), 401, 16, "bad_signature"),
        (post(gateway, good, X_Emitter="other"), 403, 7, "emitter_not_allowed"),
        (post(gateway, b"x" * 500_000), 413, 3, "too_large_hdr"),
        (post(gateway, many(1001)), 413, 3, "too_many_items"),
        (post(gateway, good, Content_Encoding="br"), 415, 3, "unsupported_encoding"),
        (post(gateway, b"\x0a\x05"), 400, 3, "malformed"),
        (post(gateway, gzip.compress(good)[:-4], Content_Encoding="gzip"), 400, 3, "malformed"),
        (post(gateway, good, X_Batch_Id="a b"), 400, 3, "bad_batch_id"),
    ):
        status = status_of(answer)
        assert (answer.status, status.code) == (http_status, code), status
        assert status.message.startswith(f"{reason}: ")
    # Of JSON it is known by the body alone.
    broken = post(gateway, b'{"resourceLogs":[', Content_Type="application/json")
    assert (broken.status, broken.json["code"], broken.json["message"][:11]) == (400, 3, "malformed: ")
    agent = {"Content-Type": "application/json", "User-Agent": "OTel-OTLP-Exporter-JavaScript/0.200.0"}
    stranger = request(gateway.auth_port, "POST", "/v1/logs", b"{}", agent)
    assert (stranger.status, stranger.json["message"][:17]) == (401, "missing_headers: ")


def test_a_batch_over_the_rate_is_429_with_retry_after(gateway: Gateway) -> None:
    while (answer := post(gateway, many(40), X_Emitter="csv")).status == 200:
        pass
    assert (answer.status, status_of(answer).code) == (429, 8)
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/traces"])
def test_other_signals_are_404_with_a_sentence(gateway: Gateway, path: str) -> None:
    for port in (gateway.auth_port, gateway.ingest_port):
        answer = request(port, "POST", path, b"", {"Content-Type": PROTOBUF})
        status = status_of(answer)
        assert (answer.status, status.code) == (404, 5)
        assert "logs alone" in status.message


def test_in_a_split_deployment_the_sender_is_answered_the_same(tmp_path: Path) -> None:
    with running(tmp_path / "ingest", "ingest") as behind:
        forward = {"url": f"http://127.0.0.1:{behind.ingest_port}/v1/logs", "deadline": 2, "max_attempts": 1}
        with running(tmp_path / "auth", "authgw", settings={"forward": forward}) as front:
            for form, media_type, empty in (("pb", PROTOBUF, b""), ("json", "application/json", b"{}")):
                body = (DATA / f"events_otlp.{form}").read_bytes()
                for answer in (
                    post(front, body, Content_Type=media_type),
                    request(behind.ingest_port, "POST", "/v1/logs", body, {"Content-Type": media_type}),
                ):
                    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, empty, media_type)
            assert len(behind.stored()) == 4 * 67
            assert front.metric("logops_forward_attempts_total", outcome="ok") == 2
            malformed = post(front, b"\x0a\x05")
            assert (malformed.status, status_of(malformed).message[:11]) == (400, "malformed: ")
            behind.stop()
            away = post(front, many(1))
            assert (away.status, status_of(away).code) == (502, 14)


class Restarted:
    """A gateway that is killed and started again, as soon as there is something stored of the next share."""

    def __init__(self, folder: Path, kills: int) -> None:
        ports = {name: {"port": free_port()} for name in ("authgw", "ingest")}
        self.settings = {**ports, "auth": {"mode": "none"}, "dedup": {"by_body": ["web"]}}
        self.folder = folder
        self.kills = kills
        self.gateway = start(folder, settings=self.settings)
        self.finished = threading.Event()

    def run(self) -> None:
        for number in range(1, self.kills + 1):
            while len(self.gateway.lines()) < number * NUMBER // (self.kills + 2) and not self.finished.is_set():
                time.sleep(0.01)
            os.killpg(self.gateway.process.pid, signal.SIGKILL)
            self.gateway.process.wait()
            self.gateway = start(self.folder, settings=self.settings)

    def stop(self) -> None:
        self.finished.set()
        self.gateway.stop()


@pytest.mark.fault
@pytest.mark.slow
def test_each_record_that_the_python_sdk_counts_as_exported_is_stored_though_the_gateway_is_killed(
    tmp_path: Path,
) -> None:
    restarted = Restarted(tmp_path, kills=2)
    killer = threading.Thread(target=restarted.run)
    try:
        sender = exporter(restarted.gateway, headers={"X-Emitter": "web"})
        batches = [records(100, f"b{number}") for number in range(NUMBER // 100)]
        killer.start()
        exported = [
            number for number, batch in enumerate(batches) if sender.export(batch) is LogRecordExportResult.SUCCESS
        ]
        restarted.finished.set()
        killer.join()
        stored = Counter(event["msg"] for event in restarted.gateway.stored())
        assert len(exported) > NUMBER // 200
        missing = {f"b{number}-{at}" for number in exported for at in range(100)} - stored.keys()
        assert not missing
        # What was sent again because its answer was lost is recognised by its body.
        assert max(stored.values()) == 1
    finally:
        restarted.stop()


EXPORTING = """
const {LoggerProvider, BatchLogRecordProcessor} = require('@opentelemetry/sdk-logs');
const {OTLPLogExporter} = require('@opentelemetry/exporter-logs-otlp-http');
const {resourceFromAttributes} = require('@opentelemetry/resources');
const exporter = new OTLPLogExporter({url: process.argv[2], headers: {'X-Emitter': 'web'}, timeoutMillis: 60000});
let exported = 0;
const send = exporter.export.bind(exporter);
exporter.export = (logs, done) => send(logs, (result) => {
  if (result.code === 0) exported += logs.length; else console.error(result.error);
  done(result);
});
const processor = new BatchLogRecordProcessor({
  exporter, maxQueueSize: 20000, maxExportBatchSize: 500, exportTimeoutMillis: 60000,
});
const resource = resourceFromAttributes({'service.name': 'node-shop'});
const provider = new LoggerProvider({resource, processors: [processor]});
const logger = provider.getLogger('node', '2');
for (let i = 0; i < Number(process.argv[3]); i++) {
  const attributes = {i, half: 0.5, big: 2 ** 52, list: [1, 'b']};
  logger.emit({severityNumber: 17, severityText: 'ERROR', body: `node-${i}`, attributes});
}
provider.forceFlush().then(() => provider.shutdown()).then(() => console.log(exported));
"""
PACKAGES = (
    "@opentelemetry/api-logs@0.223.1",
    "@opentelemetry/exporter-logs-otlp-http@0.223.1",
    "@opentelemetry/resources@2.12.1",
    "@opentelemetry/sdk-logs@0.223.1",
)


@pytest.fixture(scope="module")
def node_folder() -> Path:
    """A folder with the exporter for Node, kept between runs."""
    folder = Path(tempfile.gettempdir()) / f"logops-node-otlp-{PACKAGES[1].rpartition('@')[2]}-{os.getuid()}"
    if not (folder / "done").exists():
        folder.mkdir(exist_ok=True)
        npm = shutil.which("npm")
        command = [npm or "npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
        if npm is None or subprocess.run(command, cwd=folder, timeout=300, check=False).returncode:
            if os.environ.get("LOGOPS_REQUIRE_SERVICES"):
                pytest.fail("node's packages cannot be installed")
            pytest.skip("node's packages cannot be installed")
        (folder / "done").touch()
    return folder


@pytest.mark.service
@pytest.mark.slow
def test_each_record_that_the_node_sdk_counts_as_exported_is_stored(tmp_path: Path, node_folder: Path) -> None:
    restarted = Restarted(tmp_path, kills=1)
    killer = threading.Thread(target=restarted.run)
    (node_folder / "exporting.js").write_text(EXPORTING)
    try:
        killer.start()
        url = f"http://127.0.0.1:{restarted.gateway.auth_port}/v1/logs"
        command = ["node", "exporting.js", url, str(NUMBER)]
        done = subprocess.run(command, cwd=node_folder, capture_output=True, text=True, timeout=300, check=True)
        restarted.finished.set()
        killer.join()
        stored = Counter(event["msg"] for event in restarted.gateway.stored())
        assert int(done.stdout) >= NUMBER // 2, done.stderr
        assert len(stored) >= int(done.stdout)
        assert max(stored.values()) == 1
        first = next(event for event in restarted.gateway.stored() if event["msg"] == "node-0")
        assert (first["level"], first["app"]) == ("ERROR", "node-shop")
        assert first["attributes"] == {"i": 0, "half": 0.5, "big": 2**52, "list": [1, "b"]}
        assert first["scope"] == {"name": "node", "version": "2"}
    finally:
        restarted.stop()
