"""What is wrong with a signed request: every check of ``HmacAuth`` on its own, and the likely cause of a bad signature.

For ``logops verify``: a gateway says only which check failed first, and of a signature no more than that it is wrong.
Here the usual mistakes are tried one at a time; the one that makes the signature right is the answer.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from logops_fast.authgw.hmac_auth import (
    NONCE_MAX,
    NONCE_MIN,
    is_digest,
    is_nonce,
    parse_timestamp,
)
from logops_fast.config.keys_file import Keyring
from logops_fast.formats.signature import SigningKey, canonical

_METHODS: Final = (b"POST", b"GET", b"PUT", b"PATCH")
_TARGETS: Final = (b"/ingest", b"/v1/logs", b"/", b"")


class Finding(NamedTuple):
    """One part of a request: right, wrong, or (None) not to be told from what was given."""

    part: str
    ok: bool | None
    detail: str


class Signed(NamedTuple):
    """A request as it was sent; ``headers`` with lower-case names, ``body`` None where it is not at hand."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes | None

    def header(self, name: str) -> bytes:
        """A header's value, empty where it was not sent."""
        return self.headers.get(name.lower().encode(), b"")


def diagnose(request: Signed, keyring: Keyring, *, tolerance: float, require_nonce: bool, now: float) -> list[Finding]:
    """All findings, in the order in which the gateway checks."""
    return [
        _timestamp(request),
        _nonce(request, require_nonce),
        _digest(request),
        _client(request, keyring),
        _clock(request, tolerance, now),
        _signature(request, keyring),
    ]


def _timestamp(request: Signed) -> Finding:
    stamp = request.header("X-Timestamp")
    if not stamp:
        return Finding("timestamp", False, "X-Timestamp is missing")
    if parse_timestamp(stamp) is not None:
        return Finding("timestamp", True, "well formed")
    if stamp.isdigit():
        return Finding("timestamp", False, "X-Timestamp must be whole seconds; this looks like milliseconds")
    return Finding("timestamp", False, "X-Timestamp must be ISO 8601 with Z or an offset, or whole epoch seconds")


def _nonce(request: Signed, required: bool) -> Finding:
    nonce = request.header("X-Nonce")
    if not nonce:
        return Finding("nonce", not required, "X-Nonce is missing" if required else "not sent, and not required")
    if is_nonce(nonce):
        return Finding("nonce", True, "well formed; whether it was used before only the gateway knows")
    return Finding("nonce", False, f"X-Nonce must be {NONCE_MIN} to {NONCE_MAX} characters of A-Z a-z 0-9 . _ ~ -")


def _digest(request: Signed) -> Finding:
    digest = request.header("X-Content-SHA256")
    if not digest:
        return Finding("digest", False, "X-Content-SHA256 is missing")
    if not is_digest(digest):
        return Finding("digest", False, "X-Content-SHA256 must be 64 hexadecimal digits")
    body = request.body
    if body is None:
        return Finding("digest", None, "well formed; give the body to compare it")
    said = digest.lower().decode()
    if hashlib.sha256(body).hexdigest() == said:
        return Finding("digest", True, f"is that of the body's {len(body)} bytes")
    for cause, other in {
        "the body with a line end behind it": body + b"\n",
        "the body without the line end behind it": body.rstrip(b"\r\n"),
        "the body with CR LF for its line ends": body.replace(b"\n", b"\r\n"),
        "an empty body": b"",
    }.items():
        if hashlib.sha256(other).hexdigest() == said:
            return Finding("digest", False, f"X-Content-SHA256 is that of {cause}")
    return Finding("digest", False, f"X-Content-SHA256 is not that of the body's {len(body)} bytes as sent")


def _client(request: Signed, keyring: Keyring) -> Finding:
    key = request.header("X-Api-Key")
    if not key:
        return Finding("client", False, "X-Api-Key is missing")
    if key.decode("latin-1") in keyring.clients:
        return Finding("client", True, "is in the keys file")
    return Finding("client", False, "X-Api-Key names no client of the keys file")


def _clock(request: Signed, tolerance: float, now: float) -> Finding:
    timestamp = parse_timestamp(request.header("X-Timestamp"))
    if timestamp is None:
        return Finding("clock", None, "not known without a timestamp")
    off = now - timestamp
    side = "behind" if off > 0 else "ahead of"
    verdict = abs(off) <= tolerance
    return Finding(
        "clock", verdict, f"X-Timestamp is {abs(off):.0f} s {side} this clock; {tolerance:.0f} s are allowed"
    )


def _signature(request: Signed, keyring: Keyring) -> Finding:
    text = request.header("X-Signature")
    if not text:
        return Finding("signature", False, "X-Signature is missing")
    client = keyring.clients.get(request.header("X-Api-Key").decode("latin-1"))
    secrets = client.secrets if client is not None else ()
    parts = (
        request.method,
        request.target,
        request.header("X-Content-SHA256").lower(),
        request.header("X-Timestamp"),
        request.header("X-Nonce"),
    )
    message = canonical(*parts)
    for number, secret in enumerate(secrets):
        if hmac.compare_digest(SigningKey(secret).signature(message), text):
            return Finding("signature", True, "matches" if number == 0 else "matches the client's second secret")
    sent = _decoded(text)
    if sent is None:
        return Finding("signature", False, "X-Signature is not the base64 of 32 bytes")
    if any(_mac(secret, message) == sent for secret in secrets):
        return Finding("signature", False, "is the right HMAC, but must be written in base64 of 44 characters, padded")
    for other in keyring.clients.values():
        if any(_mac(secret, message) == sent for secret in other.secrets):
            return Finding("signature", False, f"was made with the secret of client {other.id}")
    for cause, wrong in _mistakes(request, *parts):
        if any(_mac(secret, wrong) == sent for secret in secrets):
            return Finding("signature", False, f"was made over {cause}")
    for secret in secrets:
        if _mac(secret + b"\n", message) == sent:
            return Finding("signature", False, "was made with a line end behind the secret")
    if not secrets:
        return Finding("signature", False, "matches no client of the keys file")
    return Finding(
        "signature", False, "does not match: a wrong secret, or more than one part differs from what was signed"
    )


def _mistakes(
    request: Signed, method: bytes, target: bytes, digest: bytes, stamp: bytes, nonce: bytes
) -> Iterator[tuple[str, bytes]]:
    """What senders sign by mistake: a cause for people, and the string they then sign."""
    for other in (*_METHODS, method.lower()):
        yield f"another method, {other.decode('latin-1')}", canonical(other, target, digest, stamp, nonce)
    path, _, query = target.partition(b"?")
    if query:
        yield "the target without its query", canonical(method, path, digest, stamp, nonce)
    host = request.header("Host")
    yield "the target in another spelling", canonical(method, unquote_to_bytes(target), digest, stamp, nonce)
    for candidate in (
        *_TARGETS,
        path + b"/",
        path.rstrip(b"/"),
        b"http://" + host + target,
        b"https://" + host + target,
    ):
        yield f"another target, {candidate.decode('latin-1')!a}", canonical(method, candidate, digest, stamp, nonce)
    sent = request.header("X-Content-SHA256")
    yield "the digest in upper case", canonical(method, target, digest.upper(), stamp, nonce)
    yield "the digest as it was sent", canonical(method, target, sent, stamp, nonce)
    if request.body is not None:
        actual = hashlib.sha256(request.body).hexdigest().encode()
        yield "the body's true digest, not the one sent", canonical(method, target, actual, stamp, nonce)
        yield "the body in place of its digest", canonical(method, target, request.body, stamp, nonce)
    yield "no nonce", canonical(method, target, digest, stamp, b"")
    right = canonical(method, target, digest, stamp, nonce)
    yield "a line end too many at the end", right + b"\n"
    yield "parts joined by CR LF", right.replace(b"\n", b"\r\n")
    yield "parts joined without line ends", right.replace(b"\n", b"")
    timestamp = parse_timestamp(stamp)
    if timestamp is not None:
        yield "the timestamp as epoch seconds", canonical(method, target, digest, b"%d" % timestamp, nonce)


def _mac(secret: bytes, message: bytes) -> bytes:
    return hmac.digest(secret, message, "sha256")


def _decoded(text: bytes) -> bytes | None:
    """The 32 bytes of a signature in any of the spellings seen: base64, URL-safe, unpadded, hexadecimal."""
    if is_digest(text):
        return binascii.unhexlify(text)
    stripped = text.strip().rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        raw = b64decode(stripped + b"=" * (-len(stripped) % 4), validate=True)
    except binascii.Error:
        return None
    return raw if len(raw) == 32 else None
