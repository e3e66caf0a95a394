"""Connections through an HTTP proxy: CONNECT, then what was asked for (RFC 9110, 9.3.6)."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from base64 import b64encode
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from logops_fast.errors import LogOpsError

MAX_ANSWER: Final = 16_384  # bytes of the proxy's answer

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class ProxyError(LogOpsError, OSError):
    """The proxy did not open the tunnel."""


class Proxy(NamedTuple):
    """A proxy: where it is, and the value of Proxy-Authorization, empty if it wants none."""

    host: str
    port: int
    authorization: bytes

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Take ``http://[user:password@]host[:port]`` apart. Raises ValueError, saying what is wrong."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{url}: {error}") from None
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("expected a proxy as http://host:port or http://user:password@host:port")
        authorization = b""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = b"Basic " + b64encode(pair.encode())
        return cls(parts.hostname, port or 3128, authorization)


async def open_tunnel(
    loop: asyncio.AbstractEventLoop,
    proxy: Proxy,
    authority: str,
    make: Callable[[], ProtocolT],
    *,
    ssl: ssl_module.SSLContext | None,
    server_hostname: str | None,
) -> ProtocolT:
    """Return a protocol that is connected to ``authority`` (host:port) through the proxy.

    The caller bounds the time. Raises ProxyError if the proxy refuses, OSError otherwise.
    """
    ready = loop.create_future()
    transport, _ = await loop.create_connection(lambda: _Connect(ready), proxy.host, proxy.port)
    try:
        login = b"proxy-authorization: %b\r\n" % proxy.authorization if proxy.authorization else b""
        name = authority.encode()
        transport.write(b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (name, name, login))
        await ready
        protocol = make()
        if ssl is None:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        else:
            transport.set_protocol(protocol)
            secured = await loop.start_tls(transport, protocol, ssl, server_hostname=server_hostname)
            if secured is None:
                raise ProxyError("the connection was lost during the TLS handshake")  # noqa: TRY301
            protocol.connection_made(secured)
    except BaseException:
        transport.abort()
        raise
    return protocol


class _Connect(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT. It has no body, whatever its fields say."""

    def __init__(self, ready: asyncio.Future[None]) -> None:
        self._ready = ready
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Read the answer's head."""
        self._received += data
        if self._ready.done():
            return
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            if len(self._received) > MAX_ANSWER:
                self._ready.set_exception(ProxyError("the proxy's answer is too long"))
            return
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].startswith(b"2"):
            code = status[1][:3].decode("latin-1") if len(status) > 1 else "no status"
            self._ready.set_exception(ProxyError(f"the proxy answered CONNECT with {code}"))
        elif rest:
            self._ready.set_exception(ProxyError("bytes came through the proxy before anything was asked"))
        else:
            self._ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The proxy has closed."""
        if not self._ready.done():
            self._ready.set_exception(ProxyError("the proxy closed the connection"))
