"""Finds what is wrong with a signed request: each check of ``HmacAuth`` by itself, and the cause of a bad signature.

For ``logops verify``: a gateway says only which check failed first, and of a signature no more than that it is wrong.
Here the usual mistakes are tried one at a time; the one that makes the signature match is the answer.
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
from logops_fast.formats.signature import SIGNED_FIELDS, SigningKey, canonical, canonical_v2

_METHODS: Final = (b"POST", b"GET", b"PUT", b"PATCH")
_TARGETS: Final = (b"/ingest", b"/v1/logs", b"/", b"")


class Finding(NamedTuple):
    """One part of a request: right, wrong, or (None) not decidable from what was given."""

    part: str
    ok: bool | None
    detail: str


class Signed(NamedTuple):
    """A request as it was sent; ``headers`` with lower-case names, ``body`` None if it is not known."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes | None

    def header(self, name: str) -> bytes:
        """Return a header's value, empty if it was not sent."""
        return self.headers.get(name.lower().encode(), b"")

    @property
    def version(self) -> int:
        """The version of the signature."""
        return 2 if self.header("X-Signature-Version") == b"2" else 1


def diagnose(
    request: Signed, keyring: Keyring, *, tolerance: float, require_nonce: bool, now: float, audience: str = ""
) -> list[Finding]:
    """Return all findings, in the order in which the gateway checks; ``audience`` is the gateway's."""
    findings = [
        _timestamp(request),
        _nonce(request, require_nonce),
        check_digest(request),
        _client(request, keyring),
        _clock(request, tolerance, now),
        _signature(request, keyring, audience.encode()),
    ]
    version = _version(request, keyring)
    return findings if version is None else [*findings, version]


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


def check_digest(request: Signed) -> Finding:
    """Return whether X-Content-SHA256 is well formed and that of the body."""
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
        "the body followed by a line end": body + b"\n",
        "the body without the line end at its end": body.rstrip(b"\r\n"),
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
        return Finding("clock", None, "cannot be checked without a timestamp")
    off = now - timestamp
    side = "behind" if off > 0 else "ahead of"
    verdict = abs(off) <= tolerance
    return Finding(
        "clock", verdict, f"X-Timestamp is {abs(off):.0f} s {side} this clock; {tolerance:.0f} s are allowed"
    )


def _version(request: Signed, keyring: Keyring) -> Finding | None:
    """Return what is wrong with the version of the signature, or None."""
    text = request.header("X-Signature-Version")
    if text not in (b"", b"1", b"2"):
        return Finding("version", False, "X-Signature-Version must be 1 or 2, or left out")
    client = keyring.clients.get(request.header("X-Api-Key").decode("latin-1"))
    if client is not None and client.signature_version > request.version:
        return Finding("version", False, "the client is held to version 2 (signature_version in the keys file)")
    if request.version == 2 and request.header("X-Scenario"):
        return Finding("version", False, "version 2 does not cover X-Scenario: send X-Scenario-Id in its place")
    return None


class _Parts(NamedTuple):
    """What a signature is made over."""

    method: bytes
    target: bytes
    digest: bytes
    stamp: bytes
    nonce: bytes
    headers: Mapping[bytes, bytes]
    audience: bytes
    version: int

    def message(self) -> bytes:
        first = self[:5]
        return canonical(*first) if self.version == 1 else canonical_v2(*first, self.headers, self.audience)


def _signature(request: Signed, keyring: Keyring, audience: bytes) -> Finding:
    text = request.header("X-Signature")
    if not text:
        return Finding("signature", False, "X-Signature is missing")
    client = keyring.clients.get(request.header("X-Api-Key").decode("latin-1"))
    secrets = client.secrets if client is not None else ()
    parts = _Parts(
        request.method,
        request.target,
        request.header("X-Content-SHA256").lower(),
        request.header("X-Timestamp"),
        request.header("X-Nonce"),
        request.headers,
        audience,
        request.version,
    )
    message = parts.message()
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
    for cause, wrong in _mistakes(request, parts):
        if any(_mac(secret, wrong) == sent for secret in secrets):
            return Finding("signature", False, f"was made over {cause}")
    for secret in secrets:
        if _mac(secret + b"\n", message) == sent:
            return Finding("signature", False, "was made with a line end after the secret")
    if not secrets:
        return Finding("signature", False, "matches no client of the keys file")
    return Finding(
        "signature", False, "does not match: a wrong secret, or more than one part differs from what was signed"
    )


def _mistakes(request: Signed, right: _Parts) -> Iterator[tuple[str, bytes]]:
    """Yield what senders sign by mistake: a cause for people, and the string they then sign."""
    for method in (*_METHODS, right.method.lower()):
        yield f"another method, {method.decode('latin-1')}", right._replace(method=method).message()
    path, _, query = right.target.partition(b"?")
    if query:
        yield "the target without its query", right._replace(target=path).message()
    host = request.header("Host")
    yield "the target in another spelling", right._replace(target=unquote_to_bytes(right.target)).message()
    for target in (
        *_TARGETS,
        path + b"/",
        path.rstrip(b"/"),
        b"http://" + host + right.target,
        b"https://" + host + right.target,
    ):
        yield f"another target, {target.decode('latin-1')!a}", right._replace(target=target).message()
    sent = request.header("X-Content-SHA256")
    yield "the digest in upper case", right._replace(digest=right.digest.upper()).message()
    yield "the digest as it was sent", right._replace(digest=sent).message()
    if request.body is not None:
        actual = hashlib.sha256(request.body).hexdigest().encode()
        yield "the body's true digest, not the one sent", right._replace(digest=actual).message()
        yield "the body in place of its digest", right._replace(digest=request.body).message()
    yield "no nonce", right._replace(nonce=b"").message()
    message = right.message()
    yield "a line end too many at the end", message + b"\n"
    yield "parts joined by CR LF", message.replace(b"\n", b"\r\n")
    yield "parts joined without line ends", message.replace(b"\n", b"")
    timestamp = parse_timestamp(right.stamp)
    if timestamp is not None:
        yield "the timestamp as epoch seconds", right._replace(stamp=b"%d" % timestamp).message()
    yield f"the string of version {3 - right.version}", right._replace(version=3 - right.version).message()
    if right.version == 2:
        yield "no audience", right._replace(audience=b"").message()
        for field in SIGNED_FIELDS:
            others = {name: value for name, value in right.headers.items() if name != field}
            yield f"an empty {field.decode().title()}", right._replace(headers=others).message()


def _mac(secret: bytes, message: bytes) -> bytes:
    return hmac.digest(secret, message, "sha256")


def _decoded(text: bytes) -> bytes | None:
    """Return the 32 bytes of a signature in any spelling seen so far: base64, URL-safe, unpadded, hexadecimal."""
    if is_digest(text):
        return binascii.unhexlify(text)
    stripped = text.strip().rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        raw = b64decode(stripped + b"=" * (-len(stripped) % 4), validate=True)
    except binascii.Error:
        return None
    return raw if len(raw) == 32 else None
