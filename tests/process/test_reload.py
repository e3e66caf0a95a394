"""What SIGHUP, and a changed keys file, take over in running workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken

from tests.support.certificates import make_certificates
from tests.support.gateway import Gateway, running, start, write_keys

pytestmark = pytest.mark.process

DEADLINE = 60.0


def eventually(condition: Callable[[], Any], what: str, gateway: Gateway) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never: {what}\n{gateway.output()}"
        time.sleep(0.05)
    return found


def reload(gateway: Gateway, workers: int = 1) -> None:
    """Send SIGHUP and wait until every worker has logged the outcome."""

    def outcomes() -> int:
        return sum(line.get("msg") == "reloaded" or "reload refused" in line["msg"] for line in logged(gateway))

    before = outcomes()
    gateway.signal(signal.SIGHUP)
    eventually(lambda: outcomes() >= before + workers, "the reload is logged", gateway)


def logged(gateway: Gateway) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.output().splitlines() if line.startswith("{")]


def certificate_of(gateway: Gateway) -> bytes:
    """The certificate that a new connection is shown, as DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", gateway.auth_port), timeout=10) as sock,
        context.wrap_socket(sock) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True) or b""


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def test_a_renewed_certificate_is_shown_to_new_connections_and_open_ones_continue(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    tls = {"cert_file": "server.pem", "key_file": "server.key"}
    gateway = start(tmp_path, workers=2, settings={"tls": tls, "admin": {}}, wait=False)
    try:
        eventually(lambda: "ready" in {line["msg"] for line in logged(gateway)}, "it is ready", gateway)
        old = der(tmp_path / "server.pem")
        assert certificate_of(gateway) == old
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", gateway.auth_port), timeout=30) as sock,
            context.wrap_socket(sock) as kept,
        ):
            kept.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            (tmp_path / "server.pem").write_bytes((tmp_path / "client.pem").read_bytes())
            reload(gateway, workers=2)  # its key belongs to the other certificate: nothing is changed
            assert certificate_of(gateway) == old
            assert "cannot be used" in gateway.output()
            (tmp_path / "server.key").write_bytes((tmp_path / "client.key").read_bytes())
            reload(gateway, workers=2)
            assert {certificate_of(gateway) for _ in range(20)} == {der(tmp_path / "client.pem")}
            kept.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        assert gateway.stop() == 0


def test_a_new_fernet_key_encrypts_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    first, second = Fernet.generate_key(), Fernet.generate_key()
    keys = tmp_path / "data" / "fernet.keys"
    keys.parent.mkdir()
    keys.write_bytes(first)
    keys.chmod(0o600)
    with running(tmp_path, settings={"pii": {"encrypt": True}}) as gateway:

        def key_of(text: str) -> bytes:
            assert gateway.send([{"msg": text}]).status == 200
            token = next(event["msg_enc"] for event in gateway.stored() if event["msg"] == text)
            for key in (first, second):
                try:
                    assert Fernet(key).decrypt(token).decode() == text
                except InvalidToken:
                    continue
                return key
            raise AssertionError("no key opens it")

        assert key_of("with the first key") == first
        keys.write_text("not a key")
        reload(gateway)
        assert key_of("still the first key") == first
        keys.write_bytes(second + b"\n" + first)
        reload(gateway)
        assert key_of("with the second key") == second


@pytest.mark.parametrize("watch", [False, True])
def test_a_worker_that_is_replaced_has_the_keys_of_the_last_reload(tmp_path: Path, watch: bool) -> None:
    """Not those from the gateway's start: a revoked client must not come back with a crash."""
    with running(tmp_path, settings={"auth": {"watch_keys": watch}}) as gateway:
        write_keys(tmp_path / "data" / "keys.yaml", {"late": {"secrets": ["a-late-secret"], "emitter": "late"}})
        if not watch:
            reload(gateway)
        eventually(lambda: gateway.send([{"msg": "x"}]).status == 401, "the client is revoked", gateway)
        (pid,) = gateway.workers()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: gateway.workers() not in ([], [pid]), "it is replaced", gateway)
        assert gateway.send([{"msg": "x"}], timeout=DEADLINE).reason == "unknown_client"
        assert gateway.send([{"msg": "x"}], key="late", secret="a-late-secret").status == 200


def test_a_file_whose_mode_became_too_wide_is_warned_of_once(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        keys = tmp_path / "data" / "keys.yaml"
        assert "has mode" not in gateway.output()
        keys.chmod(0o644)
        reload(gateway)
        reload(gateway)
        (warning,) = [line for line in logged(gateway) if "has mode 0644" in line["msg"]]
        assert warning["level"] == "WARNING"
        assert "chmod 600" in warning["msg"]


@pytest.mark.parametrize("replace", [True, False], ids=["renamed over", "written in place"])
def test_a_changed_keys_file_is_reloaded_without_a_signal(tmp_path: Path, replace: bool) -> None:
    with running(tmp_path, settings={"auth": {"watch_keys": True}}) as gateway:
        assert gateway.send([{"msg": "x"}], key="late", secret="a-late-secret").reason == "unknown_client"
        new = tmp_path / "data" / ("new.yaml" if replace else "keys.yaml")
        write_keys(new, {"late": {"secrets": ["a-late-secret"], "emitter": "late"}})
        if replace:
            os.replace(new, tmp_path / "data" / "keys.yaml")
        eventually(
            lambda: gateway.send([{"msg": "x"}], key="late", secret="a-late-secret").status == 200,
            "the new client may send",
            gateway,
        )


def test_without_watch_keys_a_changed_file_waits_for_a_signal(tmp_path: Path) -> None:
    with running(tmp_path, settings={"auth": {"watch_keys": False}}) as gateway:
        write_keys(tmp_path / "data" / "keys.yaml", {"late": {"secrets": ["a-late-secret"], "emitter": "late"}})
        assert gateway.send([{"msg": "x"}], key="late", secret="a-late-secret").reason == "unknown_client"
        reload(gateway)
        assert gateway.send([{"msg": "x"}], key="late", secret="a-late-secret").status == 200


def test_switching_tls_on_needs_a_restart_and_says_so(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with running(tmp_path) as gateway:
        gateway.config.write_text(gateway.config.read_text() + "tls: {cert_file: server.pem, key_file: server.key}\n")
        reload(gateway)
        assert "switching TLS on or off needs a restart" in gateway.output()
        assert gateway.send([{"msg": "x"}]).status == 200
