"""Attacks on the door: replays in time and space, burnt nonces, stale keys, and the clock of an attacker."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.process.test_spec_auth import LENIENT, aged_state
from tests.support.gateway import KEY, SECRET, Answer, Gateway, raw, request, running, write_keys
from tests.support.services import redis_server
from tests.support.signing import signed

pytestmark = [pytest.mark.process, pytest.mark.slow]

BODY = json.dumps([{"msg": "attack"}]).encode()
SETTINGS: dict[str, Any] = {"auth": LENIENT}


def post(gateway: Gateway, headers: dict[str, str], body: bytes = BODY) -> Answer:
    return request(gateway.auth_port, "POST", "/ingest", body, headers)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("attacks")
    aged_state(folder / "data" / "state")
    with running(folder, settings=SETTINGS, workers=2) as started:
        yield started


# The clock.


@pytest.mark.parametrize(("offset", "status"), [(-299, 200), (299, 200), (-301, 401), (301.9, 401)])
def test_the_edge_of_the_tolerance_is_sharp(gateway: Gateway, offset: float, status: int) -> None:
    stamp = (datetime.now(UTC) + timedelta(seconds=offset)).isoformat(timespec="milliseconds")
    answer = gateway.send(BODY, timestamp=stamp)
    assert answer.status == status
    if status != 200:
        assert answer.reason == "clock_skew"


@pytest.mark.parametrize(
    ("stamp", "reason"),
    [
        ("-1", "bad_timestamp"),
        ("-{now}", "bad_timestamp"),
        ("+{now}", "bad_timestamp"),
        ("{now}.500", "bad_timestamp"),
        ("{now}e0", "bad_timestamp"),
        ("0x{now:x}", "bad_timestamp"),
        ("1_700_000_000", "bad_timestamp"),
        ("nan", "bad_timestamp"),
        ("inf", "bad_timestamp"),
        ("9" * 400, "bad_timestamp"),
        ("٣٤٥٦٧٨٩٠١٢".encode().decode("latin-1"), "bad_timestamp"),
        ("9999-12-31T23:59:59Z", "clock_skew"),
        ("9999-12-31T23:59:59-23:59", "clock_skew"),
        ("0000-01-01T00:00:00Z", "bad_timestamp"),
        ("0001-01-01T00:00:00Z", "clock_skew"),
        ("2026-02-30T00:00:00Z", "bad_timestamp"),
        ("999999999999", "clock_skew"),
        ("0", "clock_skew"),
    ],
)
def test_no_timestamp_confuses_the_clock(gateway: Gateway, stamp: str, reason: str) -> None:
    good = signed(KEY, SECRET, BODY, timestamp="0")
    answer = post(gateway, {**good, "X-Timestamp": stamp.format(now=int(time.time()))})
    assert answer.status == 401
    assert answer.reason == reason


def test_a_timestamp_in_another_form_is_under_the_signature(gateway: Gateway) -> None:
    now = int(time.time())
    headers = signed(KEY, SECRET, BODY, timestamp=str(now))
    same_moment = datetime.fromtimestamp(now, UTC).isoformat()
    assert post(gateway, {**headers, "X-Timestamp": same_moment}).reason == "bad_signature"


# Replays.


def test_a_replay_is_refused_to_the_end_of_the_window_and_after_it(tmp_path: Path) -> None:
    """The stamp lies in the future, where a nonce kept for the tolerance from now would be forgotten too early."""
    tolerance = 2
    settings = {"auth": {**LENIENT, "clock_tolerance": tolerance}}
    with running(tmp_path, settings=settings, workers=2) as gateway:
        stamp = datetime.now(UTC) + timedelta(seconds=1.5)
        headers = signed(KEY, SECRET, BODY, timestamp=stamp.isoformat(timespec="milliseconds"))
        assert post(gateway, headers).status == 200
        reasons: Counter[str] = Counter()
        while datetime.now(UTC) < stamp + timedelta(seconds=tolerance + 1.5):
            answer = post(gateway, headers)
            assert answer.status == 401
            reasons[answer.reason] += 1
        assert set(reasons) == {"replay", "clock_skew"}
        assert len(gateway.stored()) == 1


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_a_replay_is_refused_across_a_restart(tmp_path: Path, workers: int, end: str) -> None:
    with running(tmp_path, settings=SETTINGS, workers=workers) as first:
        used = [signed(KEY, SECRET, BODY) for _ in range(20)]
        assert {post(first, headers).status for headers in used} == {200}
        unused = signed(KEY, SECRET, BODY)
        if end == "SIGKILL":
            first.process.kill()
            first.process.wait(60)
            deadline = time.monotonic() + 60
            while True:
                try:
                    request(first.auth_port, "GET", "/healthz", timeout=1)
                except OSError:
                    break
                assert time.monotonic() < deadline
    with running(tmp_path, settings=SETTINGS, workers=workers) as second:
        answers = [post(second, headers) for headers in used * 3]
        assert {(a.status, a.reason) for a in answers} == {(401, "replay")}
        assert post(second, unused).status == 200, "what was not used before the restart is good after it"
        assert len(second.stored()) == 21


def test_a_replay_is_refused_when_the_memory_of_nonces_was_removed(tmp_path: Path) -> None:
    with running(tmp_path, settings=SETTINGS) as first:
        used = signed(KEY, SECRET, BODY)
        assert post(first, used).status == 200
    for path in (tmp_path / "data" / "state").iterdir():
        path.unlink()
    # What was signed within the second of the start cannot be distinguished from what was signed after it.
    time.sleep(1.1)
    with running(tmp_path, settings=SETTINGS) as second:
        assert post(second, used).reason == "replay"
        assert second.send(BODY).status == 200


@pytest.mark.service
def test_two_gateways_on_one_redis_are_one_to_a_replay(tmp_path: Path) -> None:
    with redis_server() as redis:
        settings = {**SETTINGS, "state": {"backend": "redis", "redis_url": redis.url}}
        with (
            running(tmp_path / "a", settings=settings) as a,
            running(tmp_path / "b", settings=settings, workers=2) as b,
            ThreadPoolExecutor(16) as pool,
        ):
            time.sleep(1.1)
            for _ in range(10):
                headers = signed(KEY, SECRET, BODY)
                tries = pool.map(lambda one, h=headers: post(one, h).status, [a, b] * 8)
                assert sorted(tries) == [200] + [401] * 15
            assert len(a.stored()) + len(b.stored()) == 10
            used = signed(KEY, SECRET, BODY)
            assert post(a, used).status == 200
            redis.kill()
            assert post(b, used).status == 503, "nonces fail closed"
            time.sleep(1.1)
            redis.start()
            deadline = time.monotonic() + 60
            for one in (a, b):
                # Each worker finds the way back by itself; until then it says so, and accepts nothing.
                while (reasons := {post(one, used).reason for _ in range(16)}) != {"replay"}:
                    assert reasons <= {"replay", "state_unavailable"}
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                assert one.send(BODY).status == 200


def test_a_thousand_forgeries_burn_no_nonce_and_fill_no_memory(gateway: Gateway) -> None:
    good = [signed(KEY, SECRET, BODY, nonce=f"wanted-nonce-{i}") for i in range(100)]
    for headers in good:
        for change in ({"X-Signature": "A" * 43 + "="}, {"X-Api-Key": "app-2"}, {"X-Api-Key": "nobody"}):
            assert post(gateway, {**headers, **change}).status == 401
    assert {post(gateway, headers).status for headers in good} == {200}


def test_one_nonce_used_by_many_at_once_is_used_once(gateway: Gateway) -> None:
    with ThreadPoolExecutor(16) as pool:
        for _ in range(10):
            headers = signed(KEY, SECRET, BODY)
            assert sorted(pool.map(lambda _, h=headers: post(gateway, h).status, range(16))) == [200] + [401] * 15


# Claimed identities.


def test_no_header_of_the_client_speaks_for_the_gateway(tmp_path: Path) -> None:
    with running(tmp_path / "ingest", "ingest") as ingest:
        settings = {**SETTINGS, "forward": {"url": f"http://127.0.0.1:{ingest.ingest_port}/v1/logs"}}
        with running(tmp_path / "auth", "authgw", settings=settings) as auth:
            event = json.dumps({"msg": "x", "emitter": "boss", "scenario_id": "theirs"}).encode()
            answer = auth.send(event, headers={"X-Emitter": "batch", "X-Scenario-Id": "mine"})
            assert answer.json["emitter"] == "batch"
            assert auth.send(event, headers={"X-Emitter": "app"}).reason == "emitter_not_allowed"
            assert auth.send(event).json["emitter"] == "web"
            stored = ingest.stored()
            assert [line["emitter"] for line in stored] == ["batch", "web"]
            assert [line["scenario_id"] for line in stored] == ["mine", "na"]


@pytest.mark.parametrize(
    "name", ["X-Emitter", "X-Api-Key", "X-Signature", "X-Nonce", "X-Timestamp", "X-Content-SHA256"]
)
def test_a_header_that_comes_twice_is_no_choice_of_the_gateway(gateway: Gateway, name: str) -> None:
    fields = {**signed(KEY, SECRET, BODY), "X-Emitter": "web", "Host": "x", "Content-Length": str(len(BODY))}
    lines = [f"{k}: {v}" for k, v in fields.items()]
    for extra in (f"{name}: {fields[name]}", f"{name.lower()}: app", f"{name.replace('-', '_')}: app"):
        head = "\r\n".join(["POST /ingest HTTP/1.1", *lines, extra, "", ""]).encode()
        assert raw(gateway.auth_port, head + BODY).startswith(b"HTTP/1.1 400 "), extra


# Keys that come and go.


class Steady(threading.Thread):
    """Sends with whatever secret is current, over and over; keeps what was refused."""

    def __init__(self, gateway: Gateway, current: list[str]) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.current = current
        self.stopping = threading.Event()
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        while not self.stopping.is_set():
            secret = self.current[0]
            answer = self.gateway.send(BODY, secret=secret)
            self.answers["200" if answer.status == 200 else f"{answer.status} {answer.reason}"] += 1


def reload(gateway: Gateway, secrets: list[str], workers: int) -> None:
    """Other secrets, and SIGHUP; returns when every worker has said that it took them."""
    before = gateway.output().count("reloaded")
    write_keys(gateway.dir / "data" / "keys.yaml", {KEY: {"secrets": secrets, "emitter": "web"}})
    gateway.signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while gateway.output().count("reloaded") < before + workers:
        assert time.monotonic() < deadline, gateway.output()
        time.sleep(0.01)


def test_keys_are_rotated_under_load_without_a_refused_request(tmp_path: Path) -> None:
    with running(tmp_path, settings=SETTINGS, workers=2) as gateway:
        old = SECRET
        reload(gateway, [old], 2)
        current = [old]
        senders = [Steady(gateway, current) for _ in range(4)]
        for sender in senders:
            sender.start()
        for number in range(5):
            new = f"rotated-secret-{number}"
            reload(gateway, [new, current[0]], 2)
            current[0] = new
            time.sleep(0.2)  # a request that was signed with the old secret has arrived by then
            reload(gateway, [new], 2)
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join(15)
        answers = sum((sender.answers for sender in senders), Counter())
        assert set(answers) == {"200"}, answers
        assert answers["200"] > 50
        assert gateway.send(BODY, secret=old).reason == "bad_signature"


def test_a_revoked_key_is_refused_by_every_worker_once_they_have_reloaded(tmp_path: Path) -> None:
    import http.client

    with running(tmp_path, settings=SETTINGS, workers=3) as gateway:
        kept = [http.client.HTTPConnection("127.0.0.1", gateway.auth_port, timeout=5) for _ in range(12)]

        def over(connection: http.client.HTTPConnection) -> int:
            connection.request("POST", "/ingest", BODY, signed(KEY, SECRET, BODY))
            response = connection.getresponse()
            response.read()
            return response.status

        assert {over(connection) for connection in kept} == {200}
        reload(gateway, ["another-secret-now"], 3)
        assert {over(connection) for connection in kept} == {401}, "a kept connection keeps no right"
        assert {gateway.send(BODY).reason for _ in range(30)} == {"bad_signature"}
        assert gateway.send(BODY, secret="another-secret-now").status == 200
