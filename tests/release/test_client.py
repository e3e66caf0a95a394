"""``logops-fast-client`` as an application installs it: two dependencies, and records that arrive at a real gateway."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from tests.release.fresh import ROOT, environment, new_environment, run
from tests.support.gateway import KEY, SECRET, running

pytestmark = [pytest.mark.release, pytest.mark.timeout(1200)]

PROGRAM = """
import asyncio, logging, sys
from logops_fast_client.async_client import AsyncLogOpsClient
from logops_fast_client.handler import LogOpsHandler

url, key, secret = sys.argv[1:]
logging.getLogger().addHandler(LogOpsHandler(url, key, secret, app="shop"))
logging.warning("by the handler")

async def main():
    async with AsyncLogOpsClient(url, key, secret) as client:
        print(await client.send([{"msg": "by the client"}]))

asyncio.run(main())
"""


def test_an_environment_with_the_client_alone_sends(tmp_path: Path) -> None:
    env = environment(new_environment(tmp_path / "venv"), PIP_DISABLE_PIP_VERSION_CHECK="1")
    run("pip install ./client", ROOT, env)
    installed = {one["name"] for one in json.loads(run("pip list --format json", tmp_path, env))}
    assert installed - {"pip", "setuptools", "wheel"} == {"logops-fast-client", "httptools", "orjson"}
    with running(tmp_path / "gateway") as gateway:
        url = f"http://127.0.0.1:{gateway.auth_port}/ingest"
        assert "Stored(accepted=1, rejected=0)" in run(["python", "-c", PROGRAM, url, KEY, SECRET], tmp_path, env)
        assert {event["msg"] for event in gateway.stored()} == {"by the handler", "by the client"}


def test_the_source_distribution_builds_the_same_wheel_without_a_checkout(tmp_path: Path) -> None:
    for outdir, options in (("tree", ["--wheel"]), ("sdist", [])):  # no option: a wheel from the source distribution
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / outdir), *options]
        run([*build, str(ROOT / "client")], tmp_path, os.environ)
    (tree,) = (tmp_path / "tree").glob("*.whl")
    (sdist,) = (tmp_path / "sdist").glob("*.whl")
    assert contents(tree) == contents(sdist)
    assert any(name.endswith("handler.py") for name in contents(tree))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
