"""A worker's service in this process, for each role: start, requests, readiness, reload, adoption, drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from logops_fast.config.keys_file import Keyring
from logops_fast.config.loader import load
from logops_fast.errors import StartupError
from logops_fast.http.refusal import Refusal
from logops_fast.runtime.heartbeat import Board
from logops_fast.runtime.listeners import bind_listeners
from logops_fast.runtime.services import GatewayService, Plan, Role, build, read_keyring
from logops_fast.runtime.storage import Storage
from logops_fast.runtime.worker import WorkerContext
from logops_fast.state.factory import open_state
from logops_fast.telemetry.slab import Slab
from tests.support.certificates import make_certificates
from tests.support.gateway import write_keys
from tests.support.signing import signed

KEY, SECRET = "web-1", "a-secret-of-a-test"
LARGE = b"[" + b",".join([b'{"msg":"%s"}' % (b"large " * 200)] * 300) + b"]"
SECTIONS = {"up": ("authgw", "ingest"), "authgw": ("authgw",), "ingest": ("ingest",)}


class Running:
    """A started service of worker 0 of two, its ports, and its configuration file."""

    def __init__(self, role: Role, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.config = folder / "logops.yaml"
        self.tree: dict[str, Any] = {
            "auth": {"keys_file": str(folder / "keys.yaml")},
            "sink": {"dir": str(folder / "ingest")},
            "state": {"dir": str(folder / "state")},
            "pii": {"fernet_keys_file": str(folder / "fernet.keys")},
        }
        for section, values in settings.items():
            self.tree[section] = self.tree.get(section, {}) | values
        self.configure()
        write_keys(folder / "keys.yaml", {KEY: {"secrets": [SECRET], "emitter": "web"}})
        loaded = load(self.config, {}).settings
        keyring = read_keyring(loaded) if role != "ingest" else None
        state = open_state("memory", workers=1, directory=folder, redis_url="", tolerance=300.0)
        listeners = {name: bind_listeners("127.0.0.1", 0, 2) for name in SECTIONS[role]}
        self.sockets = [sock for sockets in listeners.values() for sock in sockets]
        self.ports = {name: sockets[0].getsockname()[1] for name, sockets in listeners.items()}
        # 0 and 1: the worker's process holds descriptors of its own, which the fork duplicates.
        self.context = WorkerContext(
            0, 2, Slab(2), -1, -1, 0, Board(2), {n: [s.dup() for s in found] for n, found in listeners.items()}
        )
        self.plan = Plan(role, loaded, keyring, state, self.config, {})
        self.service: GatewayService

    def configure(self, **sections: Any) -> None:
        self.tree |= sections
        self.config.write_text(yaml.safe_dump(self.tree))

    async def request(
        self, gateway: str, data: bytes, tls: ssl.SSLContext | None = None
    ) -> tuple[int, dict[str, Any] | bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[gateway], ssl=tls)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body) if b"application/json" in head else body

    async def get(self, gateway: str, path: str) -> tuple[int, Any]:
        return await self.request(gateway, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())

    async def post(self, body: bytes, gateway: str = "authgw", key: str = KEY, secret: str = SECRET) -> tuple[int, Any]:
        target = "/ingest" if gateway == "authgw" else "/v1/logs"
        fields = signed(key, secret, body, target=target) if gateway == "authgw" else {}
        fields |= {"host": "x", "connection": "close", "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return await self.request(gateway, f"POST {target} HTTP/1.1\r\n{head}\r\n".encode() + body)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is polled has no event
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(role: Role, folder: Path, **settings: Any) -> AsyncIterator[Running]:
    running = Running(role, folder, settings)
    try:
        running.service = await build(running.plan, running.context)
        await running.service.start()
        try:
            yield running
        finally:
            await running.service.drain()
    finally:
        for sock in running.sockets:
            sock.close()


def test_both_gateways_store_what_was_signed_and_answer_their_probes(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving("up", tmp_path) as up:
            assert (await up.post(b'{"msg":"hello"}'))[0] == 200
            assert (await up.post(b'{"msg":"direct"}', "ingest"))[0] == 200
            assert (await up.post(b"{}", secret="wrong-secret"))[1]["error"] == "bad_signature"
            for gateway in ("authgw", "ingest"):
                assert (await up.get(gateway, "/readyz"))[0] == 200
                assert (await up.get(gateway, "/healthz"))[0] == 200
                status, page = await up.get(gateway, "/metrics")
                assert status == 200
                assert b'reason="bad_signature"' in page
            assert up.service.state().name == "ready"
            assert "GatewayService up worker=0" in repr(up.service)

    asyncio.run(run())
    stored = [
        json.loads(line)["msg"]
        for file in (tmp_path / "ingest").glob("*.ndjson")
        for line in file.read_text().splitlines()
    ]
    assert stored == ["hello", "direct"]


def test_the_disk_thread_goes_before_each_slice_of_a_large_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Storage] = []

    def give_way(storage: Storage) -> bool:
        given.append(storage)
        return False

    monkeypatch.setattr(Storage, "give_way", give_way)

    async def run() -> None:
        async with serving("up", tmp_path) as up:
            assert (await up.post(b'[{"msg":"small"}]'))[0] == 200
            assert not given
            assert (await up.post(LARGE))[0] == 200
            assert given

    asyncio.run(run())


def test_a_refusal_of_the_http_layer_is_counted_as_the_gateways_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving("ingest", tmp_path) as one:
            assert (await one.request("ingest", b"nonsense\r\n\r\n"))[0] == 400
            rejected = one.context.registry.sums("logops_rejected_total")
            assert rejected[("ingest", "bad_request", "other")] == (1.0,)

    asyncio.run(run())


def test_an_auth_gateway_alone_forwards_and_its_breaker_makes_it_unready(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        async with serving("ingest", tmp_path / "one") as ingest:
            url = f"http://127.0.0.1:{ingest.ports['ingest']}/v1/logs"
            breaker = {"min_calls": 1, "failure_threshold": 0.01}
            async with serving(
                "authgw", tmp_path / "two", forward={"url": url, "max_attempts": 1}, breaker=breaker
            ) as auth:
                assert (await auth.post(b'{"msg":"forwarded"}'))[0] == 200
                assert auth.service.state().name == "ready"
                ingest.service._listeners[0].stop_accepting()
                ingest.sockets[0].shutdown(socket.SHUT_RDWR)  # as the supervisor does once the workers drain
                await ingest.service._listeners[0].drain(1.0)
                assert (await auth.post(b'{"msg":"lost"}'))[0] in (502, 503)
                assert auth.service.state().name == "circuit_open"
                status, answer = await auth.get("authgw", "/readyz")
                assert (status, answer["error"]) == (503, "circuit_open")
                auth.service._set_gauges()
                assert auth.context.registry.sums("logops_circuit_breaker_state") == {(): (2.0,)}

    asyncio.run(run())


def test_a_failing_sink_and_a_failing_store_are_reported_with_their_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with serving("up", tmp_path) as up:
            checks = up.service._parts[1].checks()
            storage = up.service._parts[1]._storage  # type: ignore[attr-defined]
            storage._file_sink._failure = "No space left on device"
            assert up.service.state() == ("sink_failed", "Nothing can be stored: No space left on device")
            storage._file_sink._failure = None
            assert checks[0]() is None

            class Unreachable:
                def healthy(self) -> str:
                    return "Connection refused"

                async def close(self) -> None:
                    pass

            object.__setattr__(up.plan, "state", Unreachable())
            assert up.service.state().name == "state_unavailable"
            assert "Connection refused" in up.service.state().detail

    asyncio.run(run())


def test_admin_only_routes_no_probes(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving("up", tmp_path, admin={"only": True}) as up:
            assert [(await up.get("authgw", path))[0] for path in ("/healthz", "/readyz", "/metrics")] == [404] * 3
            assert (await up.post(b'{"msg":"hello"}'))[0] == 200

    asyncio.run(run())


def test_a_reload_takes_over_clients_limits_and_fernet_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, second = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    (tmp_path / "fernet.keys").write_text(first)
    (tmp_path / "fernet.keys").chmod(0o600)

    async def reload(up: Running, outcome: str) -> None:
        before = caplog.text.count(outcome)
        up.service.reload()
        await until(lambda: caplog.text.count(outcome) > before)

    async def run() -> None:
        async with serving("up", tmp_path, pii={"encrypt": True}) as up:
            write_keys(tmp_path / "keys.yaml", {"late": {"secrets": ["a-late-secret"], "emitter": "late"}})
            (tmp_path / "fernet.keys").write_text(f"{second}\n{first}\n")
            up.configure(backpressure={"max_items": 1})
            await reload(up, "reloaded")
            assert (await up.post(b"{}"))[1]["error"] == "unknown_client"
            assert (await up.post(b'{"msg":"new"}', key="late", secret="a-late-secret"))[0] == 200
            two = await up.post(b'[{"msg":"1"},{"msg":"2"}]', key="late", secret="a-late-secret")
            assert two[1]["error"] == "too_many_items"

            (tmp_path / "fernet.keys").write_text("no key")
            write_keys(tmp_path / "keys.yaml", {KEY: {"secrets": [SECRET], "emitter": "web"}})
            await reload(up, "reload refused, nothing was changed: pii.fernet_keys_file")
            assert (await up.post(b"{}"))[1]["error"] == "unknown_client", "the keys file was right, and not taken over"

            (tmp_path / "fernet.keys").write_text(second)
            (tmp_path / "fernet.keys").chmod(0o640)
            await reload(up, "reloaded")
            assert "fernet.keys has mode 0640" in caplog.text
            up.configure(server={"workers": "many"})
            await reload(up, "server.workers: expected")

    asyncio.run(run())
    (line,) = (tmp_path / "ingest").glob("*.ndjson")
    event = json.loads(line.read_text().splitlines()[0])
    assert Fernet(second).decrypt(event["msg_enc"]) == b"new"


def test_a_lone_ingest_gateway_reloads_without_a_keys_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def run() -> None:
        async with serving("ingest", tmp_path) as one:
            (tmp_path / "keys.yaml").unlink()
            one.service.reload()
            await until(lambda: "reloaded" in caplog.text)

    asyncio.run(run())


def test_another_certificate_is_used_for_new_connections_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    make_certificates(tmp_path)
    tls = {"cert_file": str(tmp_path / "server.pem"), "key_file": str(tmp_path / "server.key")}
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE

    async def shown(up: Running) -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", up.ports["authgw"], ssl=client)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
        return found

    async def run() -> None:
        async with serving("up", tmp_path, tls=tls) as up:
            old = await shown(up)
            up.configure(tls={"cert_file": str(tmp_path / "client.pem"), "key_file": str(tmp_path / "client.key")})
            up.service.reload()
            await until(lambda: "reloaded" in caplog.text)
            new = ssl.PEM_cert_to_DER_cert((tmp_path / "client.pem").read_text())
            assert await shown(up) == new != old
            up.configure(tls={"cert_file": "", "key_file": ""})
            up.service.reload()
            await until(lambda: "switching TLS on or off needs a restart" in caplog.text)
            assert await shown(up) == new

    asyncio.run(run())


def test_the_connections_of_a_silent_worker_are_accepted_and_handed_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving("up", tmp_path) as up:
            listeners = up.service._listeners
            assert [listener.places for listener in listeners] == [frozenset({0})] * 2
            up.service.accept_for(frozenset({1}))
            await until(lambda: all(listener.places == {0, 1} for listener in listeners))
            # Both sockets of the group are served: no connection waits, whichever the kernel chooses.
            assert [(await up.get("authgw", "/healthz"))[0] for _ in range(30)] == [200] * 30
            up.service.accept_for(frozenset())
            await until(lambda: all(listener.places == {0} for listener in listeners))

    asyncio.run(run())


def test_a_drain_publishes_that_it_drains_and_refuses_to_accept(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving("up", tmp_path) as up:
            pass
        assert up.context.board.state(0).name == "draining"
        up.service.accept_for(frozenset({1}))
        assert [listener.places for listener in up.service._listeners] == [frozenset()] * 2

    asyncio.run(run())


def test_a_sink_that_cannot_be_opened_is_a_start_up_error(tmp_path: Path) -> None:
    (tmp_path / "ingest").write_text("a file where a folder should be")

    async def run() -> None:
        running = Running("up", tmp_path, {})
        try:
            with pytest.raises(StartupError, match=r"sink\.dir"):
                await (await build(running.plan, running.context)).start()
        finally:
            await running.plan.state.close()
            for sock in [*running.sockets, *(s for found in running.context.listeners.values() for s in found)]:
                sock.close()

    asyncio.run(run())


def test_in_mode_none_no_keys_file_is_needed(tmp_path: Path) -> None:
    settings = load(None, {}, {"auth.mode": "none", "auth.keys_file": str(tmp_path / "gone.yaml")}).settings
    assert read_keyring(settings) == Keyring.of(())


def test_a_check_of_another_worker_makes_this_one_unready(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving("up", tmp_path) as up:
            from logops_fast.runtime.probes import Readiness
            from logops_fast.telemetry.registry import Registry

            other = Readiness(Registry(up.context.slab, 1), [lambda: Refusal(503, "sink_failed", "Full.", 1)])
            other.update()
            assert (await up.get("ingest", "/readyz"))[1]["error"] == "sink_failed"
            assert up.service.state().name == "ready", "its own state is not the other's"

    asyncio.run(run())
