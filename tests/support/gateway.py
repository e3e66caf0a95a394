"""Starts the real command in a folder of its own, and talks to it over sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.ports import free_port
from tests.support.signing import signed

KEY, SECRET = "web-1", "test-secret-web-1"
START_TIMEOUT = 60.0  # seconds; far above what a start takes, for a machine that is busy


@dataclass
class Answer:
    """A parsed answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The fixed reason of a refusal."""
        return str(self.json["error"])


def request(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def raw(port: int, data: bytes, timeout: float = 15.0) -> bytes:
    """Send bytes as they are and read until the gateway closes (or ``timeout`` seconds of silence)."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.sendall(data)
        received = b""
        try:
            while piece := sock.recv(65536):
                received += piece
        except TimeoutError:
            pass
        return received


@dataclass
class Gateway:
    """A running gateway process with its folder."""

    process: subprocess.Popen[bytes]
    dir: Path
    auth_port: int
    ingest_port: int
    config: Path
    log: Path
    admin_port: int = 0

    @property
    def sink(self) -> Path:
        return self.dir / "data" / "ingest"

    def send(
        self,
        body: bytes | list[Any],
        *,
        headers: Mapping[str, str] | None = None,
        key: str = KEY,
        secret: str = SECRET,
        target: str = "/ingest",
        content_type: str | None = "application/json",
        timeout: float = 60.0,
        **sign: Any,
    ) -> Answer:
        """A signed POST to the Auth Gateway; keyword arguments of ``signed`` misuse it on purpose."""
        payload = json.dumps(body).encode() if isinstance(body, list) else body
        fields = signed(key, secret, payload, target=target, **sign)
        if content_type is not None:
            fields["Content-Type"] = content_type
        fields.update(headers or {})
        try:
            return request(self.auth_port, "POST", target, payload, fields, timeout)
        except ConnectionRefusedError as refused:
            refused.add_note(f"exit code {self.process.poll()}:\n{self.output()}")
            raise

    def stored(self) -> list[dict[str, Any]]:
        """All stored events, read from the files; fails on a line that does not parse."""
        return [json.loads(line) for line in self.lines()]

    def lines(self) -> list[str]:
        return [
            line for path in sorted(self.sink.glob("*.ndjson")) for line in path.read_text("utf-8").split("\n")[:-1]
        ]

    def rejected(self) -> list[dict[str, Any]]:
        """All events that could not be read."""
        return [
            json.loads(line)
            for path in sorted((self.sink / "rejected").glob("*.ndjson"))
            for line in path.read_text("utf-8").splitlines()
        ]

    def metrics(self, port: int | None = None) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """``{sample name: {sorted labels: value}}`` of /metrics."""
        text = request(port or self.auth_port, "GET", "/metrics").body.decode()
        samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return samples

    def metric(self, sample: str, **labels: str) -> float:
        """Sum of the samples of that name whose labels include ``labels``; 0 where there is none."""
        wanted = set(labels.items())
        return sum(v for k, v in self.metrics().get(sample, {}).items() if wanted <= set(k))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def workers(self) -> list[int]:
        """Process ids of the supervisor's children."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = stat.read_text()
            except OSError:
                continue
            if int(text.rsplit(")", 1)[1].split()[1]) == self.process.pid:
                found.append(int(stat.parent.name))
        return sorted(found)

    def kill_workers(self, *pids: int) -> None:
        """SIGKILL, and wait until the supervisor has seen them end: a SIGTERM before that would find them missing."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            assert time.monotonic() < deadline, "the supervisor does not reap its workers"
            time.sleep(0.01)

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout)

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")


def write_keys(path: Path, clients: Mapping[str, Any]) -> None:
    """A keys file, mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"clients": dict(clients)}))
    path.chmod(0o600)


DEFAULT_CLIENTS: dict[str, Any] = {
    KEY: {"secrets": [SECRET], "emitter": "web", "emitters": ["web", "batch", "csv"]},
    "app-2": {"secrets": ["test-secret-app-2", "test-secret-app-2-old"], "emitter": "app"},
}


def start(
    folder: Path,
    command: str = "up",
    *,
    settings: Mapping[str, Any] | None = None,
    clients: Mapping[str, Any] | None = None,
    workers: int = 1,
    args: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    program: tuple[str, ...] = ("-m", "logops_fast"),
    python: str = sys.executable,
) -> Gateway:
    """Start ``logops <command>`` in ``folder``; returns once it says it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    tree: dict[str, Any] = {name: {"port": free_port()} for name in ("authgw", "ingest")}
    tree.update(settings or {})
    tree["admin"] = {"port": free_port()} | tree.get("admin", {})
    # Not on tmpfs, which would keep the state of every test; small, as there are many gateways in a run.
    tree["state"] = {"dir": "data/state", "max_request_rate": 500} | tree.get("state", {})
    tree["server"] = {"workers": workers, **tree.get("server", {})}
    config = folder / "logops.yaml"
    config.write_text(yaml.safe_dump(tree))
    if not (folder / "data" / "keys.yaml").exists():
        write_keys(folder / "data" / "keys.yaml", clients or DEFAULT_CLIENTS)
    log = folder / f"{command}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [python, *program, command, *args],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    gateway = Gateway(
        process, folder, tree["authgw"]["port"], tree["ingest"]["port"], config, log, tree["admin"]["port"]
    )
    if wait:
        port = gateway.ingest_port if command == "ingest" else gateway.auth_port
        wait_ready(gateway, port)
    return gateway


def wait_ready(gateway: Gateway, port: int, timeout: float = START_TIMEOUT) -> None:
    """Return when /readyz on ``port`` answers 200 ; raise with the log when the process ends or time runs out."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if gateway.process.poll() is not None:
            raise AssertionError(f"exit code {gateway.process.returncode}:\n{gateway.output()}")
        try:
            if request(port, "GET", "/readyz", timeout=10).status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.02)
    raise AssertionError(f"not ready in {timeout} s:\n{gateway.output()}")


@contextmanager
def running(folder: Path, command: str = "up", **options: Any) -> Iterator[Gateway]:
    """``start``, and an end to the whole process group whatever happens."""
    gateway = start(folder, command, **options)
    try:
        yield gateway
    finally:
        try:
            gateway.stop()
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(gateway.process.pid, signal.SIGKILL)
            gateway.process.wait(60)
