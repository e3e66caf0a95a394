"""The syslog listener under the real command, fed by real senders: logger (util-linux), rsyslog, and sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.faults.slow_disk import SlowDisk
from tests.support.certificates import make_certificates
from tests.support.gateway import Gateway, running
from tests.support.ports import free_port
from tests.support.services import require_service

pytestmark = pytest.mark.process

DEADLINE = 60.0


def until(condition: Callable[[], Any], message: str, gateway: Gateway) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{message}\n{gateway.output()}"
        time.sleep(0.05)
    return found


def settings_of(**syslog: Any) -> dict[str, Any]:
    return {"syslog": {"enabled": True, "tcp": f"127.0.0.1:{free_port()}", **syslog}}


def port_of(settings: dict[str, Any], transport: str = "tcp") -> int:
    return int(settings["syslog"][transport].rpartition(":")[2])


def messages(gateway: Gateway) -> list[str]:
    return [event["msg"] for event in gateway.stored()]


def send(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as sock:
        sock.sendall(data)


@pytest.mark.service
@pytest.mark.parametrize("transport", ["udp", "tcp", "octet-count"])
def test_logger(tmp_path: Path, transport: str) -> None:
    logger = require_service("logger")
    settings = settings_of(udp=f"127.0.0.1:{free_port()}", emitters={"127.0.0.0/8": "web"})
    with running(tmp_path, settings=settings) as gateway:
        port = port_of(settings, "udp" if transport == "udp" else "tcp")
        options = {"udp": ["--udp"], "tcp": ["--tcp"], "octet-count": ["--tcp", "--octet-count"]}[transport]
        command = [logger, "--server", "127.0.0.1", "--port", str(port), *options, "--tag", "backup", "--rfc5424=notq"]
        for text in ("for bob@example.com", "again"):
            subprocess.run([*command, "--priority", "local0.err", text], check=True)
        until(lambda: len(gateway.lines()) == 2, "both are stored", gateway)
        first, second = gateway.stored()
        assert (first["msg"], second["msg"]) == ("for b***@example.com", "again")
        assert (first["level"], first["app"], first["emitter"]) == ("ERROR", "backup", "web")
        assert first.get("auth") == ("none" if transport == "udp" else None)
        until(lambda: gateway.metric("logops_accepted_total", emitter="web") == 2, "they are counted", gateway)


@contextmanager
def rsyslog(folder: Path, action: str) -> Iterator[Path]:
    """A running rsyslogd that forwards what is written to the socket whose path is yielded."""
    program = require_service("rsyslogd")
    folder.mkdir()
    sock, config = folder / "log", folder / "rsyslog.conf"
    config.write_text(
        f'global(workDirectory="{folder}")\n'
        'module(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{sock}" CreatePath="on" RateLimit.Interval="0")\n'
        f"action({action})\n"
    )
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [program, "-n", "-f", str(config), "-i", str(folder / "pid")], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + DEADLINE
        while not sock.exists():
            assert process.poll() is None, (folder / "output").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield sock
    finally:
        process.terminate()
        process.wait(DEADLINE)


@pytest.mark.service
@pytest.mark.parametrize("transport", ["udp", "tcp", "octet-counted", "tls"])
def test_rsyslog(tmp_path: Path, transport: str) -> None:
    make_certificates(tmp_path)
    settings = settings_of(udp=f"127.0.0.1:{free_port()}", tls=f"127.0.0.1:{free_port()}")
    settings["tls"] = {"cert_file": "server.pem", "key_file": "server.key", "client_ca_file": "ca.pem"}
    settings["syslog"]["emitters"] = {"localhost": "web", "127.0.0.0/8": "app"}
    port = port_of(settings, transport if transport in ("udp", "tls") else "tcp")
    action = f'type="omfwd" target="127.0.0.1" port="{port}" protocol="{"udp" if transport == "udp" else "tcp"}"'
    action += ' template="RSYSLOG_SyslogProtocol23Format" action.resumeRetryCount="-1"'
    if transport == "octet-counted":
        action += ' TCP_Framing="octet-counted"'
    if transport == "tls":
        drivers = [name for name in ("ossl", "gtls") if [*Path("/usr/lib").glob(f"*/rsyslog/lmnsd_{name}.so")]]
        if not drivers:
            pytest.skip("no TLS driver of rsyslog is installed (rsyslog-gnutls or rsyslog-openssl)")
        driver = drivers[0]
        action += (
            f' StreamDriver="{driver}" StreamDriverMode="1" StreamDriverAuthMode="anon" TCP_Framing="octet-counted"'
            f' StreamDriver.CAFile="{tmp_path}/ca.pem" StreamDriver.CertFile="{tmp_path}/client.pem"'
            f' StreamDriver.KeyFile="{tmp_path}/client.key"'
        )
    with running(tmp_path, settings=settings, wait=False) as gateway:
        until(lambda: '"ready"' in gateway.output(), "the gateway is ready", gateway)
        with rsyslog(tmp_path / "rsyslog", action) as log, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for number in range(50):
                sender.sendto(b"<11>backup[7]: line %d" % number, str(log))
            until(lambda: len(gateway.lines()) == 50, "all are stored", gateway)
        # rsyslog passes on the blank after the tag.
        assert messages(gateway) == [f" line {number}" for number in range(50)]
        event = gateway.stored()[0]
        assert (event["app"], event["level"]) == ("backup", "ERROR")
        assert event["emitter"] == ("web" if transport == "tls" else "app"), "by the name in the certificate"


def test_who_may_not_send_is_turned_away_and_counted(tmp_path: Path) -> None:
    settings = settings_of(udp=f"127.0.0.1:{free_port()}", allow=["10.0.0.0/8"])
    with running(tmp_path, settings=settings) as gateway:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port_of(settings)), timeout=DEADLINE) as sock:
                try:
                    sock.sendall(b"<34>x\n")
                    assert sock.recv(10) == b""
                except ConnectionError:
                    pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"<34>x", ("127.0.0.1", port_of(settings, "udp")))
        dropped = "logops_syslog_dropped_total"
        until(lambda: gateway.metric(dropped, transport="tcp", reason="not_allowed") == 3, "they are counted", gateway)
        until(lambda: gateway.metric(dropped, transport="udp", reason="not_allowed") == 1, "it is counted", gateway)
        assert gateway.lines() == []


def test_one_address_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    settings = settings_of() | {"server": {"max_connections_per_address": 5}}
    with running(tmp_path, settings=settings) as gateway:
        kept = [socket.create_connection(("127.0.0.1", port_of(settings)), timeout=DEADLINE) for _ in range(5)]
        until(lambda: gateway.metric("logops_syslog_connections") == 5, "they are open", gateway)
        one_more = socket.create_connection(("127.0.0.1", port_of(settings)), timeout=DEADLINE)
        with one_more, suppress(ConnectionError):
            assert one_more.recv(10) == b""
        for sock in kept:
            sock.sendall(b"<34>x\n")
            sock.close()
        until(lambda: len(gateway.lines()) == 5, "they were read", gateway)
        until(lambda: gateway.metric("logops_syslog_connections") == 0, "they are closed", gateway)
        assert gateway.metric("logops_syslog_dropped_total", reason="too_many_connections") == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_stores_what_has_arrived(tmp_path: Path, workers: int) -> None:
    """In the buffers of the kernel too, over connections that stay open, and the line that has no end yet."""
    settings = settings_of(udp=f"127.0.0.1:{free_port()}")
    with running(tmp_path, settings=settings, workers=workers) as gateway:
        kept = [socket.create_connection(("127.0.0.1", port_of(settings)), timeout=DEADLINE) for _ in range(4)]
        # First one line, seen stored: each connection is accepted, and not left in a queue that is no longer read.
        for number, sock in enumerate(kept):
            sock.sendall(b"<34>open %d\n" % number)
        until(lambda: len(gateway.lines()) == 4, "all connections are accepted", gateway)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for number, sock in enumerate(kept):
                sock.sendall(
                    b"".join(b"<34>%d-%d\n" % (number, line) for line in range(3000)) + b"<34>no end %d" % number
                )
                udp.sendto(b"<34>datagram %d" % number, ("127.0.0.1", port_of(settings, "udp")))
            assert gateway.stop() == 0
        found = messages(gateway)
        assert sorted(text for text in found if text.startswith("datagram")) == [f"datagram {n}" for n in range(4)]
        for number, sock in enumerate(kept):
            assert [text for text in found if text.startswith(f"{number}-")] == [f"{number}-{n}" for n in range(3000)]
            assert f"no end {number}" in found
            sock.close()


def test_what_a_split_gateway_cannot_hand_on_waits_for_the_other(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_of() | {"forward": {"url": f"http://127.0.0.1:{port}/v1/logs", "deadline": 2}}
    with running(tmp_path / "auth", "authgw", settings=settings, wait=False) as gateway:
        until(lambda: '"ready"' in gateway.output(), "the gateway is ready", gateway)
        lines = [f"line {number}" for number in range(2500)]
        send(port_of(settings), b"".join(b"<34>%b\n" % line.encode() for line in lines))
        until(lambda: gateway.metric("logops_forward_attempts_total") >= 1, "it is tried", gateway)
        with running(tmp_path / "ingest", "ingest", settings={"ingest": {"port": port}}) as ingest:
            until(lambda: len(ingest.lines()) == len(lines), "all are stored", gateway)
            assert messages(ingest) == lines
            assert {event["emitter"] for event in ingest.stored()} == {"syslog"}


@pytest.mark.fault
def test_a_hundred_thousand_lines_while_the_sink_stalls_are_stored_in_order(tmp_path: Path) -> None:
    (tmp_path / "data" / "ingest").mkdir(parents=True)
    disk = SlowDisk(tmp_path / "control", tmp_path / "data" / "ingest")
    settings = settings_of() | {"sink": {"dir": str(tmp_path / "data" / "ingest")}}
    connections, each = 5, 20_000
    with running(tmp_path, settings=settings, env=disk.environment) as gateway:
        socks = [socket.socket() for _ in range(connections)]
        for number, sock in enumerate(socks):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # what the kernel takes is not at the gateway
            sock.settimeout(DEADLINE)
            sock.connect(("127.0.0.1", port_of(settings)))
            sock.sendall(b"<34>%d-0 before\n" % number)
        until(lambda: len(gateway.lines()) == connections, "it stores before the stall", gateway)
        disk.set("hang_write")
        texts = [
            b"".join(b"<34>%d-%d %b\n" % (number, line, b"x" * 100) for line in range(1, each))
            for number in range(connections)
        ]
        senders = [Thread(target=sock.sendall, args=(text,)) for sock, text in zip(socks, texts, strict=True)]
        for sender in senders:
            sender.start()
        time.sleep(5)
        # Back-pressure has reached the senders.
        assert all(sender.is_alive() for sender in senders)
        assert len(gateway.lines()) == connections
        disk.set("none")
        for sender in senders:
            sender.join(DEADLINE)
        until(lambda: len(gateway.lines()) == connections * each, "all are stored", gateway)
        found = [json.loads(line)["msg"].split()[0] for line in gateway.lines()]
        for number, sock in enumerate(socks):
            assert [text for text in found if text.startswith(f"{number}-")] == [f"{number}-{n}" for n in range(each)]
            sock.close()
        assert gateway.metric("logops_syslog_dropped_total") == 0
