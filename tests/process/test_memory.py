"""Memory: what an idle worker takes, and what a flood of half-sent requests may take."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.support.gateway import KEY, SECRET, request, running
from tests.support.signing import signed

pytestmark = [pytest.mark.process, pytest.mark.slow]

MIB = 1 << 20


def rss(pid: int, kind: str = "VmRSS") -> int:
    """Resident bytes of a process; ``RssAnon`` leaves out pages of files, such as the table of nonces."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{kind}:")[1].split()[0]) * 1024


def test_an_idle_worker_stays_under_60_mib(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as gateway:
        request(gateway.auth_port, "GET", "/metrics")
        sizes = [rss(pid) / MIB for pid in gateway.workers()]
        assert len(sizes) == 2
        assert max(sizes) < 60, sizes


def test_a_thousand_half_sent_requests_stay_under_the_cap(tmp_path: Path) -> None:
    cap = 16 * MIB
    lenient = {"failures": {"capacity": 100000, "refill_per_sec": 1000}}
    with running(tmp_path, settings={"server": {"max_inflight_bytes": cap}, "auth": lenient}) as gateway:
        (worker,) = gateway.workers()
        idle = rss(worker, "RssAnon")
        body = b"x" * 100_000
        half = body[:50_000]
        sockets, refused = [], 0
        try:
            for _ in range(1000):
                fields = signed(KEY, SECRET, body) | {"Host": "x", "Content-Length": str(len(body))}
                head = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
                sock = socket.create_connection(("127.0.0.1", gateway.auth_port), timeout=5)
                sockets.append(sock)
                try:
                    sock.sendall(f"POST /ingest HTTP/1.1\r\n{head}\r\n".encode() + half)
                except OSError:
                    refused += 1
            deadline = time.monotonic() + 60
            while gateway.metric("logops_rejected_total", reason="overloaded") <= 500:
                assert time.monotonic() < deadline, gateway.metrics()
                time.sleep(0.05)
            assert gateway.metric("logops_inflight_bytes", gateway="auth") <= cap
            assert rss(worker, "RssAnon") < idle + 3 * cap
            assert request(gateway.auth_port, "GET", "/healthz").status == 200
        finally:
            for sock in sockets:
                sock.close()
        deadline = time.monotonic() + 60
        while (answer := gateway.send([{"msg": "after the flood"}])).status != 200:
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)
