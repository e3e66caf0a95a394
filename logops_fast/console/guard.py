"""Who may open the console: the holder of the token, from the console's own pages. A pure decision, and an ASGI door.

The page can start traffic and shows stored lines, and a browser carries requests of any page to 127.0.0.1. So:

- Host has to be an address, ``localhost`` or a configured name: a name that an attacker's DNS points at 127.0.0.1 (DNS
  rebinding) is none of them.
- Origin, where there is one, has to be that host; a WebSocket and every method but GET and HEAD need one. The
  same-origin policy does not cover WebSockets (RFC 6455, 10.2).
- The token is exchanged for a cookie (HttpOnly, SameSite=Strict) and goes out of the address bar. The cookie's value is
  a secret of its own, made at each start.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_BYTES: Final = 32
Reason = Literal["foreign_host", "foreign_origin", "no_token", "wrong_token"]

_SENTENCES: Final[Mapping[Reason, tuple[int, str]]] = {
    "foreign_host": (
        403,
        "This host name is not the console's: open it by its address, or add the name to console.allow_hosts.",
    ),
    "foreign_origin": (403, "Another page has sent this request: the console answers its own pages alone."),
    "no_token": (401, "Open the address that `logops console` printed when it started: it has the token."),
    "wrong_token": (
        401,
        "This token is not valid (each start makes a new one): open the address that `logops console` printed last.",
    ),
}

# Everything comes from the console itself. The scripts of NiceGUI are inline in its pages, and its charts and
# components compile their options and templates in the browser ('unsafe-eval').
CSP: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", CSP.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_SAFE: Final = ("GET", "HEAD")
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_POLICY_VIOLATION: Final = 1008  # WebSocket close code (RFC 6455, 7.4.1)


class Denial(NamedTuple):
    """Why a request is refused, with the status and a sentence for a person."""

    reason: Reason
    status: int
    detail: str


class Redirect(NamedTuple):
    """The token was right: set the cookie, and go on to ``location`` without the token."""

    location: str
    cookie: str


Verdict = Denial | Redirect | None
"""None lets the request pass."""


@dataclass(frozen=True)
class Guard:
    """Decides by ``token`` and ``hosts``, the names besides addresses and ``localhost`` that Host may have.

    ``cookie_name`` has to differ between two consoles of one machine: cookies do not know ports.
    """

    token: str = field(repr=False)
    hosts: frozenset[str] = frozenset()
    cookie_name: str = "logops_console"
    session: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES), repr=False)

    def decide(self, method: str, path: str, query: str, headers: Mapping[str, str], *, websocket: bool) -> Verdict:
        """Return what becomes of a request. Names of ``headers`` are lower case."""
        host = headers.get("host", "")
        if not self._is_own_host(host):
            return denial("foreign_host")
        origin = headers.get("origin")
        if origin is None:
            if websocket or method not in _SAFE:
                return denial("foreign_origin")
        elif not _is_origin_of(origin, host):
            return denial("foreign_origin")
        given = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "token"]
        if given and not websocket:
            # also with a valid cookie, so that the token does not stay in the address bar and the history
            return self._exchange(given[-1], path, query)
        if not _equal(_cookie(headers.get("cookie", ""), self.cookie_name), self.session):
            return denial("no_token")
        return None

    def _exchange(self, given: str, path: str, query: str) -> Verdict:
        if not _equal(given, self.token):
            return denial("wrong_token")
        rest = urlencode([pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "token"])
        # one leading slash: "//name" would be another host
        location = "/" + quote(path.lstrip("/")) + (f"?{rest}" if rest else "")
        cookie = f"{self.cookie_name}={self.session}; Path=/; HttpOnly; SameSite=Strict"
        return Redirect(location, cookie)

    def _is_own_host(self, host: str) -> bool:
        parts = _HOST.fullmatch(host.lower())
        if parts is None:
            return False
        name = parts["name"]
        if name == "localhost" or name in self.hosts or parts[0] in self.hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def denial(reason: Reason) -> Denial:
    """Return the denial for a reason."""
    return Denial(reason, *_SENTENCES[reason])


class GuardedApp:
    """An ASGI application behind a :class:`Guard`, with the headers that keep its pages to themselves."""

    def __init__(self, app: Asgi, guard: Guard) -> None:
        self.app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse it before the application sees it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        websocket = scope["type"] == "websocket"
        headers, repeated = _headers(scope["headers"])
        verdict: Verdict
        if repeated:  # which of two Hosts or Origins counts must not be a matter of who reads them
            verdict = denial("foreign_host")
        else:
            query = scope.get("query_string", b"").decode("latin-1")
            verdict = self._guard.decide(scope.get("method", "GET"), scope["path"], query, headers, websocket=websocket)
        if verdict is None:
            await self.app(scope, receive, send if websocket else _with_headers(send, scope["path"]))
        elif websocket:
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await _answer(verdict, send)


async def _answer(verdict: Denial | Redirect, send: Send) -> None:
    fields = [*_HEADERS, (b"cache-control", b"no-store")]
    if isinstance(verdict, Redirect):
        status, body = 303, b""
        fields += [(b"location", verdict.location.encode("ascii")), (b"set-cookie", verdict.cookie.encode())]
    else:
        status, body = verdict.status, f"{verdict.reason}: {verdict.detail}\n".encode()
        fields.append((b"content-type", b"text/plain; charset=utf-8"))
    fields.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send, path: str) -> Send:
    static = path.startswith("/_nicegui/")  # named by version and digest, and nobody's data

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = _HEADERS if static else (*_HEADERS, (b"cache-control", b"no-store"))
            names = {name for name, _ in own}
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in names]
            message["headers"] = [*kept, *own]
        await send(message)

    return add


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], bool]:
    """Return the fields by name, and whether one of those that the guard reads came twice."""
    found: dict[str, str] = {}
    repeated = False
    for name, value in raw:
        key = name.decode("latin-1").lower()
        if key == "cookie" and key in found:  # HTTP/2 may split it, and a proxy pass that on (RFC 9113, 8.2.3)
            found[key] += "; " + value.decode("latin-1")
            continue
        repeated |= key in ("host", "origin") and key in found
        found[key] = value.decode("latin-1")
    return found, repeated


def _is_origin_of(origin: str, host: str) -> bool:
    scheme, separator, rest = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and rest.lower() == host.lower()


def _cookie(header: str, name: str) -> str:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
