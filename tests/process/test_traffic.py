"""Traffic against the real gateway: what scenarios promise, and the four tools that sign."""

from __future__ import annotations

import json
import random
import runpy
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import KEY, SECRET, Gateway, request, running

pytestmark = [pytest.mark.process, pytest.mark.slow]

TOOLS = Path(__file__).resolve().parents[2] / "tools"
LENIENT = {"failures": {"capacity": 100000, "refill_per_sec": 1000}}


def headers_of(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.strip().splitlines())


def cases(seed: int, count: int) -> Iterator[tuple[str, str, str, str]]:
    """Random targets, bodies, timestamps and nonces, all of which the gateway takes."""
    rng = random.Random(seed)
    alphabet = string.ascii_letters + string.digits + " äß漢🍣\"'$`\\{}[]%&*!#~"
    for number in range(count):
        words = "".join(rng.choices(alphabet, k=rng.randrange(40)))
        query = "".join(rng.choices(string.ascii_letters + string.digits + "=&%+.~-_", k=rng.randrange(20)))
        target = rng.choice(("/ingest", "/v1/logs")) + (f"?{query}" if query else "")
        stamp = int(time.time()) + rng.randrange(0, 30)
        nonce = f"{number:05d}-" + "".join(rng.choices(string.ascii_letters + string.digits + "._~-", k=12))
        yield target, json.dumps({"msg": words, "n": number}, ensure_ascii=rng.random() < 0.5), str(stamp), nonce


def by_shell(port: int, case: tuple[str, str, str, str]) -> dict[str, str]:
    target, body, stamp, nonce = case
    command = [str(TOOLS / "hmac_curl.sh"), "--print", "-k", KEY, "-s", SECRET, "--ts", stamp, "--nonce", nonce]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}{target}", body], check=True, capture_output=True)
    return headers_of(done.stdout.decode())


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.long)])
def test_bash_and_python_sign_random_requests_alike_and_the_gateway_takes_them(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = runpy.run_path(str(TOOLS / "sign_hmac.py"))["main"]
    with running(tmp_path, settings={"auth": LENIENT}) as gateway, ThreadPoolExecutor(2) as pool:
        prepared = list(cases(7, count))
        shell = list(pool.map(lambda case: by_shell(gateway.auth_port, case), prepared))
        for case, headers in zip(prepared, shell, strict=True):
            target, body, stamp, nonce = case
            url = f"http://127.0.0.1:{gateway.auth_port}{target}"
            words = ["sign_hmac.py", KEY, SECRET, "POST", url, "--ts", stamp, "--nonce", nonce, "--one-per-line", body]
            monkeypatch.setattr(sys, "argv", words)
            assert sign() == 0
            assert headers_of(capsys.readouterr().out) == headers, case
            answer = request(gateway.auth_port, "POST", target, body.encode(), headers)
            assert answer.status == 200, (case, answer)
        assert len(gateway.stored()) == count


def scenario(gateway: Gateway, tmp_path: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """Run a scenario by the real command; its totals."""
    path = tmp_path / "scenario.yaml"
    path.write_text(json.dumps(tree))
    url = f"http://127.0.0.1:{gateway.auth_port}/ingest"
    command = [sys.executable, "-m", "logops_fast", "scenario", "run", str(path), "--json", "--seed", "1"]
    done = subprocess.run(
        [*command, "--url", url, "--key", KEY, "--secret", SECRET], cwd=tmp_path, capture_output=True, timeout=90
    )
    totals: dict[str, Any] = json.loads(done.stdout)
    return totals


class Watch(threading.Thread):
    """Polls /healthz until stopped."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.answers, self.failures = port, 0, 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(0.02):
            try:
                ok = request(self.port, "GET", "/healthz", timeout=30).status == 200
            except OSError:
                ok = False
            self.answers += ok
            self.failures += not ok


def test_an_overload_of_five_times_the_bucket_is_shed_and_recovers(tmp_path: Path) -> None:
    settings = {
        "auth": LENIENT,
        "ratelimit": {"overrides": {"batch": {"capacity": 1000, "refill_per_sec": 1000}}},
        "backpressure": {"max_items": 500},
    }
    with running(tmp_path, settings=settings) as gateway:
        watch = Watch(gateway.auth_port)
        watch.start()
        flood = {
            "name": "flood",
            "duration_sec": 6,
            "tick_sec": 0.5,
            "emitters": [
                {"name": "batch", "kind": "json", "emitter": "batch", "eps": 5000, "args": {"batch_size": 100}},
                {"name": "large", "kind": "json", "emitter": "web", "eps": 3000, "args": {"batch_size": 1000}},
                {"name": "web", "kind": "json", "emitter": "web", "eps": 500, "args": {"batch_size": 50}},
            ],
        }
        started = time.monotonic()
        totals = scenario(gateway, tmp_path, flood)
        end = time.monotonic()
        body = json.dumps([{"msg": "after"}] * 100).encode()
        while gateway.send(body, headers={"X-Emitter": "batch"}).status != 200:
            assert time.monotonic() - end < 60, "it does not recover"
            time.sleep(0.05)
        watch.stopping.set()
        watch.join(10)
        assert watch.failures == 0
        assert watch.answers > 0
        assert set(totals["refused"]) == {"429 rate_limited", "413 too_many_items"}
        assert len(gateway.stored()) == totals["accepted"] + 100
        # The bucket of `batch`: full at the start, and refilled for no longer than the scenario ran.
        admitted = sum(event["emitter"] == "batch" for event in gateway.stored()) - 100
        assert 1000 <= admitted <= 1000 + 1000 * (end - started)


def test_burst_then_ramp_loses_nothing(tmp_path: Path) -> None:
    import yaml

    from logops_fast.emitters.scenario import find

    tree = yaml.safe_load(find("burst-then-ramp").read_text())
    scale = 6 / tree["duration_sec"]
    tree["duration_sec"] = 6
    for emitter in tree["emitters"]:
        emitter["emitter"] = "web"
        for name, value in emitter.get("schedule", {}).items():
            if name.endswith("_sec"):
                emitter["schedule"][name] = value * scale
        for name in ("every_sec", "length_sec"):
            if name in emitter.get("bursts", {}):
                emitter["bursts"][name] *= scale
    with running(tmp_path, settings={"auth": LENIENT}) as gateway:
        totals = scenario(gateway, tmp_path, tree)
        assert totals["accepted"] == len(gateway.stored()) > 1000
        assert totals["refused"] == {}


def test_emit_and_a_scenario_work_for_a_client_that_is_held_to_version_2(tmp_path: Path) -> None:
    clients = {KEY: {"secrets": [SECRET], "emitter": "web", "signature_version": 2}}
    flow = {
        "name": "small",
        "duration_sec": 1,
        "tick_sec": 0.5,
        "emitters": [{"name": "web", "kind": "json", "eps": 40}],
    }
    with running(tmp_path, settings={"auth": {**LENIENT, "audience": "eu-1"}}, clients=clients) as gateway:
        options = ["--json", "--url", f"http://127.0.0.1:{gateway.auth_port}/ingest"]
        emit = [
            sys.executable,
            "-m",
            "logops_fast",
            "emit",
            "json",
            "--emitter",
            "web",
            "--eps",
            "40",
            "--duration",
            "1",
        ]
        done = subprocess.run([*emit, *options], cwd=tmp_path, capture_output=True, timeout=90)
        assert done.returncode == 0, done.stderr
        accepted = json.loads(done.stdout)["accepted"]
        assert accepted > 0
        accepted += scenario(gateway, tmp_path, flow)["accepted"]
        assert len(gateway.stored()) == accepted
        wrong = [*emit, *options, "--audience", "us-1"]
        done = subprocess.run(wrong, cwd=tmp_path, capture_output=True, timeout=90)
        assert set(json.loads(done.stdout)["refused"]) == {"401 bad_signature"}


@pytest.mark.parametrize("mode", ["api_key", "any", "none"])
def test_emit_and_sign_work_in_every_mode(tmp_path: Path, mode: str) -> None:
    token = "kX2vQ9bT7mLs4RzW8nYp3c"
    clients = {KEY: {"secrets": [SECRET], "emitter": "web", "emitters": ["web", "json"], "tokens": [token]}}
    logops = [sys.executable, "-m", "logops_fast"]
    with running(tmp_path, settings={"auth": {"mode": mode, **LENIENT}}, clients=clients) as gateway:
        url = f"http://127.0.0.1:{gateway.auth_port}/ingest"
        emit = [*logops, "emit", "json", "--eps", "50", "--duration", "0.5", "--url", url, "--json"]
        for own in ([], ["--token", token]):
            done = subprocess.run([*emit, *own], cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            totals = json.loads(done.stdout)
            assert totals["accepted"] == totals["sent"] > 0
        sign = [*logops, "sign", "POST", url, '[{"msg":"signed or with a token"}]', "--curl"]
        curl = subprocess.run(sign, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        answer = subprocess.run(["sh", "-c", curl], capture_output=True, check=True).stdout
        assert json.loads(answer)["accepted"] == 1
