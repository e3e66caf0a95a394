"""``logops check`` on set-ups that are broken in one way each, and on those that are not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from logops_fast.cli import preflight, preflight_storage
from logops_fast.cli.findings import Finding
from logops_fast.config.keys_file import make_demo_keys
from logops_fast.config.loader import load
from logops_fast.files.locks import locked
from tests.cli.conftest import Logops
from tests.support.certificates import make_certificates
from tests.support.gateway import running, write_keys
from tests.support.ports import free_port
from tests.support.services import redis_server
from tests.support.tables import each_of

GIB = 1 << 30


class Place:
    """A folder with a configuration that is in order, and free ports."""

    def __init__(self, logops: Logops) -> None:
        self.logops = logops
        self.folder = logops.folder
        self.tree: dict[str, Any] = {
            "authgw": {"port": free_port()},
            "ingest": {"port": free_port()},
            "admin": {"port": free_port()},
            "state": {"dir": "data/state", "max_request_rate": 500},
        }
        self.clients: dict[str, Any] = {"web-1": {"secrets": ["a-secret-that-is-long-enough"], "emitter": "web"}}
        self.role = "up"

    def set(self, path: str, value: Any) -> None:
        section, key = path.split(".")
        self.tree.setdefault(section, {})[key] = value

    def check(self, *, write: bool = True) -> tuple[int, list[Finding]]:
        """The exit code and the findings."""
        if write:
            (self.folder / "logops.yaml").write_text(yaml.safe_dump(self.tree))
            if self.clients:
                write_keys(self.folder / "data" / "keys.yaml", self.clients)
        done = self.logops("check", self.role, "--json")
        answer = json.loads(done.out)
        assert answer["ok"] == (done.code == 0)
        return done.code, [Finding(**finding) for finding in answer["findings"]]


@pytest.fixture
def place(logops: Logops) -> Place:
    return Place(logops)


def worst(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict != "ok"]


# What is right


def quiet(findings: list[Finding]) -> list[Finding]:
    """Without what says something of this machine alone."""
    return [finding for finding in worst(findings) if finding.part not in ("disk", "limits")]


@pytest.mark.parametrize("role", ["up", "authgw", "ingest", "ship"])
def test_a_setup_in_order_passes_and_is_left_as_it_was(place: Place, role: str) -> None:
    place.role = role
    with answering() as port:
        place.set("forward.url", f"http://127.0.0.1:{port}/v1/logs")
        place.set("ship.url", f"http://127.0.0.1:{port}")
        place.check()
        before = sorted(place.folder.rglob("*"))
        code, findings = place.check(write=False)
    assert (code, quiet(findings)) == (0, [])
    assert sorted(place.folder.rglob("*")) == before
    assert {finding.part for finding in findings} >= {"settings", "files", "disk"}


def test_the_demos_setup_passes_before_and_after_its_first_start(place: Place) -> None:
    place.clients = {}
    place.tree["ratelimit"] = {"overrides": {"csv": {"capacity": 1000, "refill_per_sec": 100}}}
    code, findings = place.check()
    assert (code, quiet(findings)) == (0, [])
    assert "the start makes it" in next(finding.detail for finding in findings if finding.part == "keys")
    make_demo_keys(place.folder / "data" / "keys.yaml")
    code, findings = place.check()
    assert (code, quiet(findings)) == (0, [])


def test_each_finding_is_a_line_and_a_failure_is_code_1(place: Place) -> None:
    place.check()
    done = place.logops("check")
    assert done.code == 0
    assert done.err == ""
    assert all(line.startswith(("ok    ", "warn  ")) for line in done.out.splitlines())
    with socket.create_server(("127.0.0.1", place.tree["authgw"]["port"])):
        done = place.logops("check")
    assert done.code == 1
    port = place.tree["authgw"]["port"]
    line = f"fail  ports     authgw.port: port {port} on 127.0.0.1 is in use"
    assert any(shown.startswith(line) for shown in done.out.splitlines())


# What is broken


class Broken(NamedTuple):
    """A way to break it, and what is said about it."""

    name: str
    breaks: Callable[[Place], object]
    verdict: str
    part: str
    words: str


def settings_text(text: str) -> Callable[[Place], None]:
    def write(place: Place) -> None:
        (place.folder / "logops.yaml").write_text(text)

    return write


def setting(path: str, value: Any) -> Callable[[Place], None]:
    return lambda place: place.set(path, value)


def file_of(path: str, content: str | bytes, mode: int = 0o600) -> Callable[[Place], None]:
    def write(place: Place) -> None:
        target = place.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    return write


def both(*steps: Callable[[Place], object]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        for step in steps:
            step(place)

    return run


def clients(value: dict[str, Any]) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        place.clients = value

    return change


def role(name: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        place.role = name

    return change


def certificates(cert: str, key: str) -> Callable[[Place], None]:
    def make(place: Place) -> None:
        make_certificates(place.folder)
        for made in place.folder.glob("*.key"):
            made.chmod(0o600)
        place.tree["tls"] = {"cert_file": cert, "key_file": key}

    return make


def no_port(place: Place) -> None:
    place.set("authgw.host", "192.0.2.1")  # TEST-NET-1: no machine's


def itself(place: Place) -> None:
    place.role = "authgw"
    place.set("forward.url", f"http://127.0.0.1:{place.tree['authgw']['port']}/v1/logs")


def without_tokens(place: Place) -> None:
    place.set("auth.mode", "api_key")


SECRET = "another-secret-long-enough"

BROKEN = (
    Broken("an unknown setting", settings_text("sever: {workers: 2}"), "fail", "settings", "logops.yaml:1: sever"),
    Broken("a wrong type", settings_text("server: {workers: many}"), "fail", "settings", "server.workers: expected"),
    Broken("no YAML", settings_text("server: [1"), "fail", "settings", "logops.yaml"),
    Broken("state that several workers cannot share", settings_text("server: {workers: 2}\nstate: {backend: memory}"),
           "fail", "settings", "state.backend: memory serves one worker"),
    Broken("risky settings", setting("pii.mask", False), "warn", "settings", "pii.mask is false"),
    Broken("no keys file", both(clients({}), setting("auth.keys_file", "elsewhere.yaml")), "fail", "keys",
           "elsewhere.yaml"),
    Broken("a keys file that does not read", both(clients({}), file_of("data/keys.yaml", "clients: {a: {}}")),
           "fail", "keys", "clients.a.secrets: expected"),
    Broken("a client without a secret", clients({"a": {"secrets": []}}), "fail", "keys", "expected a list of 1 to 2"),
    Broken("secrets that others may read",
           both(clients({}), file_of("data/keys.yaml", f"clients: {{web: {{secrets: [{SECRET}]}}}}", 0o644)),
           "warn", "keys", "has mode 0644"),
    Broken("no client at all", both(clients({}), file_of("data/keys.yaml", "clients: {}")), "warn", "keys",
           "has no client"),
    Broken("tokens asked for, and no client has one", without_tokens, "fail", "keys", "no client has a token"),
    Broken("a misspelled emitter", setting("dedup.by_body", ["wbe"]), "warn", "names",
           "dedup.by_body names wbe, and no client may send as it; did you mean web?"),
    Broken("encryption without a key", setting("pii.encrypt", True), "fail", "fernet", "data/fernet.keys"),
    Broken("a Fernet key that is none", both(setting("pii.encrypt", True), file_of("data/fernet.keys", "short\n")),
           "fail", "fernet", "pii.fernet_keys_file"),
    Broken("no certificate", both(certificates("gone.pem", "server.key")), "fail", "tls", "'gone.pem' cannot be read"),
    Broken("another certificate's key", certificates("server.pem", "client.key"), "fail", "tls",
           "server.pem and key client.key cannot be used"),
    Broken("a key with a pass phrase", certificates("server.pem", "server.locked"), "fail", "tls", "pass phrase"),
    Broken("a certificate that ends soon", certificates("server.pem", "server.key"), "warn", "tls", "in 0 days"),
    Broken("an address of another machine", no_port, "fail", "ports", "192.0.2.1 is not an address of this machine"),
    Broken("a directory that is a file", both(setting("sink.dir", "lines"), file_of("lines", "x")), "fail", "files",
           "sink.dir: lines cannot be written"),
    Broken("a directory that cannot be made", setting("sink.dir", "/proc/logops"), "fail", "files",
           "sink.dir: /proc/logops cannot be written"),
    Broken("a journal of a newer version", file_of("data/ingest/.journal/w0.0000000001.log", b"LOGOPSJ9rest"),
           "fail", "journal", "of another version or damaged"),
    Broken("a state table of another version", file_of("data/state/nonces.table", b"LOGOPSTB" + bytes(4096)),
           "warn", "state", "nonces.table: its header is damaged. It is created again"),
    Broken("no Redis", both(setting("state.backend", "redis"), setting("state.redis_url", "redis://u:pw@127.0.0.1:1/0")),
           "fail", "redis", "127.0.0.1:1 does not answer (ConnectionError): without it requests get 503"),
    Broken("no password of Redis",
           both(setting("state.backend", "redis"), setting("state.redis_password_file", "gone")),
           "fail", "redis", "state.redis_password_file: gone cannot be read"),
    Broken("a gateway that forwards to itself", itself, "fail", "forward", "is the Auth Gateway itself"),
    Broken("no Ingest Gateway", both(role("authgw"), setting("forward.url", "http://127.0.0.1:1/v1/logs")), "warn",
           "forward", "127.0.0.1:1: connection refused"),
    Broken("no Loki", both(role("ship"), setting("ship.url", "http://127.0.0.1:1")), "warn", "ship",
           "Loki at 127.0.0.1:1: connection refused; lines wait in the files"),
    Broken("a password file of Loki that is not there", both(role("ship"), setting("ship.password_file", "gone")),
           "fail", "ship", "gone"),
    Broken("positions of a newer version",
           file_of("data/ingest/ship/positions.json", '{"version": 99, "machine": "m", "files": []}'),
           "fail", "ship", "was written by a newer version"),
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=[broken.name for broken in BROKEN])
def test_what_is_broken_is_found_by_name(place: Place, broken: Broken) -> None:
    broken.breaks(place)
    code, findings = place.check(write=not (place.folder / "logops.yaml").exists())
    found = [one for one in worst(findings) if one.part == broken.part and broken.words in one.detail]
    assert [one.verdict for one in found] == [broken.verdict], worst(findings)
    assert code == (1 if broken.verdict == "fail" else 0), worst(findings)
    assert "pw" not in json.dumps(findings)


@pytest.mark.parametrize(
    ("name", "kind"), [("authgw", "port"), ("ingest", "port"), ("admin", "port"), ("tcp", "syslog")]
)
def test_a_port_in_use_is_named_by_its_setting(place: Place, name: str, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        if kind == "syslog":
            place.tree["syslog"] = {"enabled": True, "tcp": f"127.0.0.1:{port}"}
        else:
            place.set(f"{name}.port", port)
        code, findings = place.check()
    path = f"syslog.{name}" if kind == "syslog" else f"{name}.port"
    (found,) = [one for one in findings if one.part == "ports" and one.verdict == "fail"]
    assert found.detail.startswith(f"{path}: port {port} on 127.0.0.1 is in use")
    assert code == 1


def test_another_gateway_that_stores_there_is_found(place: Place) -> None:
    place.check()
    journal = place.folder / "data" / "ingest" / ".journal"
    journal.mkdir(parents=True)
    state = place.folder / "data" / "state"
    state.mkdir()
    with locked(journal / "w0.lock"), locked(state / "lock"):
        code, findings = place.check()
    assert code == 1
    assert {one.part: one.verdict for one in quiet(findings)} == {"journal": "fail", "state": "fail"}


def at(days: float) -> Callable[[], float]:
    return lambda: time.time() + days * 86_400


@pytest.mark.parametrize(
    ("days", "verdict", "words"),
    [(1, "fail", "expired at"), (-1, "fail", "is valid only from"), (0, "warn", "expires at")],
)
def test_a_certificate_is_judged_by_its_dates(place: Place, days: float, verdict: str, words: str) -> None:
    certificates("server.pem", "server.key")(place)
    place.set("tls.client_ca_file", "ca.pem")
    place.check()
    loaded = load(Path("logops.yaml"), {})
    found = [one for one in preflight.check(loaded, "up", now=at(days)) if one.part == "tls" and one.verdict != "ok"]
    assert [one.verdict for one in found] == [verdict] * 2  # the server's, and the CA's
    assert all(words in one.detail for one in found)


@each_of(
    ("free", "total", "inodes", "verdict", "words"),
    [
        (10 << 20, 100 * GIB, 1000, "fail", "too little to store anything"),
        (50 * GIB, 100 * GIB, 0, "fail", "no inode left"),
        (GIB - 1, 10 * GIB, 1000, "warn", "housekeeping.max_total_bytes"),
        (4 * GIB, 100 * GIB, 1000, "warn", "4.3 GB of 107 GB are free"),
        (50 * GIB, 100 * GIB, 1000, "ok", "54 GB of 107 GB are free"),
        (50 * GIB, 100 * GIB, -1, "ok", "are free"),  # btrfs has no number of inodes
    ],
)
def test_a_full_disk(free: int, total: int, inodes: int, verdict: str, words: str) -> None:
    finding = preflight_storage.judge_free("sink.dir", free, total, inodes)
    assert (finding.part, finding.verdict) == ("disk", verdict)
    assert words in finding.detail


@each_of(
    ("info", "verdict", "words"),
    [
        ({"redis_version": "4.0.14"}, "fail", "version 4.0.14 is too old"),
        ({"redis_version": "7.2.4", "role": "slave"}, "fail", "it is a replica"),
        ({"redis_version": "7.2.4", "maxmemory_policy": "allkeys-lru"}, "fail", "allkeys-lru"),
        ({"redis_version": "7.2.4", "role": "master", "maxmemory_policy": "noeviction"}, "ok", "Redis 7.2.4"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.0.1"}, "ok", "Valkey 8.0.1"),
    ],
)
def test_what_a_redis_says_of_itself_is_judged(info: dict[str, str], verdict: str, words: str) -> None:
    (finding,) = preflight.judge_redis(info, allow_eviction=False)
    assert finding.verdict == verdict
    assert words in finding.detail


@pytest.mark.service
@pytest.mark.process
def test_a_real_redis_is_asked_for_its_policy_and_its_password(place: Place) -> None:
    with redis_server() as server:
        place.tree["state"] = {"backend": "redis", "redis_url": server.url}
        code, findings = place.check()
        assert (code, quiet(findings)) == (0, [])
        assert "noeviction" in next(one.detail for one in findings if one.part == "redis")
        assert server.ask(b"CONFIG SET maxmemory-policy allkeys-lru") == b"+OK\r\n"
        code, findings = place.check()
        assert (code, [one.verdict for one in quiet(findings)]) == (1, ["fail"])
        place.set("state.redis_allow_eviction", True)
        code, findings = place.check()
        assert (code, [one.verdict for one in quiet(findings)]) == (0, ["warn"])
        assert server.ask(b"CONFIG SET requirepass not-ours") == b"+OK\r\n"
        code, findings = place.check()
        assert code == 1
        assert "refuses the password" in quiet(findings)[0].detail


@pytest.mark.process
def test_beside_the_running_gateway_its_own_ports_and_files_are_no_failure(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        argv = [sys.executable, "-m", "logops_fast", "check", "--json"]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    findings = [Finding(**one) for one in json.loads(done.stdout)["findings"]]
    assert done.returncode == 0, worst(findings)
    by_part = {one.part for one in quiet(findings)}
    assert by_part == {"ports", "journal", "state"}
    assert all(str(gateway.process.pid) in one.detail for one in quiet(findings))


@contextmanager
def answering() -> Iterator[int]:
    """Something that answers 200 to whatever it is asked."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
