"""``logops top``: one look and JSON, and the live screen in a real terminal (tmux) beside a gateway under load."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from logops_fast.cli import doors
from logops_fast.config.loader import load
from logops_fast.runtime import shipping
from tests.cli.conftest import Logops
from tests.support.gateway import Gateway, running
from tests.support.ports import free_port
from tests.support.terminal import PATIENCE, Terminal


def test_nothing_that_answers_is_said_plainly(logops: Logops) -> None:
    port = free_port()
    done = logops("top", "--once", "--url", f"127.0.0.1:{port}")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"logops: nothing answers: http://127.0.0.1:{port}: connection refused\n"
    done = logops("top", "--once", "--json", "--url", f"http://127.0.0.1:{port}/")
    assert done.code == 1
    assert json.loads(done.out)["problems"] == [f"http://127.0.0.1:{port}: connection refused"]


def test_the_live_screen_needs_a_terminal(logops: Logops) -> None:
    done = logops("top", "--url", f"127.0.0.1:{free_port()}")
    assert (done.code, done.out) == (2, "")
    assert "--once" in done.err


@pytest.mark.parametrize("url", ["ftp://x", "http://", "a b", "127.0.0.1:99999", "http://x:0"])
def test_what_is_no_url_is_refused(logops: Logops, url: str) -> None:
    done = logops("top", "--once", "--url", url)
    assert done.code == 2
    assert "--url" in done.err


def test_without_urls_this_machines_listeners_are_asked() -> None:
    loaded = load(None, {})
    assert doors.doors(loaded, None) == (
        "http://127.0.0.1:8089", "http://127.0.0.1:8090", "http://127.0.0.1:8091",
    )  # fmt: skip
    elsewhere = load(None, {"LOGOPS_ADMIN__HOST": "0.0.0.0", "LOGOPS_ADMIN__PORT": "9000"})
    assert doors.doors(elsewhere, None)[0] == "http://127.0.0.1:9000"
    assert doors.doors(elsewhere, ["[::1]:7000"]) == ("http://[::1]:7000",)
    any_of_6 = load(None, {"LOGOPS_ADMIN__HOST": "::", "LOGOPS_ADMIN__PORT": "0"})
    assert doors.doors(any_of_6, None) == ("http://[::1]:8090", "http://[::1]:8091")
    assert doors.SHIP_ADMIN_PORT == shipping.ADMIN_PORT


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "answers, but not as an admin listener of LogOps"),
        (200, b"\xff", "answers, but not as an admin listener of LogOps"),
        (404, b"gone", "answers 404"),
        (503, b"{}", "answers, but not as an admin listener of LogOps"),
    ],
)
def test_another_server_is_recognised(status: int, body: bytes, words: str) -> None:
    with answering(status, body) as door:
        assert words in doors.read(door, 0.0, PATIENCE).problem


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that takes batches, and refuses some, all the time."""
    stop = threading.Event()
    limit = {"overrides": {"csv": {"capacity": 10, "refill_per_sec": 1}}}
    with running(tmp_path_factory.mktemp("busy"), workers=2, settings={"ratelimit": limit}) as gateway:

        def send() -> None:
            while not stop.wait(0.05):
                gateway.send([{"msg": "one"}] * 10)
                gateway.send([{"msg": "one"}] * 5, headers={"X-Emitter": "csv"})

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield gateway
        finally:
            stop.set()
            thread.join()


def top(gateway: Gateway, *options: str) -> str:
    return " ".join((sys.executable, "-m", "logops_fast", "top", "--url", f"127.0.0.1:{gateway.admin_port}", *options))


@pytest.mark.process
def test_one_look_at_a_running_gateway(busy: Gateway) -> None:
    command = top(busy, "--once", "--json").split()
    deadline = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        figures = json.loads(done.stdout)
        if figures["rates"]["received"] > figures["rates"]["stored"] > 0:
            break
        assert time.monotonic() < deadline, figures["rates"]
    assert figures["latency"]["p95"] > 0
    assert {refusal["reason"] for refusal in figures["refusals"]} == {"rate_limited"}
    assert [worker["state"] for worker in figures["workers"]] == ["ready", "ready"]
    assert all(worker["resident_bytes"] > 1e6 and worker["cores"] is not None for worker in figures["workers"])
    assert sum(worker["connections"] for worker in figures["workers"]) >= 0
    assert figures["sink"]["bytes_per_second"] > 0
    assert figures["slo"]["p95"] == 0.5
    plain = subprocess.run([*top(busy, "--once").split()], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "Received" in plain.stdout
    assert "rate_limited" in plain.stdout
    assert "\x1b" not in plain.stdout


@pytest.mark.process
def test_json_is_a_line_for_each_look(busy: Gateway) -> None:
    command = [*top(busy, "--json", "--interval", "0.2").split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.terminate()
    assert [look["version"] for look in looks] == [looks[0]["version"]] * 3
    assert looks[2]["time"] > looks[1]["time"] > looks[0]["time"]


@pytest.mark.service
@pytest.mark.process
def test_the_screen_in_a_real_terminal(busy: Gateway, tmp_path: Path) -> None:
    shell = f"{top(busy, '--interval', '0.2')}; echo code $?; stty -a; sleep {2 * PATIENCE}"
    terminal = Terminal(tmp_path, 80, 24, shell, {"PATH": os.environ["PATH"]})
    try:
        text = terminal.until(lambda text: re.search(r"Stored +[1-9]", text) and "rate_limited" in text)
        lines = text.splitlines()
        assert len(lines) == 24
        assert lines[0].startswith("logops top")
        assert lines[-1].startswith("q quit")
        assert sum(line.startswith(("0 ", "1 ")) and "ready" in line for line in lines) == 2
        assert re.search(r"^web +[1-9]", text, re.MULTILINE)
        assert re.search(r"p95 under 500 ms: (met|MISSED)", text)
        terminal.resize(200, 50)
        wide = terminal.until(lambda text: re.search(r"^Refused .* Emitter .* p95", text, re.MULTILINE))
        assert len(wide.splitlines()) == 50
        terminal.keys("s")
        terminal.until(lambda text: "sort by: total" in text)
        terminal.keys("/", "c", "s", "v", "Enter")
        filtered = terminal.until(lambda text: "filter: csv" in text)
        assert not re.search(r"^web +", filtered, re.MULTILINE)
        terminal.keys("Escape")
        terminal.until(lambda text: "filter: csv" not in text)
        terminal.keys("q")
        # The terminal is as it was: its own screen, and typed letters are echoed by line.
        ended = terminal.until(lambda text: "code 0" in text and "icanon" in text)
        assert "-icanon" not in ended
        assert "-echo " not in ended
        assert "logops top" not in ended
    finally:
        terminal.close()


@pytest.mark.service
@pytest.mark.process
def test_q_quits_while_a_listener_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = f"{sys.executable} -m logops_fast top --url 127.0.0.1:{silent.getsockname()[1]}; sleep {2 * PATIENCE}"
        terminal = Terminal(tmp_path, 80, 24, f"echo before; {command}; ", {"PATH": os.environ["PATH"]})
        try:
            terminal.until(lambda text: "no answer in time" in text)
            terminal.keys("q")
            terminal.until(lambda text: "before" in text)
        finally:
            terminal.close()


@pytest.mark.service
@pytest.mark.process
def test_a_gateway_that_comes_later_is_found(tmp_path: Path) -> None:
    port = free_port()
    command = f"{sys.executable} -m logops_fast top --interval 0.2 --url 127.0.0.1:{port}"
    terminal = Terminal(tmp_path, 80, 24, command, {"PATH": os.environ["PATH"]})
    try:
        terminal.until(lambda text: "Nothing answers" in text and "connection refused" in text)
        with running(tmp_path / "gateway", settings={"admin": {"port": port}}):
            terminal.until(lambda text: re.search(r"^0 +ready", text, re.MULTILINE))
        terminal.until(lambda text: "Nothing answers" in text)
        terminal.keys("q")
    finally:
        terminal.close()
