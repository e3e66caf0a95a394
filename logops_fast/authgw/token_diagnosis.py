"""Finds what is wrong with a request that carries a token: each check of ``TokenAuth`` alone, and the usual mistakes.

For ``logops verify``. No finding ever holds the token.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final
from urllib.parse import unquote_to_bytes

from logops_fast.authgw.diagnosis import Finding, Signed, check_digest
from logops_fast.authgw.token_auth import Credential, TokenAuth
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.sections.auth import Mode
from logops_fast.config.tokens import MIN_BITS

_SIGNED_BY: Final = ("X-Signature", "X-Timestamp", "X-Nonce")
_ACCEPTING: Final = ("api_key", "any")


def carries_token(request: Signed, mode: Mode) -> bool:
    """Whether a request is to be judged by its token, not by its signature."""
    if mode == "api_key":
        return True
    if mode == "none" or any(request.header(name) for name in _SIGNED_BY):
        return False
    return bool(request.header("Authorization") or (mode == "any" and request.header("X-Api-Key")))


def diagnose_token(
    request: Signed, keyring: Keyring, *, mode: Mode, secrets_as_keys: bool, allow_plaintext: bool
) -> list[Finding]:
    """Return all findings, in the order in which the gateway checks."""
    findings = [_mode(mode)]
    # Where no token is accepted, the request is still judged as it would be if one were.
    auth = TokenAuth(keyring, mode="any", secrets_as_keys=secrets_as_keys)
    headers = {name: value for name, value in request.headers.items() if name in (b"x-api-key", b"authorization")}
    credential = auth.credential(headers) or Credential(b"", b"")
    findings.append(_header(request, credential))
    if credential.token:
        findings.append(
            Finding("tls", True, "not needed: auth.allow_plaintext_tokens is true")
            if allow_plaintext
            else Finding("tls", None, "over plain HTTP it is refused, but from the gateway's own machine")
        )
        owner = _owner(credential.token, keyring, secrets_as_keys)
        findings.append(_token(credential.token, owner, keyring))
        if credential.client or owner is not None:
            findings.append(_client(credential, owner, keyring))
    if request.header("X-Content-SHA256"):
        findings.append(check_digest(request))
    return findings


def _mode(mode: Mode) -> Finding:
    if mode in _ACCEPTING:
        return Finding("mode", True, f"auth.mode is {mode}, which accepts tokens")
    return Finding("mode", False, f"auth.mode is {mode}, which accepts no tokens: set it to any or api_key, or sign")


def _header(request: Signed, credential: Credential) -> Finding:
    key, authorization = request.header("X-Api-Key"), request.header("Authorization")
    if key:
        form = "CLIENT:TOKEN" if credential.client else "TOKEN"
        more = ", which is used in place of Authorization" if authorization else ""
        if credential.token:
            return Finding("header", True, f"X-Api-Key: {form}{more}")
        return Finding("header", False, f"X-Api-Key has no token after the colon{more}")
    if not authorization:
        return Finding("header", False, "neither X-Api-Key nor Authorization was sent")
    scheme, _, rest = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        found = Finding("header", True, "Authorization: Bearer TOKEN")
        return found if credential.token else Finding("header", False, "Authorization: Bearer has no token after it")
    if scheme.lower() == b"basic":
        if credential.token:
            return Finding("header", True, "Authorization: Basic base64(CLIENT:TOKEN)")
        text = "is not base64 of CLIENT:TOKEN" if b":" not in rest else "must be in base64"
        return Finding("header", False, f"what follows Authorization: Basic {text}")
    return Finding("header", False, "the scheme of Authorization must be Bearer or Basic")


def _token(token: bytes, owner: Client | None, keyring: Keyring) -> Finding:
    if owner is not None:
        return Finding("token", True, f"is an active token of client {owner.id}")
    for client in keyring.clients.values():
        if "api_key" not in client.modes and sha256(token).digest() in [one.digest for one in client.tokens]:
            return Finding("token", False, f"is a token of client {client.id}, which is held to modes: [hmac]")
        if token in client.secrets:
            return Finding("token", False, f"is a signing secret of client {client.id}, which is not a token")
        hashes = [one.digest.hex().encode() for one in client.tokens]
        if token.removeprefix(b"sha256:").lower() in hashes:
            return Finding("token", False, f"is the hash of a token of client {client.id}: send the token itself")
        digests = [one.digest for one in client.tokens]
        for cause, other in {
            "in quotes": token.strip(b"'\""),
            "percent-encoded": unquote_to_bytes(token),
            "with Bearer before it": token.removeprefix(b"Bearer "),
            "cut at its padding, the = at its end": token + b"=" * (-len(token) % 4),
        }.items():
            if other != token and sha256(other).digest() in digests:
                return Finding("token", False, f"is a token of client {client.id}, {cause}")
    return Finding("token", False, f"is no token of the keys file; one has at least {MIN_BITS} bits")


def _client(credential: Credential, owner: Client | None, keyring: Keyring) -> Finding:
    name = credential.client.decode("latin-1")
    if name and name not in keyring.clients:
        return Finding("client", False, "the name before the token is no client of the keys file")
    if owner is None:
        return Finding("client", True, "is in the keys file")
    if name and name != owner.id:
        return Finding("client", False, f"the token was sent for another client than its own, {owner.id}")
    if owner.signature_version > 1:
        return Finding("client", False, f"{owner.id} is held to signatures (signature_version in the keys file)")
    return Finding("client", True, f"is {owner.id}, emitter {owner.emitter}")


def _owner(token: bytes, keyring: Keyring, secrets_as_keys: bool) -> Client | None:
    digest = sha256(token).digest()
    for client in keyring.clients.values():
        if "api_key" in client.modes and (
            digest in [one.digest for one in client.tokens] or (secrets_as_keys and token in client.secrets)
        ):
            return client
    return None
