from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from logops_fast.console.guard import Denial, Guard, GuardedApp, Redirect, Verdict, new_token

TOKEN = new_token()
HOST = "127.0.0.1:8092"


@pytest.fixture
def guard() -> Guard:
    return Guard(TOKEN, frozenset({"logs.example.org", "proxy.example.org:8443"}))


def cookie(guard: Guard) -> str:
    return f"other=1; {guard.cookie_name}={guard.session}"


def decide(
    guard: Guard,
    headers: Mapping[str, str],
    *,
    method: str = "GET",
    path: str = "/",
    query: str = "",
    websocket: bool = False,
) -> Verdict:
    return guard.decide(method, path, query, {"host": HOST, **headers}, websocket=websocket)


def reason(verdict: Verdict) -> str:
    return verdict.reason if isinstance(verdict, Denial) else repr(verdict)


def test_without_token_or_cookie_there_is_nothing(guard: Guard) -> None:
    for headers in ({}, {"cookie": "a=b"}, {"cookie": f"{guard.cookie_name}=guess"}, {"cookie": 'bad="\x7f'}):
        assert reason(decide(guard, headers)) == "no_token", headers
        assert reason(decide(guard, {**headers, "origin": f"http://{HOST}"}, websocket=True)) == "no_token"


def test_the_token_becomes_a_cookie_and_leaves_the_address(guard: Guard) -> None:
    found = decide(guard, {}, path="/runs", query=f"a=1&token={TOKEN}&b=%26")
    assert isinstance(found, Redirect)
    assert found.location == "/runs?a=1&b=%26"
    assert TOKEN not in found.cookie
    assert guard.session in found.cookie
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert attribute in found.cookie
    assert decide(guard, {"cookie": cookie(guard)}) is None


def test_a_wrong_token_is_refused_even_with_a_cookie(guard: Guard) -> None:
    for given in ("", "x", TOKEN + "x", TOKEN[:-1], "\u20ac"):
        assert reason(decide(guard, {"cookie": cookie(guard)}, query=f"token={given}")) == "wrong_token"


def test_a_websocket_takes_no_token_from_its_address(guard: Guard) -> None:
    headers = {"origin": f"http://{HOST}"}
    assert reason(decide(guard, headers, query=f"token={TOKEN}", websocket=True)) == "no_token"
    assert decide(guard, {**headers, "cookie": cookie(guard)}, websocket=True) is None


@pytest.mark.parametrize("path", ["//evil.example/x", "/a\r\nset-cookie: x=1", "/\u00e4", "/\\evil.example"])
def test_the_way_on_is_a_path_of_this_host_in_one_line(guard: Guard, path: str) -> None:
    found = decide(guard, {}, path=path, query=f"token={TOKEN}")
    assert isinstance(found, Redirect)
    assert found.location.isascii()
    assert found.location.isprintable()
    assert found.location[0] == "/"
    assert found.location[1:2] not in ("/", "\\")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8092", "127.0.0.1", "localhost", "localhost:8092", "LOCALHOST:1", "[::1]:8092", "192.168.1.9:8092",
     "logs.example.org", "Logs.Example.Org:8092", "proxy.example.org:8443"],
)  # fmt: skip
def test_addresses_localhost_and_configured_names_are_its_own_hosts(guard: Guard, host: str) -> None:
    assert decide(guard, {"host": host, "cookie": cookie(guard)}) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8092", "127.0.0.1.evil.example", "localhost.evil.example", "proxy.example.org",
     "user@127.0.0.1", "127.0.0.1/x", "127.0.0.1:x", "127.0.0.1:8092#", "[::1", "127.0.0.1, evil.example"],
)  # fmt: skip
def test_a_name_that_is_not_configured_may_be_rebound_and_is_refused(guard: Guard, host: str) -> None:
    for query in ("", f"token={TOKEN}"):
        assert reason(decide(guard, {"host": host, "cookie": cookie(guard)}, query=query)) == "foreign_host", host


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:9999", "http://127.0.0.1", "http://localhost:8092", "null", "",
     "file://127.0.0.1:8092", "http://127.0.0.1:8092.evil.example", "http://127.0.0.1:8092/"],
)  # fmt: skip
def test_another_origin_is_refused_with_the_right_cookie_too(guard: Guard, origin: str) -> None:
    headers = {"cookie": cookie(guard), "origin": origin}
    assert reason(decide(guard, headers)) == "foreign_origin"
    assert reason(decide(guard, headers, websocket=True)) == "foreign_origin"
    assert reason(decide(guard, headers, query=f"token={TOKEN}")) == "foreign_origin"


def test_what_can_change_something_needs_an_origin(guard: Guard) -> None:
    headers = {"cookie": cookie(guard)}
    assert reason(decide(guard, headers, websocket=True)) == "foreign_origin"
    assert reason(decide(guard, headers, method="POST")) == "foreign_origin"
    assert decide(guard, headers, method="HEAD") is None
    assert decide(guard, {**headers, "origin": f"https://{HOST}"}, method="POST") is None


def test_secrets_are_not_in_its_repr(guard: Guard) -> None:
    assert TOKEN not in repr(guard)
    assert guard.session not in repr(guard)
    assert Guard(TOKEN).session != guard.session


class Inner:
    """An application that answers what it was reached with."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["type"])
        if scope["type"] == "http":
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"public"), (b"x", b"1")]}
            )
            await send({"type": "http.response.body", "body": b"page"})


def serve(guard: Guard, kind: str, headers: list[tuple[bytes, bytes]], path: str = "/") -> tuple[Inner, list[Any]]:
    inner, sent = Inner(), []

    async def receive() -> dict[str, str]:
        return {"type": f"{kind}.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "query_string": b"", "headers": headers}
    asyncio.run(GuardedApp(inner, guard)(scope, receive, send))
    return inner, sent


def own(guard: Guard) -> list[tuple[bytes, bytes]]:
    return [(b"host", HOST.encode()), (b"cookie", cookie(guard).encode()), (b"origin", f"http://{HOST}".encode())]


def test_a_refusal_is_a_sentence_and_the_application_never_sees_the_request(guard: Guard) -> None:
    inner, (start, body) = serve(guard, "http", [(b"host", HOST.encode())])
    assert inner.reached == []
    assert start["status"] == 401
    assert body["body"].startswith(b"no_token: Open the address")
    assert dict(start["headers"])[b"cache-control"] == b"no-store"


def test_a_refused_websocket_is_closed_before_it_is_accepted(guard: Guard) -> None:
    inner, sent = serve(guard, "websocket", [*own(guard)[:2], (b"origin", b"http://evil.example")])
    assert inner.reached == []
    assert [message["type"] for message in sent] == ["websocket.close"]
    inner, _ = serve(guard, "websocket", own(guard))
    assert inner.reached == ["websocket"]


def test_its_pages_are_kept_out_of_frames_caches_and_other_origins(guard: Guard) -> None:
    _, (start, _) = serve(guard, "http", own(guard))
    found = dict(start["headers"])
    assert found[b"x"] == b"1"
    assert found[b"cache-control"] == b"no-store"
    assert [name.lower() for name, _ in start["headers"]].count(b"cache-control") == 1
    policy = found[b"content-security-policy"]
    assert b"default-src 'none'" in policy
    assert b"frame-ancestors 'none'" in policy
    assert b"http" not in policy  # nothing from elsewhere
    _, (start, _) = serve(guard, "http", own(guard), "/_nicegui/3/x.js")
    assert dict(start["headers"])[b"Cache-Control"] == b"public"


@pytest.mark.parametrize("name", [b"host", b"origin"])
def test_two_hosts_or_origins_are_refused(guard: Guard, name: bytes) -> None:
    value = dict(own(guard))[name]
    inner, (start, _) = serve(guard, "http", [*own(guard), (name, value)])
    assert inner.reached == []
    assert start["status"] == 403


def test_a_cookie_in_two_fields_is_one(guard: Guard) -> None:
    fields = [(b"host", HOST.encode()), (b"cookie", b"a=1"), (b"cookie", cookie(guard).encode())]
    inner, _ = serve(guard, "http", fields)
    assert inner.reached == ["http"]


def test_the_life_of_the_application_is_not_its_business(guard: Guard) -> None:
    inner, _ = serve(guard, "lifespan", [])
    assert inner.reached == ["lifespan"]
