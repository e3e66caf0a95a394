"""Whoever has no token, or comes from another page, gets nothing from a running console: over HTTP and WebSocket."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Console
from tests.support.gateway import KEY, SECRET, raw, request

pytestmark = [pytest.mark.process, pytest.mark.service]

SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
PATHS = ("/", "/scenarios", "/scenarios/long", "/run", "/runs", "/files/x.jsonl/report.html", SOCKET)


def test_without_a_token_there_is_no_page_and_no_script(console: Console) -> None:
    for path in (*PATHS, "/_nicegui/3.18.0/static/nicegui.js", "/docs", "/openapi.json"):
        answer = request(console.port, "GET", path)
        assert (answer.status, answer.body[:9]) == (401, b"no_token:"), path
    answer = request(console.port, "GET", "/?token=guess")
    assert (answer.status, answer.body[:12]) == (401, b"wrong_token:")


def test_another_host_or_origin_is_refused_with_the_cookie_too(console: Console) -> None:
    cookie = console.cookie()
    for headers, reason in (
        ({"Host": "evil.example"}, b"foreign_host:"),
        ({"Origin": "http://evil.example"}, b"foreign_origin:"),
        ({"Origin": "null"}, b"foreign_origin:"),
        ({"Origin": f"http://localhost:{console.port}"}, b"foreign_origin:"),
    ):
        answer = request(console.port, "GET", "/scenarios", headers={"Cookie": cookie, **headers})
        assert (answer.status, answer.body.split(b" ")[0]) == (403, reason), headers
    assert request(console.port, "GET", "/scenarios", headers={"Cookie": cookie}).status == 200


def handshake(console: Console, *, cookie: str | None, origin: str | None) -> bytes:
    """The status line that answers a WebSocket handshake."""
    lines = [
        f"GET {SOCKET} HTTP/1.1",
        f"Host: 127.0.0.1:{console.port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *([f"Cookie: {cookie}"] if cookie is not None else []),
        *([f"Origin: {origin}"] if origin is not None else []),
    ]
    return raw(console.port, "\r\n".join([*lines, "", ""]).encode(), timeout=2.0).split(b"\r\n")[0]


def test_a_websocket_of_another_origin_is_refused(console: Console) -> None:
    cookie, own = console.cookie(), f"http://127.0.0.1:{console.port}"
    assert b" 403 " in handshake(console, cookie=cookie, origin="http://evil.example")
    assert b" 403 " in handshake(console, cookie=cookie, origin=None)
    assert b" 403 " in handshake(console, cookie=None, origin=own)
    assert b" 101 " in handshake(console, cookie=cookie, origin=own)


def test_pages_hold_no_secret_and_load_nothing_from_elsewhere(console: Console) -> None:
    cookie = console.cookie()
    for path in ("/", "/scenarios", "/scenarios/long", "/run", "/runs"):
        answer = request(console.port, "GET", path, headers={"Cookie": cookie})
        assert answer.status == 200
        for secret in (SECRET, KEY, console.token, cookie.split("=", 1)[1]):
            assert secret.encode() not in answer.body, (path, secret)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


def test_files_outside_the_runs_are_not_served(console: Console) -> None:
    cookie = console.cookie()
    for path in ("..%2fkeys.yaml", "%2e%2e%2fkeys.yaml", "keys.yaml", "none.jsonl"):
        for what in ("telemetry.jsonl", "report.html", "report.png"):
            answer = request(console.port, "GET", f"/files/{path}/{what}", headers={"Cookie": cookie})
            assert answer.status == 404, path
            assert SECRET.encode() not in answer.body
