"""A gateway, its console and Debian's chromium, started once for all tests of the console in a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.gateway import Gateway, request, running
from tests.support.ports import free_port
from tests.support.services import require_service

START: Final = 120.0
LONG: Final = """
name: long
description: goes on until it is stopped
duration_sec: 3600
tick_sec: 0.2
emitters:
  - name: web
    kind: json
    eps: 200
    args: {batch_size: 20}
  - {name: csv, eps: 40, args: {batch_size: 20}}
"""


@dataclass
class Console:
    """A running `logops console`, and the gateway that it watches."""

    gateway: Gateway
    port: int
    token: str
    log: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """What it printed at its start."""
        return f"{self.base}/?token={self.token}"

    def cookie(self) -> str:
        """Exchange the token for a cookie, as a browser does."""
        answer = request(self.port, "GET", f"/?token={self.token}", headers={"Host": f"127.0.0.1:{self.port}"})
        assert answer.status == 303, answer
        assert answer.headers["location"] == "/"
        return answer.headers["set-cookie"].split(";")[0]


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("console")
    (folder / "long.yaml").write_text(LONG)
    port = free_port()
    with running(folder, settings={"console": {"port": port}}) as gateway:
        log = folder / "console.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "logops_fast", "console", "long.yaml",
                 "--url", f"http://127.0.0.1:{gateway.auth_port}/ingest"],
                cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            yield Console(gateway, port, _token(process, log), log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(START) == 0, log.read_text()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _token(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        found = re.search(r"/\?token=(\S+)\n.*\n", log.read_text())
        if found is not None:
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"the console did not start in {START} s:\n{log.read_text()}")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """Debian's own browser, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    program = require_service("chromium")
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
