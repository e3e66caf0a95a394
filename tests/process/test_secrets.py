"""No secret in anything the program says: its log, its answers, its metrics, its commands, the files it writes."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet

from tests.support.gateway import Gateway, raw, request, running, wait_ready, write_keys
from tests.support.ports import free_port
from tests.support.signing import signed

pytestmark = [pytest.mark.process, pytest.mark.slow]

KEY = "web-1"
NOW_SECRET = "sEcReT-of-today-+/=&%"
OLD_SECRET = "sEcReT-of-yesterday"
GUESS = "a-wrong-gUeSs-that-may-be-near"
REDIS_PASSWORD = "rEdIs-pAsSwOrD"
FERNET = Fernet.generate_key().decode()
NEEDLES = (NOW_SECRET, OLD_SECRET, GUESS, REDIS_PASSWORD, FERNET)
BODY = b'[{"msg":"bob@example.com","client_ip":"10.1.2.3"}]'


def forms(secret: str) -> list[bytes]:
    """A secret as it may hide: as it is, in base64, in hex, in a URL, in JSON, in a Python repr."""
    data = secret.encode()
    return [
        data,
        base64.b64encode(data).rstrip(b"="),
        data.hex().encode(),
        quote(secret, safe="").encode(),
        json.dumps(secret).encode()[1:-1],
        repr(secret).encode()[1:-1],
    ]


def assert_silent(said: bytes, where: str) -> None:
    for secret in NEEDLES:
        for form in forms(secret):
            at = said.find(form)
            assert at < 0, f"{where} shows a secret: ...{said[max(0, at - 80) : at]!r}"


def cli(folder: Path, *args: str, text: bytes = b"") -> bytes:
    """Everything a command writes."""
    done = subprocess.run(
        [sys.executable, "-m", "logops_fast", *args],
        cwd=folder,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    assert b"Traceback" not in done.stdout, done.stdout.decode()
    assert done.stdout or args[0] in ("tail", "decrypt"), args
    return done.stdout


def provoke(gateway: Gateway) -> bytes:
    """Every kind of answer the gateway has for a client, and what its probes say."""
    said = []
    good = signed(KEY, NOW_SECRET, BODY)
    variants = [
        good,
        good,  # a replay
        signed(KEY, OLD_SECRET, BODY),
        signed(KEY, GUESS, BODY),
        signed(GUESS, GUESS, BODY),
        {**signed(KEY, NOW_SECRET, BODY), "X-Emitter": "boss"},
        signed(KEY, NOW_SECRET, BODY, timestamp="1"),
        signed(KEY, NOW_SECRET, BODY, nonce="x"),
        signed(KEY, NOW_SECRET, b"another body"),
        {"X-Api-Key": NOW_SECRET},
        {"X-Api-Key": f"{KEY}:{NOW_SECRET}"},
        {"Authorization": f"Bearer {NOW_SECRET}"},
        {**signed(KEY, NOW_SECRET, BODY), "Content-Type": "application/xml"},
    ]
    for headers in variants:
        answer = request(gateway.auth_port, "POST", "/ingest", BODY, headers)
        said += [answer.body, repr(answer.headers).encode()]
    said.append(raw(gateway.auth_port, b"GET /" + quote(NOW_SECRET).encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n", 0.3))
    said.append(raw(gateway.auth_port, b"POST /ingest HTTP/1.1\r\nX-Api-Key : " + NOW_SECRET.encode() + b"\r\n\r\n"))
    for port in (gateway.auth_port, gateway.ingest_port):
        said += [request(port, "GET", path).body for path in ("/metrics", "/healthz", "/readyz")]
    return b"\n".join(said)


def wait_for(gateway: Gateway, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, gateway.output()
        time.sleep(0.02)


def kill_one(gateway: Gateway) -> None:
    """Kill a worker, and wait until another serves in its place."""
    before = gateway.workers()
    os.kill(before[0], signal.SIGKILL)
    wait_for(gateway, lambda: before[0] not in gateway.workers() and len(gateway.workers()) == len(before))
    wait_ready(gateway, gateway.auth_port)


def test_a_full_run_says_no_secret_anywhere(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    fernet_keys = tmp_path / "data" / "fernet.keys"
    fernet_keys.write_text(FERNET + "\n")
    fernet_keys.chmod(0o600)
    clients = {KEY: {"secrets": [NOW_SECRET, OLD_SECRET], "emitter": "web"}}
    settings = {
        "pii": {"encrypt": True},
        "logging": {"level": "debug"},
        "state": {"redis_url": f"redis://user:{REDIS_PASSWORD}@127.0.0.1:{free_port()}/0?password={REDIS_PASSWORD}"},
    }
    with running(tmp_path, settings=settings, clients=clients, workers=2) as gateway:
        assert gateway.send(BODY, secret=NOW_SECRET).status == 200
        assert_silent(provoke(gateway), "an answer")
        keys = tmp_path / "data" / "keys.yaml"
        keys.write_text(f"clients: {{web: {{secrets: [{OLD_SECRET!r}, {OLD_SECRET!r}]}}}}")
        gateway.signal(signal.SIGHUP)
        keys_broken = f"clients: {{web-1: {{secrets: [{json.dumps(NOW_SECRET)}"
        for number, text in enumerate((keys_broken, NOW_SECRET, json.dumps([NOW_SECRET])), 1):
            # Both workers have read the one before: two signals that wait at the same time are one.
            wait_for(gateway, lambda seen=2 * number: gateway.output().count("reload refused") >= seen)  # type: ignore[misc]
            keys.write_text(text)
            gateway.signal(signal.SIGHUP)
        wait_for(gateway, lambda: gateway.output().count("reload refused") >= 8)
        kill_one(gateway)
        write_keys(keys, clients)
        gateway.signal(signal.SIGHUP)

        target = f"http://127.0.0.1:{gateway.auth_port}/ingest"
        text = BODY.decode()
        headers = cli(tmp_path, "sign", "POST", target, text)
        assert b"X-Signature" in headers
        wrong = cli(tmp_path, "sign", "POST", target, text, "--secret", GUESS)
        stored = b"".join(path.read_bytes() for path in gateway.sink.glob("*.ndjson"))
        assert b"_enc" in stored
        for name, said in {
            "sign": headers,
            "sign --curl": cli(tmp_path, "sign", "POST", target, text, "--curl"),
            "sign --json": cli(tmp_path, "sign", "POST", target, text, "--json"),
            "sign with a wrong secret": wrong,
            "verify": cli(tmp_path, "verify", "POST", target, text, "--headers", "-", text=headers),
            "verify of a wrong one": cli(tmp_path, "verify", "POST", target, text, "--headers", "-", text=wrong),
            "verify --json": cli(tmp_path, "verify", "POST", target, text, "--json", "--headers", "-", text=wrong),
            "config": cli(tmp_path, "config"),
            "config --json": cli(tmp_path, "config", "--json"),
            "config --changed": cli(tmp_path, "config", "--changed"),
            "keys list": cli(tmp_path, "keys", "list"),
            "keys check": cli(tmp_path, "keys", "check"),
            "emit": cli(
                tmp_path, "emit", "json", "--duration", "0.3", "--url", target, "--log-file", "telemetry.jsonl"
            ),
            "emit with a wrong secret": cli(
                tmp_path, "emit", "json", "--duration", "0.3", "--url", target, "--secret", GUESS, "--key", KEY
            ),
            "housekeeping": cli(tmp_path, "housekeeping", "--dry-run"),
            "decrypt": cli(tmp_path, "decrypt", text=stored),
        }.items():
            assert_silent(said, name)
        assert_silent(Path(f"/proc/{gateway.process.pid}/cmdline").read_bytes(), "the process list")
    assert_silent(gateway.output().encode(), "the log")
    ours = {tmp_path / "data" / "keys.yaml", tmp_path / "data" / "fernet.keys", tmp_path / "logops.yaml"}
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path not in ours]
    assert len(written) > 5
    for path in written:
        assert_silent(path.read_bytes(), str(path))


def test_a_refused_start_says_no_secret(tmp_path: Path) -> None:
    """A traceback or an error message that repeats what it could not read would."""
    (tmp_path / "data").mkdir()
    keys = tmp_path / "data" / "keys.yaml"
    for number, text in enumerate(
        [
            NOW_SECRET,
            f"clients: {{web: {{secrets: {json.dumps(NOW_SECRET)}}}}}",
            f"clients: {{web: {json.dumps(NOW_SECRET)}}}",
            f"clients: {{web: {{secrets: [{json.dumps(NOW_SECRET)}, {json.dumps(NOW_SECRET)}]}}}}",
            f"clients: {{web: {{secrets: [{json.dumps(NOW_SECRET)}",
            f"clients: {{web: {{secrets: [{json.dumps(NOW_SECRET)}]}}, app: {{secrets: [{json.dumps(NOW_SECRET)}]}}}}",
        ]
    ):
        keys.write_text(text)
        keys.chmod(0o600)
        said = cli(tmp_path, "up")
        assert_silent(said, f"start {number}")
    keys.unlink()
    fernet = tmp_path / "data" / "fernet.keys"
    fernet.write_text(FERNET[:-3] + "\n")
    (tmp_path / "logops.yaml").write_text("pii: {encrypt: true}\n")
    assert FERNET[:20].encode() not in cli(tmp_path, "up")


PRIVATE = {"keys.yaml", "lock"}


def test_nothing_it_writes_is_for_the_world_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with running(tmp_path, workers=2) as gateway:
            assert gateway.send([{"msg": "x"}, "stray"], headers={"X-Batch-Id": "kept"}).status == 200
            kill_one(gateway)
            assert gateway.send([{"msg": "x"}, "stray"]).status == 200
    finally:
        os.umask(before)
    seen = set()
    for path in (tmp_path / "data").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            continue
        seen.add(path.suffix)
        assert not mode & 0o007, f"{path} is {mode:04o}"
        if path.suffix in (".table", ".log", ".lock") or path.name in PRIVATE:
            assert mode == 0o600, f"{path} is {mode:04o}"
    assert {".ndjson", ".table", ".log", ".yaml"} <= seen
    assert stat.S_IMODE((tmp_path / "data" / "state").stat().st_mode) == 0o700
