"""The request signature: one canonical string, used by senders and by the gateway.

    X-Signature = base64(HMAC-SHA256(secret, METHOD \\n TARGET \\n sha256-hex-lower \\n X-Timestamp \\n X-Nonce))

TARGET is the request target as sent: path, and query if there is one. The timestamp and the nonce are signed as the
bytes of their headers; the digest always in lower case, however its header is written. A nonce that is not sent is an
empty last line.

Version 2 (``X-Signature-Version: 2``) also signs what decides where a batch goes and what it is taken for: the line
``logops-v2``, then the five lines above, then the values of ``SIGNED_FIELDS`` and the audience of the gateway, one a
line and empty if not sent.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

SIGNED_FIELDS: Final = (
    b"content-type",
    b"content-encoding",
    b"x-emitter",
    b"x-scenario-id",
    b"x-batch-id",
    b"x-scope-orgid",
)
"""The header fields that version 2 signs beside those of version 1, in the order of the canonical string."""

_V2: Final = b"logops-v2"

_BLOCK: Final = 64  # bytes that SHA-256 takes at a time
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


class Signer(Protocol):
    """A secret, ready to sign with."""

    def signature(self, message: bytes) -> bytes:
        """Return the base64 text (44 bytes) of the message's HMAC-SHA256."""


class SigningKey:
    """HMAC-SHA256 (RFC 2104) with the key's two hash states computed once and copied for each message.

    Takes 0.7 us for a message of this size, where ``hmac.HMAC`` copied takes 1.6 and ``hmac.digest`` 2.5: half of the
    compressions are the key's own, and those classes are Python.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, secret: bytes) -> None:
        key = sha256(secret).digest() if len(secret) > _BLOCK else secret
        key = key.ljust(_BLOCK, b"\0")
        self._inner = sha256(key.translate(_INNER_PAD))
        self._outer = sha256(key.translate(_OUTER_PAD))

    def signature(self, message: bytes) -> bytes:
        """Return the base64 text (44 bytes) of the message's HMAC."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return b2a_base64(outer.digest(), newline=False)


def canonical(method: bytes, target: bytes, body_sha256_hex: bytes, timestamp: bytes, nonce: bytes) -> bytes:
    """Return the bytes that version 1 signs; ``body_sha256_hex`` in lower case."""
    return b"\n".join([method, target, body_sha256_hex, timestamp, nonce])


def canonical_v2(
    method: bytes,
    target: bytes,
    body_sha256_hex: bytes,
    timestamp: bytes,
    nonce: bytes,
    headers: Mapping[bytes, bytes],
    audience: bytes = b"",
) -> bytes:
    """Return the bytes that version 2 signs; of ``headers`` (lower-case names) those of ``SIGNED_FIELDS`` count."""
    first = canonical(method, target, body_sha256_hex, timestamp, nonce)
    return b"\n".join((_V2, first, *[headers.get(name, b"") for name in SIGNED_FIELDS], audience))


def digest_of(body: bytes) -> bytes:
    """Return the value of X-Content-SHA256, in lower case."""
    return sha256(body).hexdigest().encode()


def sign(
    secret: bytes, method: bytes, target: bytes, body_sha256_hex: bytes, timestamp: bytes, nonce: bytes = b""
) -> bytes:
    """Return the value of X-Signature, version 1. To sign many requests with one secret keep a ``SigningKey``."""
    return SigningKey(secret).signature(canonical(method, target, body_sha256_hex, timestamp, nonce))


def signed_headers(
    key_id: str,
    key: SigningKey,
    method: bytes,
    target: bytes,
    body: bytes,
    *,
    timestamp: bytes,
    nonce: bytes = b"",
    fields: Mapping[bytes, bytes] | None = None,
    audience: bytes = b"",
) -> list[tuple[bytes, bytes]]:
    """Return the header fields of a signed request, in the order of the documentation; without a nonce, no X-Nonce.

    Version 1, unless ``fields`` is given: the request's other fields by lower-case name, which version 2 signs.
    """
    digest = digest_of(body)
    if fields is None:
        message = canonical(method, target, digest, timestamp, nonce)
    else:
        message = canonical_v2(method, target, digest, timestamp, nonce, fields, audience)
    signed = [(b"X-Api-Key", key_id.encode()), (b"X-Timestamp", timestamp)]
    if nonce:
        signed.append((b"X-Nonce", nonce))
    signed.append((b"X-Content-SHA256", digest))
    if fields is not None:
        signed.append((b"X-Signature-Version", b"2"))
    signed.append((b"X-Signature", key.signature(message)))
    return signed


def target_of(url: str) -> bytes:
    """Return the request target that a client sends for a URL (or a bare target): path and query, ``/`` for none.

    Characters that a target may not hold are percent-encoded; those already encoded are left as they are.
    """
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=-._~?")
    return (f"{path}?{query}" if query else path).encode()


def encoded_url(url: str) -> str:
    """Return the URL with ``target_of(url)`` as its target: for clients that send a URL as it is given to them."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return origin + target_of(url).decode()
