"""Make docs/images/console.png: the console's live page while a scenario runs, in Debian's chromium.

    python -m tools.console_screenshot

It starts `logops up` and `logops console` in a folder of their own, runs a scenario from the console's page for half a
minute, and takes the picture. Everything in it was measured: run it while the machine has nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from playwright.sync_api import Page, ViewportSize, sync_playwright

from logops_fast.console.profile import duration_text

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGE: Final = ROOT / "docs" / "images" / "console.png"
SCENARIO: Final = "demo"
SIZE: Final[ViewportSize] = {"width": 1200, "height": 870}
START_SECONDS: Final = 60.0

Found = TypeVar("Found")


def main(words: list[str] | None = None) -> int:
    """Take the picture."""
    parser = argparse.ArgumentParser(prog="python -m tools.console_screenshot")
    parser.add_argument("--seconds", type=int, default=40, help="how long the scenario has run in the picture")
    parser.add_argument("--theme", choices=("light", "dark"), default="dark")
    parser.add_argument("--out", type=Path, default=IMAGE)
    args = parser.parse_args(words)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _console(Path(folder)) as address, sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        page = browser.new_page(viewport=SIZE, color_scheme=args.theme)
        page.goto(address)
        _run_for(page, address.partition("/?")[0], args.seconds)
        page.screenshot(path=args.out)
        browser.close()
    print(f"wrote {args.out}")
    return 0


def _run_for(page: Page, base: str, seconds: int) -> None:
    page.goto(f"{base}/scenarios/{SCENARIO}")
    page.get_by_label("Duration in seconds").fill(str(seconds * 2))
    said = re.compile(f"events in {duration_text(seconds * 2.0)}")
    page.get_by_role("paragraph").filter(has_text=said).wait_for()
    page.get_by_role("button", name="Run").click()
    page.wait_for_url("**/run")
    page.goto(f"{base}/")
    page.get_by_role("row", name=re.compile("^worker 0 ok")).wait_for()
    page.wait_for_timeout(seconds * 1000)


@contextmanager
def _console(folder: Path) -> Iterator[str]:
    """Run a gateway and its console; yield the address that the console prints."""
    ports = _free_ports(4)
    names = ("AUTHGW", "INGEST", "ADMIN", "CONSOLE")
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOGOPS_")}
    env |= {f"LOGOPS_{name}__PORT": str(port) for name, port in zip(names, ports, strict=True)}
    # as `logops demo` has it, so that something is refused
    env |= {"LOGOPS_RATELIMIT__OVERRIDES__CSV__CAPACITY": "1000"}
    env |= {"LOGOPS_RATELIMIT__OVERRIDES__CSV__REFILL_PER_SEC": "100"}
    with _started(folder, env, "up"):
        _until(lambda: _accepts(ports[0]) or None)
        with _started(folder, env, "console", "--url", f"http://127.0.0.1:{ports[0]}/ingest") as log:
            yield _until(lambda: re.search(r"http\S+token=\S+", log.read_text()))[0]


@contextmanager
def _started(folder: Path, env: Mapping[str, str], *command: str) -> Iterator[Path]:
    log = folder / f"{command[0]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - it starts this package, by no words from outside
            [sys.executable, "-m", "logops_fast", *command],
            cwd=folder,
            env={**env, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=out,
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait()


def _until(look: Callable[[], Found | None]) -> Found:
    """Return what ``look`` returns once it is true."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise SystemExit("it did not start in time")


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


if __name__ == "__main__":
    sys.exit(main())
