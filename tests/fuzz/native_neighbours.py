"""Events whose text is a few telling pieces in a row: what one rule takes may be what another begins with.

Pools of long texts seldom put two such pieces side by side: of 88 million events made of those one had a private key
that began within a token. Of 243,200 of these 13 were of that kind (see native.md).
"""

from __future__ import annotations

import json
import random
from typing import Final

PIECES: Final = (
    # Addresses, and what looks like them.
    *("bob@example.com", "a.b@c.de", "@", "user@localhost", "@example.com", "https://u:p@h/", "https://h/x", "://"),
    *("10.1.2.3", "192.168.100.254", "1.2.3.4.5", "v1.2.3.4", "1.2.3", ".0.0.1", "255", "256", "version", "v"),
    *("2001:db8::beef:cafe", "::1", "fe80::1", "a:b:c", "12:34:56"),
    # Cards.
    *("4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111", "5500 0000 0000 0004", "3782 822463 10005"),
    *("1111", "4111", "378282246310005", "0", "9"),
    # Tokens and keys.
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVk",
    "authorization: bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVkLWJ5",
    *("Bearer", "bearer abcdef0123456789", "Basic dXNlcjpwYXNz", "basic", "Digest", "eyJ", ".eyJ"),
    *("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmVk", "AKIAIOSFODNN7EXAMPLE", "_0123456789abcdef"),
    *("ghp_0123456789abcdefghijABCDEFGHIJ", "sk-proj-0123456789ABCDEFGHIJabcdef", "/0123456789abcdef0"),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "PRIVATE KEY", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"),
    *("hooks", "/services/", "1//0", "glpat-aB3xY_9kLmN-pQ2rStUv", "GOCSPX-aB3xY_9kLmN-pQ2rStUv-xY", "dckr_pat_a-b_c"),
    # Names of secrets.
    *("password=hunter2", "password:", "password", "token", "'password'", "api_key = x1", "secret=", "user_email"),
    *("API key: x1", "card number", "Cookie: a=1; b=", "password[]=", "token=Some(", "</a:password>"),
    *("[x]", "(", ")", "["),
    # Encodings and the rest.
    *("%40", "%3D", "&amp;", "&#64;", "+", "=", ".com", "level=error", "ERROR", "***", "x", "hello world"),
    *("\u00e9", "\u00a0", "Bearer\u00a0x9y8z7w6", "\n", "\\", "\t", '"', ".", "-", "_", ":", "/"),
)
BETWEEN: Final = ("", "", " ", " ", " ", "-", ".", ":", "=", "_", ", ", "/", "@", ": ", "\n")
BEFORE: Final = ("", "", "a ", "x: ")
AFTER: Final = ("", "", " z", ".")


def neighbours(rng: random.Random, count: int) -> list[bytes]:
    """``count`` events of JSON."""
    events = []
    for _ in range(count):
        text = rng.choice(BEFORE)
        for left in reversed(range(rng.choice((2, 2, 3, 3, 3, 4)))):
            text += rng.choice(PIECES) + (rng.choice(BETWEEN) if left else rng.choice(AFTER))
        event = {"ts": "2026-03-01T00:00:01Z", "level": "INFO", "msg": text}
        events.append(json.dumps(event, ensure_ascii=False).encode())
    return events
