from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.signing import signed

TOOL = Path(__file__).parents[2] / "tools" / "hmac_curl.sh"

pytestmark = pytest.mark.service


def run(*argv: str, body: bytes = b"", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    clean = {"PATH": os.environ["PATH"], "NO_PROXY": "*", "no_proxy": "*", **(env or {})}
    return subprocess.run([str(TOOL), *argv], input=body, capture_output=True, timeout=30, env=clean, check=False)


def test_it_says_what_it_misses() -> None:
    assert run("--print").stderr == b"hmac_curl.sh: no key; give -k or set LOGOPS_API_KEY\n"
    assert run("--print", "-k", "a").stderr == b"hmac_curl.sh: no secret; give -s or set LOGOPS_SECRET\n"
    assert run("-k").stderr == b"hmac_curl.sh: -k needs a value\n"
    assert run("--what").stderr == b"hmac_curl.sh: unknown option --what; see --help\n"
    assert run("--print").returncode == 2
    assert b"Example:" in run("--help").stdout


def test_it_takes_the_names_of_the_environment() -> None:
    env = {"LOGOPS_API_KEY": "web-1", "LOGOPS_SECRET": "s3cr3t-now", "ENTRYPOINT_URL": "http://h:1/v1/logs?a=b#c"}
    done = run("--print", "--ts", "1735689600", "--nonce", "", env=env)
    body = b'[{"msg":"hello from hmac_curl"}]'
    expected = signed("web-1", "s3cr3t-now", body, target="/v1/logs?a=b", timestamp="1735689600", nonce="")
    assert dict(line.split(": ", 1) for line in done.stdout.decode().splitlines()) == expected


class Recorder(http.server.BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        return


def test_it_sends_exactly_what_it_signed() -> None:
    Recorder.seen = []
    body = b"ts,level,msg\r\n1,INFO,\xff\0\n\n"
    target = "/ingest/../x//[y]?q={z}&p=%2e"
    with http.server.HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}{target}"
        done = run("-k", "web-1", "-s", "s3cr3t-now", "-t", "text/csv", "-H", "X-Emitter: batch", url, "@-", body=body)
        thread.join()
    assert done.stdout == b"{}\n200\n", done.stderr
    ((method, path, headers, sent),) = Recorder.seen
    assert (method, path, sent) == ("POST", target, body)
    assert (headers["Content-Type"], headers["X-Emitter"]) == ("text/csv", "batch")
    assert headers["X-Content-SHA256"] == hashlib.sha256(body).hexdigest()
    expected = signed(
        "web-1", "s3cr3t-now", body, target=target, timestamp=headers["X-Timestamp"], nonce=headers["X-Nonce"]
    )
    assert headers["X-Signature"] == expected["X-Signature"]
