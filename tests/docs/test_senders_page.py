"""docs/senders.md: each sender, given its recipe as it is there, has its events stored by a real gateway.

What cannot be installed is replayed: see ``replayed_senders``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.docs.console import ROOT
from tests.docs.recipes import REPLAYED as MARKED_REPLAYED
from tests.docs.recipes import RUN, recipes
from tests.docs.replayed_senders import MESSAGE, REPLAYED
from tests.support.gateway import Gateway, request, running
from tests.support.ports import free_port
from tests.support.services import require_service

PAGE = ROOT / "docs" / "senders.md"
RECIPES = recipes(PAGE)
CLIENT, TOKEN = "demo", "0123456789abcdef0123456789abcdef"
DEADLINE = 120.0  # seconds, far above what any sender takes
SYSLOG_PORT = 5514  # of the recipe


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {"auth": {"mode": "any"}, "syslog": {"enabled": True, "tcp": f"127.0.0.1:{free_port()}"}}
    folder = tmp_path_factory.mktemp("gateway")
    with running(folder, clients={CLIENT: {"tokens": [TOKEN]}}, settings=settings) as gateway:
        yield gateway


def syslog_port(gateway: Gateway) -> str:
    (port,) = re.findall(r"tcp: 127\.0\.0\.1:(\d+)", gateway.config.read_text())
    return str(port)


def recipe(name: str, gateway: Gateway) -> str:
    """Return a recipe with this gateway's ports and token."""
    text = RECIPES[name].text.replace("8081", str(gateway.auth_port)).replace(str(SYSLOG_PORT), syslog_port(gateway))
    return text.replace("TOKEN", TOKEN)


@contextmanager
def arrives(gateway: Gateway, number: int = 1) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Yield a function that waits for ``number`` more events to be stored and returns them."""
    before = len(gateway.stored())

    def arrived() -> list[dict[str, Any]]:
        deadline = time.monotonic() + DEADLINE
        while len(found := gateway.stored()[before:]) < number:
            assert time.monotonic() < deadline, gateway.output()
            time.sleep(0.05)
        return found

    yield arrived


def run(command: list[str], folder: Path, **environment: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.process
def test_curl(gateway: Gateway, tmp_path: Path) -> None:
    require_service("curl")
    (tmp_path / "curl.sh").write_text(recipe("curl.sh", gateway))
    with arrives(gateway, 2) as arrived:
        run(["bash", "curl.sh"], tmp_path)
        first, second = arrived()
    assert (first["level"], second["level"]) == ("ERROR", "WARN")
    assert first["ts"] == "2026-11-25T10:00:00Z"


@pytest.mark.process
def test_the_opentelemetry_sdk_of_python(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "otel_sdk.py").write_text(recipe("otel_sdk.py", gateway))
    settings = dict(line.split("=", 1) for line in recipe("otel.env", gateway).splitlines())
    with arrives(gateway) as arrived:
        run([sys.executable, "otel_sdk.py"], tmp_path, **settings)
        (event,) = arrived()
    assert (event["msg"], event["level"], event["app"]) == (MESSAGE, "WARN", "shop")
    assert event["attributes"]["order"] == 17


@pytest.mark.process
def test_python_logging_loki(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "logging_loki_handler.py").write_text(recipe("logging_loki_handler.py", gateway))
    with arrives(gateway) as arrived:
        run([sys.executable, "logging_loki_handler.py"], tmp_path)
        (event,) = arrived()
    assert (event["msg"], event["level"], event["order"], event["app"]) == (MESSAGE, "WARN", "17", "shop")


@pytest.fixture(scope="module")
def node() -> Path:
    """A folder with what the recipes for Node import, kept in build/ between runs."""
    require_service("node")
    npm = require_service("npm")
    manifest = ROOT / "tests" / "docs" / "npm" / "package.json"
    folder = ROOT / "build" / "npm-senders"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / ".stamp"
        if not stamp.exists() or stamp.read_text() != manifest.read_text():
            shutil.copy(manifest, folder)
            subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True, timeout=600)
            shutil.copy(manifest, stamp)
    return folder


@pytest.mark.process
@pytest.mark.service
@pytest.mark.slow
@pytest.mark.parametrize("name", ["otel.mjs", "winston.mjs", "winston-loki.mjs", "pino.mjs"])
def test_a_sender_in_node(gateway: Gateway, node: Path, name: str) -> None:
    (node / name).write_text(recipe(name, gateway))
    # Not all of them end by themselves: winston-loki waits for more.
    with arrives(gateway) as arrived, daemon(["node", name], node):
        (event,) = arrived()
    assert (event["msg"], event["level"]) == (MESSAGE, "WARN")
    assert event.get("order", event.get("attributes", {}).get("order")) == 17
    assert event["emitter"] == CLIENT


@pytest.mark.process
@pytest.mark.service
def test_rsyslog(gateway: Gateway, tmp_path: Path) -> None:
    rsyslogd, port = require_service("rsyslogd"), free_port()
    head = f"""
global(workDirectory="{tmp_path}")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{port}")
"""
    (tmp_path / "rsyslog.conf").write_text(head + recipe("rsyslog.conf", gateway))
    command = [rsyslogd, "-n", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(tmp_path / "pid")]
    line = b"<132>1 2025-11-25T10:00:00.5Z web-1 shop 42 - - payment refused\n"
    with arrives(gateway) as arrived, daemon(command, tmp_path):
        send_line(port, line)
        (event,) = arrived()
    assert (event["msg"], event["level"], event["host"], event["app"]) == (MESSAGE, "WARN", "web-1", "shop")
    assert event["ts"].startswith("2025-11-25T10:00:00.5")


@pytest.mark.process
@pytest.mark.service
def test_logger(gateway: Gateway, tmp_path: Path) -> None:
    require_service("logger")
    (tmp_path / "logger.sh").write_text(recipe("logger.sh", gateway))
    with arrives(gateway) as arrived:
        run(["bash", "logger.sh"], tmp_path)
        (event,) = arrived()
    assert (event["msg"], event["level"], event["app"], event["emitter"]) == (MESSAGE, "WARN", "shop", "syslog")


@pytest.fixture(scope="module")
def syslog_ng() -> list[str]:
    """The command that starts syslog-ng. Debian does not install it beside rsyslog, so its packages are unpacked."""
    if program := shutil.which("syslog-ng"):
        return [program]
    fetch, unpack = require_service("apt-get"), require_service("dpkg-deb")
    folder = ROOT / "build" / "syslog-ng"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "usr" / "sbin" / "syslog-ng").exists():
            packages = ["syslog-ng-core", "syslog-ng-mod-http"]
            subprocess.run([fetch, "download", "-qq", *packages], cwd=folder, check=True, timeout=300)
            for package in folder.glob("*.deb"):
                subprocess.run([unpack, "-x", str(package), str(folder)], check=True, timeout=60)
    (modules,) = (folder / "usr" / "lib" / "syslog-ng").glob("[0-9]*")
    libraries = f"LD_LIBRARY_PATH={modules.parent}"
    return ["env", libraries, str(folder / "usr" / "sbin" / "syslog-ng"), "--module-path", str(modules)]


@pytest.mark.process
@pytest.mark.release
def test_syslog_ng(gateway: Gateway, tmp_path: Path, syslog_ng: list[str]) -> None:
    port = free_port()
    head = f"""
@version: 3.35
options {{ keep-hostname(yes); }};
source s_local {{ syslog(ip(127.0.0.1) port({port}) transport("tcp")); }};
""".lstrip()
    text = recipe("syslog-ng.conf", gateway).replace("disk-buffer(", f'disk-buffer(dir("{tmp_path}") ')
    (tmp_path / "syslog-ng.conf").write_text(head + text)
    command = [*syslog_ng, "-F", "--no-caps", "-f", str(tmp_path / "syslog-ng.conf"), "-R", str(tmp_path / "persist")]
    command += ["-p", str(tmp_path / "pid"), "-c", str(tmp_path / "control")]
    line = b"<132>1 2025-11-25T10:00:00.5Z web-1 shop 42 - - payment refused"
    with arrives(gateway) as arrived, daemon(command, tmp_path):
        send_line(port, b"%d %b" % (len(line), line))
        (event,) = arrived()
    assert (event["msg"], event["level"], event["host"], event["app"]) == (MESSAGE, "WARN", "web-1", "shop")


@contextmanager
def daemon(command: list[str], folder: Path) -> Iterator[None]:
    """Run a program until the end of the block; its output is shown if the block fails."""
    log = folder / f"{command[-1].rpartition('/')[2]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
    try:
        yield
    except BaseException:
        print(log.read_text())
        raise
    finally:
        process.terminate()
        process.wait(DEADLINE)


def send_line(port: int, data: bytes) -> None:
    """Send bytes to a port as soon as something listens there."""
    deadline = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(data)
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


JAVA = {
    "otel-agent.properties": 'java.util.logging.Logger.getLogger("shop").warning("payment refused");',
    "log4j2.xml": 'org.apache.logging.log4j.LogManager.getLogger("shop").warn("payment refused");'
    " org.apache.logging.log4j.LogManager.shutdown();",
}


@pytest.fixture(scope="module")
def jars() -> Path:
    """A folder with the libraries of tests/docs/java/pom.xml, kept in build/ between runs."""
    mvn = require_service("mvn")
    manifest = ROOT / "tests" / "docs" / "java" / "pom.xml"
    folder = ROOT / "build" / "java-senders"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / ".stamp"
        if not stamp.exists() or stamp.read_text() != manifest.read_text():
            plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
            command = [mvn, "-q", "-B", "-f", str(manifest), plugin, f"-DoutputDirectory={folder}"]
            subprocess.run(command, check=True, timeout=900)
            shutil.copy(manifest, stamp)
    return folder


@pytest.mark.process
@pytest.mark.release
@pytest.mark.parametrize("name", JAVA)
def test_a_sender_in_java(gateway: Gateway, tmp_path: Path, jars: Path, name: str) -> None:
    java = require_service("java")
    (tmp_path / name).write_text(recipe(name, gateway))
    (tmp_path / "App.java").write_text(f"class App {{ public static void main(String[] args) {{ {JAVA[name]} }} }}")
    if name == "otel-agent.properties":
        (agent,) = jars.glob("opentelemetry-javaagent-*.jar")
        options = [f"-javaagent:{agent}", f"-Dotel.javaagent.configuration-file={name}"]
    else:
        options = ["-cp", ":".join(map(str, jars.glob("log4j-*.jar"))), f"-Dlog4j.configurationFile={name}"]
    with arrives(gateway) as arrived:
        run([java, *options, "App.java"], tmp_path)
        (event,) = arrived()
    assert (event["msg"], event["level"]) == (MESSAGE, "WARN")


@pytest.mark.process
@pytest.mark.parametrize("name", REPLAYED)
def test_what_a_sender_would_send_is_stored(gateway: Gateway, name: str) -> None:
    sent = REPLAYED[name](recipe(name, gateway))
    assert (sent.host, sent.port) == ("127.0.0.1", gateway.auth_port)
    with arrives(gateway) as arrived:
        answer = request(sent.port, "POST", sent.path, sent.body, sent.headers)
        assert answer.status in (200, 204), answer.body
        (event,) = arrived()
    assert {field: event.get(field) for field in sent.stored} == sent.stored
    assert (event["msg"], event["emitter"]) == (MESSAGE, CLIENT)


def test_every_recipe_is_tested_as_the_page_says() -> None:
    source = Path(__file__).read_text("utf-8")
    assert {name for name, found in RECIPES.items() if found.how == MARKED_REPLAYED} == set(REPLAYED)
    assert [name for name, found in RECIPES.items() if found.how == RUN and f'"{name}"' not in source] == []


def test_the_table_says_how_each_sender_is_tested() -> None:
    text = PAGE.read_text("utf-8")
    sections = {
        title.lower().replace(" ", "-"): body
        for title, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text, re.MULTILINE)
    }
    for anchor, how in re.findall(r"^\| \[.*?\]\(#(.+?)\).* \| .* \| (.+) \|$", text, re.MULTILINE):
        assert (" replayed\n" in sections[anchor]) is (how == "replayed"), anchor
