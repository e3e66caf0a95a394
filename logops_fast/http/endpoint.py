"""The URL of a server as its clients need it: where to connect, and what a request says in Host (RFC 9110, 7.2)."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


class Endpoint(NamedTuple):
    """The parts of an http(s) URL: where to connect, what to say in Host, what to ask for."""

    tls: bool
    host: str
    port: int
    authority: bytes
    target: bytes

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Take an http(s) URL apart; raises ``ValueError`` with a sentence that says what is wrong."""
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError(f"{url!a}: a URL is printable ASCII without spaces")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{url}: {error}") from None
        host = parts.hostname
        if parts.scheme not in _PORTS or not host:
            raise ValueError(f"{url}: expected http://host[:port]/path or https://host[:port]/path")
        if parts.username is not None or parts.fragment:
            raise ValueError(f"{url}: a user name or a fragment has no place in this URL")
        if port == 0:
            raise ValueError(f"{url}: port 0 cannot be connected to")
        authority = host
        if ":" in host:
            try:
                authority = f"[{ipaddress.IPv6Address(host).compressed}]"
            except ValueError as error:
                raise ValueError(f"{url}: {error}") from None
        default = _PORTS[parts.scheme]
        if port not in (None, default):
            authority = f"{authority}:{port}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme == "https", host, port or default, authority.encode(), target.encode())
