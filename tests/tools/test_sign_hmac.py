from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.signing import signed

TOOL = Path(__file__).parents[2] / "tools" / "sign_hmac.py"


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *argv], capture_output=True, text=True, timeout=30, check=False)


EXPECTED = signed("demo", "s3cr3t-now", b'{"a":1}', target="/ingest?x=1", timestamp="1735689600", nonce="nonce-0001")
STAMPS = ("--ts", "1735689600", "--nonce", "nonce-0001")


@pytest.mark.process
def test_one_header_a_line() -> None:
    done = run("demo", "s3cr3t-now", "POST", "http://h/ingest?x=1", '{"a":1}', *STAMPS, "--one-per-line")
    assert done.returncode == 0, done.stderr
    assert dict(line.split(": ", 1) for line in done.stdout.splitlines()) == EXPECTED


@pytest.mark.process
def test_options_of_curl() -> None:
    words = shlex.split(run("demo", "s3cr3t-now", "POST", "http://h/ingest?x=1", '{"a":1}', *STAMPS).stdout)
    assert words[::2] == ["-H"] * 5
    assert dict(word.split(": ", 1) for word in words[1::2]) == EXPECTED


@pytest.mark.process
def test_the_body_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b'{"a":1}')
    arguments = ("demo", "s3cr3t-now", "POST", "http://h/ingest?x=1", "--body-file")
    done = run(*arguments, str(tmp_path / "b"), *STAMPS, "--one-per-line")
    assert f"X-Signature: {EXPECTED['X-Signature']}" in done.stdout
    assert run(*arguments, str(tmp_path / "gone")).returncode == 2


@pytest.mark.process
@pytest.mark.parametrize("offset", [-30, 30])
def test_a_clock_that_is_off_on_purpose(offset: int) -> None:
    import time

    before = int(time.time())
    done = run("demo", "s", "POST", "/", "--ts-offset", str(offset), "--one-per-line")
    stamp = int(dict(line.split(": ", 1) for line in done.stdout.splitlines())["X-Timestamp"])
    assert before + offset <= stamp <= int(time.time()) + offset
