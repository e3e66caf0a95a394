"""Tokens: what senders that cannot sign authenticate with.

A token goes over the wire with each request, so it must be long enough that guessing is hopeless, and the gateway need
keep no more of it than its SHA-256. (A slow hash would add nothing: at 128 bits there is nothing to try.)
"""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from logops_fast.errors import LogOpsError

MIN_BITS: Final = 128
MAX_LENGTH: Final = 512
"""Characters of the longest token; a header section has room for little more."""

_HASHED: Final = b"sha256:"
_NEW_BYTES: Final = 32
_MIN_DISTINCT: Final = 6
_HEX: Final = re.compile(rb"[0-9a-fA-F]{64}")
# The token68 characters of RFC 9110, 11.2: what a Bearer token may hold (RFC 6750, 2.1). A colon is not one of them, so
# that CLIENT:TOKEN has one meaning.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_UUID_BITS: Final = 122.0  # of version 4; other versions have far fewer (RFC 9562)
_ALPHABETS: Final = (
    (10, re.compile(rb"[0-9]+")),
    (16, re.compile(rb"[0-9a-f]+|[0-9A-F]+")),
    (32, re.compile(rb"[a-z2-7]+|[A-Z2-7]+")),
    (36, re.compile(rb"[a-z0-9]+|[A-Z0-9]+")),
    (64, _TOKEN),
)


class TokenError(LogOpsError):
    """A text that cannot be a token; the message never holds it."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token: its SHA-256, and itself if the keys file has it as text."""

    digest: bytes = field(repr=False)
    text: bytes | None = field(default=None, repr=False, compare=False)


def new_token() -> str:
    """Return a random token: 256 bits as text that needs no quoting anywhere."""
    return secrets.token_urlsafe(_NEW_BYTES)


def hashed(token: str) -> str:
    """Return what the keys file holds in place of a token: ``sha256:`` and its hash."""
    return _HASHED.decode() + sha256(token.encode()).hexdigest()


def token_of(text: bytes) -> Token:
    """Return the token that a text of the keys file is, or is the hash of.

    Raises TokenError for one that cannot be sent, or of less than ``MIN_BITS`` bits.
    """
    if text.startswith(_HASHED):
        digest = text.removeprefix(_HASHED)
        if _HEX.fullmatch(digest) is None:
            raise TokenError("expected sha256: and 64 hexadecimal digits")
        return Token(bytes.fromhex(digest.decode()))
    if len(text) > MAX_LENGTH:
        raise TokenError(f"is longer than {MAX_LENGTH} characters")
    if _TOKEN.fullmatch(text) is None:
        raise TokenError("a token has only the characters A-Z a-z 0-9 . _ ~ + / - (and = at the end)")
    if bits_of(text) < MIN_BITS:
        raise TokenError(f"has less than {MIN_BITS} bits and can be guessed; `logops keys token` makes one")
    return Token(sha256(text).digest(), text)


def bits_of(text: bytes) -> float:
    """Return how many bits a random text of these characters and this length has; 0 if it cannot be random."""
    text = text.rstrip(b"=")
    if len(set(text)) < _MIN_DISTINCT:
        return 0.0
    if _UUID.fullmatch(text):
        return _UUID_BITS
    size = next((size for size, alphabet in _ALPHABETS if alphabet.fullmatch(text)), 1)
    return len(text) * math.log2(size)
