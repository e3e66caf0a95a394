"""What several workers or two gateways promise together (contract 3 and 4)."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.gateway import KEY, SECRET, request, running
from tests.support.signing import signed

pytestmark = pytest.mark.process

BODY = json.dumps([{"msg": "hello", "level": "info"}]).encode()
LENIENT = {"failures": {"capacity": 100000, "refill_per_sec": 1000}}


@pytest.mark.parametrize("workers", [1, 2])
def test_one_client_that_fills_the_memory_of_nonces_costs_no_other_a_request(tmp_path: Path, workers: int) -> None:
    settings = {"state": {"max_nonces": 250}, "auth": LENIENT}
    with running(tmp_path, settings=settings, workers=workers) as gateway:
        seen: Counter[str] = Counter()
        for _ in range(600):
            answer = gateway.send(BODY)
            seen["200" if answer.status == 200 else f"{answer.status} {answer.reason}"] += 1
        assert set(seen) == {"200", "429 too_many_nonces"}
        assert seen["200"] >= 250
        others = [gateway.send(BODY, key="app-2", secret="test-secret-app-2").status for _ in range(50)]
        assert others == [200] * 50


def test_four_workers_are_one_gateway(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    settings = {
        "auth": LENIENT,
        "ratelimit": {"overrides": {"batch": {"capacity": 100, "refill_per_sec": 0.001}}},
    }
    with running(tmp_path, settings=settings, workers=4) as gateway, ThreadPoolExecutor(32) as pool:
        headers = signed(KEY, SECRET, BODY)
        answers = list(pool.map(lambda _: request(gateway.auth_port, "POST", "/ingest", BODY, headers, 20), range(200)))
        assert sorted(a.status for a in answers) == [200] + [401] * 199
        assert {a.reason for a in answers if a.status == 401} == {"replay"}

        batch = json.dumps([{"msg": "x"}] * 3).encode()
        answers = list(pool.map(lambda _: gateway.send(batch, headers={"X-Emitter": "batch"}, timeout=20), range(80)))
        admitted = sum(a.status == 200 for a in answers)
        assert admitted == 33, "100 tokens hold 33 batches of 3, whichever worker takes them"
        assert {a.reason for a in answers if a.status != 200} == {"rate_limited"}

        assert gateway.metric("logops_accepted_total") == 1 + 99
        assert gateway.metric("logops_auth_requests_total") == 280
        assert gateway.metric("logops_ingested_total") == 1 + 99
        assert len(gateway.stored()) == 100
        assert {p.name.split(".", 1)[1] for p in gateway.sink.glob("*.ndjson")} <= {f"w{i}.ndjson" for i in range(4)}
        assert len(gateway.workers()) == 4


def test_one_batch_id_is_stored_once_whichever_worker_gets_it(tmp_path: Path) -> None:
    with running(tmp_path, settings={"auth": LENIENT}, workers=3) as gateway:
        answers = [gateway.send(BODY, headers={"X-Batch-Id": "retry-1"}) for _ in range(12)]
        assert {a.status for a in answers} == {200}
        assert len({a.body for a in answers}) == 1
        assert len(gateway.stored()) == 1
        other = gateway.send(BODY, key="app-2", secret="test-secret-app-2", headers={"X-Batch-Id": "retry-1"})
        assert other.status == 200
        assert len(gateway.stored()) == 2, "a batch id belongs to one emitter"


def test_the_split_deployment_keeps_the_same_promises(tmp_path: Path) -> None:
    with running(tmp_path / "ingest", "ingest") as ingest:
        settings = {"auth": LENIENT, "forward": {"url": f"http://127.0.0.1:{ingest.ingest_port}/v1/logs"}}
        with running(tmp_path / "auth", "authgw", settings=settings) as authgw:
            answer = authgw.send(BODY, headers={"X-Scenario": "split", "X-Batch-Id": "b-1"})
            assert (answer.status, answer.json["accepted"], answer.json["emitter"]) == (200, 1, "web")
            assert answer.json["scenario_id"] == "split"
            assert answer.headers["x-ratelimit-remaining"]
            assert authgw.send(BODY, headers={"X-Batch-Id": "b-1"}).body == answer.body
            assert len(ingest.stored()) == 1
            bad = authgw.send(b"{")
            assert (bad.status, bad.reason) == (400, "malformed")
            assert authgw.metric("logops_forward_attempts_total", outcome="ok") >= 2
            assert authgw.metric("logops_circuit_breaker_state") == 0


def test_a_dead_ingest_is_502_then_circuit_open_then_recovers(tmp_path: Path) -> None:
    with running(tmp_path / "ingest", "ingest") as ingest:
        settings = {
            "auth": LENIENT,
            "forward": {"url": f"http://127.0.0.1:{ingest.ingest_port}/v1/logs", "base_delay": 0.01, "max_delay": 0.02},
            "breaker": {"min_calls": 5, "open_for": 1},
        }
        with running(tmp_path / "auth", "authgw", settings=settings) as authgw:
            assert authgw.send(BODY).status == 200
            ingest.process.send_signal(9)
            os.killpg(ingest.process.pid, 9)
            ingest.process.wait(60)
            reasons = [authgw.send(BODY).reason for _ in range(12)]
            assert reasons[0] == "downstream_error"
            assert reasons[-1] == "circuit_open"
            assert set(reasons) == {"downstream_error", "circuit_open"}
            answer = authgw.send(BODY)
            assert (answer.status, answer.headers["x-backpressure-reason"]) == (503, "circuit_open")
            assert int(answer.headers["retry-after"]) >= 1
            ready = request(authgw.auth_port, "GET", "/readyz")
            assert (ready.status, ready.reason) == (503, "circuit_open")
            assert authgw.metric("logops_circuit_breaker_state") == 2
            settings_again = {"ingest": {"port": ingest.ingest_port}}
            with running(tmp_path / "ingest", "ingest", settings=settings_again):
                deadline = time.monotonic() + 60
                while (answer := authgw.send(BODY)).status != 200:
                    assert time.monotonic() < deadline, answer
                    time.sleep(0.1)


def test_a_slow_ingest_is_504(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "auth": LENIENT,
            "forward": {
                "url": f"http://127.0.0.1:{silent.getsockname()[1]}/v1/logs",
                "connect_timeout": 0.3,
                "read_timeout": 0.3,
                "deadline": 0.7,
                "base_delay": 0.01,
            },
        }
        with running(tmp_path, "authgw", settings=settings) as authgw:
            answer = authgw.send(BODY)
            assert (answer.status, answer.reason) == (504, "downstream_timeout")
