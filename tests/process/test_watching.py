"""Stopped workers, full pipes and the admin listener, on the real command."""

from __future__ import annotations

import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Answer, Gateway, request, running, start, wait_ready

pytestmark = pytest.mark.process

DEADLINE = 300.0  # for what takes a few seconds on an idle machine


def eventually(condition: Callable[[], Any], what: str, gateway: Gateway) -> Any:
    """Poll until the condition holds; return its value."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never: {what}\n{gateway.output()}"
        time.sleep(0.05)
    return found


def admin(gateway: Gateway, path: str) -> Answer:
    return request(gateway.admin_port, "GET", path)


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Gateway]:
    """A running gateway, once all of its workers are ready."""
    with running(folder, **options) as gateway:
        eventually(lambda: set(states(gateway)) == {"ready"}, "all workers are ready", gateway)
        yield gateway


def states(gateway: Gateway) -> list[str]:
    return [worker["state"] for worker in admin(gateway, "/readyz").json["workers"]]


def answered(gateway: Gateway, timeout: float = 3.0) -> bool:
    try:
        return gateway.send([{"msg": "x"}], timeout=timeout).status == 200
    except (OSError, http.client.HTTPException):
        return False


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def worker_of(gateway: Gateway, place: int) -> int:
    """The process id of a worker, from the order in which they were forked."""
    return gateway.workers()[place]


def test_a_stopped_worker_gets_no_connections_and_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2, settings={"server": {"worker_timeout": 8}}) as gateway:
        stopped = worker_of(gateway, 0)
        os.kill(stopped, signal.SIGSTOP)
        # The kernel goes on sending connections to the stopped worker's socket; the other worker accepts them.
        eventually(lambda: "loop_stalled" in states(gateway), "the worker is seen to be silent", gateway)
        assert admin(gateway, "/readyz").status == 200
        eventually(lambda: all(answered(gateway) for _ in range(30)), "30 requests in a row are answered", gateway)
        assert "worker 0 does not respond" in gateway.output()
        eventually(lambda: stopped not in gateway.workers(), "the worker is killed", gateway)
        eventually(lambda: states(gateway) == ["ready", "ready"], "its successor serves", gateway)
        assert "worker 0 has not responded for 8 s: killing it" in gateway.output()
        samples = gateway.metrics(gateway.admin_port)
        assert samples["logops_worker_kills_total"][()] >= 1.0
        assert set(samples["logops_worker_heartbeat_age_seconds"]) == {(("worker", "0"),), (("worker", "1"),)}
        assert all(answered(gateway) for _ in range(20))


def test_connections_that_wait_for_a_stopped_worker_are_answered_by_another(tmp_path: Path) -> None:
    """Those in its accept queue as well: none is reset, none waits for the replacement."""
    with serving(tmp_path, workers=2, settings={"server": {"worker_timeout": 3600}}) as gateway:
        os.kill(worker_of(gateway, 0), signal.SIGSTOP)
        waiting = []
        for _ in range(40):
            sock = socket.create_connection(("127.0.0.1", gateway.auth_port), timeout=DEADLINE)
            sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            waiting.append(sock)
        for sock in waiting:
            with sock:
                assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def test_connections_survive_a_killed_worker_even_if_it_is_the_only_one(tmp_path: Path) -> None:
    with serving(tmp_path, workers=1) as gateway:
        pid = worker_of(gateway, 0)
        os.kill(pid, signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", gateway.auth_port), timeout=DEADLINE) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            os.kill(pid, signal.SIGKILL)
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_worker_that_wakes_up_serves_again_and_is_not_killed(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as gateway:
        before = gateway.workers()
        os.kill(before[1], signal.SIGSTOP)
        eventually(lambda: "loop_stalled" in states(gateway), "the worker is seen to be silent", gateway)
        os.kill(before[1], signal.SIGCONT)
        eventually(lambda: states(gateway) == ["ready", "ready"], "the worker serves again", gateway)
        eventually(lambda: "worker 1 responds again" in gateway.output(), "it is logged", gateway)
        assert gateway.workers() == before
        assert all(answered(gateway) for _ in range(20))


def test_locks_of_the_state_tables_that_are_never_released_stop_no_worker(tmp_path: Path) -> None:
    """As a worker that the kernel does not let go of would keep one of them; this test takes them all."""
    with serving(tmp_path, workers=2) as gateway:
        assert gateway.send([{"msg": "before"}]).status == 200
        before = gateway.workers()
        tables = [path.open("r+b") for path in sorted((tmp_path / "data" / "state").glob("*.table"))]
        assert len(tables) == 3
        try:
            for table in tables:
                fcntl.lockf(table, fcntl.LOCK_EX)
            refused = [gateway.send([{"msg": "x"}], timeout=DEADLINE) for _ in range(2)]
            assert {(answer.status, answer.reason) for answer in refused} == {(503, "state_unavailable")}
            os.kill(before[1], signal.SIGKILL)
            eventually(
                lambda: gateway.workers() != before and states(gateway) == ["ready", "ready"],
                "a successor starts all the same",
                gateway,
            )
            assert request(gateway.auth_port, "GET", "/healthz").status == 200
        finally:
            for table in tables:
                table.close()
        assert gateway.send([{"msg": "after"}]).status == 200
        assert before[0] in gateway.workers()


def test_a_suspended_machine_kills_no_worker(tmp_path: Path) -> None:
    """All processes are stopped for longer than worker_timeout, as by a suspended machine or a frozen container."""
    with serving(tmp_path, workers=2, settings={"server": {"worker_timeout": 10}}) as gateway:
        before = gateway.workers()
        os.killpg(gateway.process.pid, signal.SIGSTOP)
        time.sleep(12)  # decides nothing: waiting longer only makes the test harder to pass
        os.killpg(gateway.process.pid, signal.SIGCONT)
        eventually(lambda: states(gateway) == ["ready", "ready"], "all serve again", gateway)
        assert gateway.workers() == before
        assert "killing" not in gateway.output()


def test_the_admin_listener_answers_while_every_worker_is_stopped(tmp_path: Path) -> None:
    with serving(tmp_path, workers=2) as gateway:
        assert gateway.send([{"msg": "before"}]).status == 200
        assert admin(gateway, "/readyz").json["status"] == "ready"
        for pid in gateway.workers():
            os.kill(pid, signal.SIGSTOP)
        answer = eventually(
            lambda: (found := admin(gateway, "/readyz")).status == 503 and found, "no worker is ready", gateway
        )
        assert answer.reason == "loop_stalled"
        assert "worker 0 is loop_stalled, worker 1 is loop_stalled" in answer.json["detail"]
        assert answer.headers["retry-after"] == "1"
        assert gateway.metrics(gateway.admin_port)["logops_accepted_total"]
        assert admin(gateway, "/healthz").status == 200, "a worker has served within the last 30 s"
        for pid in gateway.workers():
            os.kill(pid, signal.SIGCONT)


def test_the_admin_listener_answers_while_the_gateway_is_full_of_connections(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"server": {"max_connections": 20}}) as gateway:
        idle = [socket.create_connection(("127.0.0.1", gateway.auth_port)) for _ in range(40)]
        try:
            for path in ("/healthz", "/readyz", "/metrics"):
                assert admin(gateway, path).status == 200
        finally:
            for sock in idle:
                sock.close()


def test_the_admin_listener_reports_draining(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        # A request in flight keeps the worker from ending.
        with socket.create_connection(("127.0.0.1", gateway.ingest_port)) as sock:
            sock.sendall(b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
            gateway.signal(signal.SIGTERM)
            answer = eventually(
                lambda: (found := admin(gateway, "/readyz")).status == 503 and found, "it drains", gateway
            )
            assert answer.reason == "draining"
            eventually(lambda: refuses(gateway.auth_port), "new connections are refused", gateway)
        assert gateway.process.wait(30) in (0, 1)


def test_admin_only_takes_the_probes_off_the_gateways_own_ports(tmp_path: Path) -> None:
    gateway = start(tmp_path, wait=False, settings={"admin": {"only": True}})
    try:
        wait_ready(gateway, gateway.admin_port)
        for path in ("/healthz", "/readyz", "/metrics"):
            assert admin(gateway, path).status == 200
            assert request(gateway.auth_port, "GET", path).status == 404
            assert request(gateway.ingest_port, "GET", path).status == 404
        assert gateway.send([{"msg": "x"}]).status == 200
    finally:
        assert gateway.stop() == 0


def test_a_log_that_is_not_read_stops_neither_workers_nor_the_supervisor(tmp_path: Path) -> None:
    gateway = start(tmp_path, workers=2, wait=False)  # only for its configuration
    gateway.stop()
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "logops_fast", "up"],
        cwd=tmp_path,
        stdout=write_end,
        stderr=write_end,
        env={**os.environ, "LOGOPS_LOGGING__LEVEL": "debug"},
        start_new_session=True,
    )
    gateway.process = process
    try:
        wait_ready(gateway, gateway.admin_port)
        filler = os.open(f"/proc/self/fd/{write_end}", os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(filler, b"x" * 4096)
        except BlockingIOError:
            os.close(filler)

        # Reloads log from the workers, deaths from the supervisor: far more than the buffers hold.
        def dropped() -> bool:
            for _ in range(200):
                gateway.signal(signal.SIGHUP)
            samples = gateway.metrics(gateway.admin_port)
            return samples["logops_log_lines_dropped_total"][()] > 0

        eventually(dropped, "lines are dropped and counted", gateway)
        assert gateway.send([{"msg": "served"}]).status == 200
        pid = gateway.workers()[0]
        os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: pid not in gateway.workers() and states(gateway) == ["ready", "ready"],
            "the supervisor replaces a worker",
            gateway,
        )
        reader = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(read_end, 65_536), b"")])
        reader.start()
        process.terminate()
        os.close(write_end)
        assert process.wait(30) == 0
        reader.join(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
        os.close(read_end)
