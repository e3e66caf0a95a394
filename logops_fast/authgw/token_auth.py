"""Who sent it, for senders that cannot sign: the token that a request carries.

Pure: headers in, a client or a refusal out. Four ways to send one:

    X-Api-Key: TOKEN
    X-Api-Key: CLIENT:TOKEN
    Authorization: Bearer TOKEN                     (RFC 6750)
    Authorization: Basic base64(CLIENT:TOKEN)       (RFC 7617)

X-Api-Key is used if both are sent. A token is looked up by its SHA-256, whose bits no sender can choose, so the
time of the look-up reveals nothing; a known one, an unknown one, and one under another client's name take the same
steps. A signing secret is not a token unless ``auth.secrets_as_keys`` says so (LogOps v0.4 knew nothing else).
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final, NamedTuple

from logops_fast.authgw.hmac_auth import VERSION_REQUIRED, Verified, with_digest
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.sections.auth import Mode
from logops_fast.http.refusal import Refusal

_MISSING: Final = Refusal(
    401,
    "missing_headers",
    "No token was sent: X-Api-Key: TOKEN, Authorization: Bearer TOKEN, or Basic with the client as user and the token "
    "as password.",
)
_MISSING_ANY: Final = Refusal(
    401,
    "missing_headers",
    "Neither a signature nor a token was sent: sign the request, or send X-Api-Key: TOKEN, Authorization: Bearer TOKEN "
    "or Basic with the client as user and the token as password.",
)
_UNREADABLE: Final = Refusal(
    401,
    "missing_headers",
    "Authorization holds no token: it must be Bearer TOKEN, or Basic and base64 of CLIENT:TOKEN.",
)
_TLS_REQUIRED: Final = Refusal(
    403,
    "tls_required",
    "A token over plain HTTP can be read on the way: use https://, or sign the request; auth.allow_plaintext_tokens: "
    "true permits it.",
)
_UNKNOWN: Final = Refusal(
    401,
    "unknown_client",
    "This is not an active token of any client, or not of the one it was sent for; `logops keys token CLIENT` makes "
    "one. A signing secret is not a token.",
)
_CHALLENGES: Final = (
    (b"www-authenticate", b'Bearer realm="logops"'),
    (b"www-authenticate", b'Basic realm="logops", charset="UTF-8"'),
)


class Credential(NamedTuple):
    """A token as it was sent: the client it was sent for, empty if none was named, and the token, empty if unreadable.

    It has no safe repr: never log it.
    """

    client: bytes
    token: bytes


class TokenAuth:
    """Checks 2, 3 and 5 of the contract's section 3 for requests with a token.

    ``mode`` is the gateway's: in ``hmac`` and ``none`` no request counts as one with a token; in ``any`` those do that
    have none of X-Signature, X-Timestamp and X-Nonce; in ``api_key`` all do.
    """

    __slots__ = ("_allow_plaintext", "_clients", "_mode", "_secrets_as_keys")

    def __init__(
        self, keyring: Keyring, *, mode: Mode, allow_plaintext: bool = False, secrets_as_keys: bool = False
    ) -> None:
        self._mode: Mode = mode
        self._allow_plaintext = allow_plaintext
        self._secrets_as_keys = secrets_as_keys
        self._clients = _by_digest(keyring, secrets_as_keys)

    @property
    def challenges(self) -> tuple[tuple[bytes, bytes], ...]:
        """The WWW-Authenticate fields that a 401 must have (RFC 9110, 11.6.1), one a scheme; none for signatures,
        whose headers are no scheme of that RFC."""
        return _CHALLENGES if self._mode == "api_key" or self._mode == "any" else ()

    def replace_keyring(self, keyring: Keyring) -> None:
        """Use another keyring; later requests are checked against it alone."""
        self._clients = _by_digest(keyring, self._secrets_as_keys)

    def credential(self, headers: Mapping[bytes, bytes]) -> Credential | None:
        """Return the token of a request (lower-case names), None if it must be signed instead. Never raises."""
        mode = self._mode
        if mode == "hmac" or mode == "none":
            return None
        if mode == "any" and (b"x-signature" in headers or b"x-timestamp" in headers or b"x-nonce" in headers):
            return None
        key = headers.get(b"x-api-key")
        if key:
            return _named(key)
        return _authorization(headers.get(b"authorization", b""))

    def verify(self, credential: Credential, headers: Mapping[bytes, bytes], *, private: bool) -> Verified | Refusal:
        """Check the token of a request; ``private``: no one could read it on the way to the gateway."""
        name, token = credential
        if not token:
            if headers.get(b"authorization"):
                return _UNREADABLE
            return _MISSING if self._mode == "api_key" else _MISSING_ANY
        if not private and not self._allow_plaintext:
            return _TLS_REQUIRED
        known = self._clients.get(sha256(token).digest())
        client = _NO_ONE if known is None else known
        own = client.id.encode()
        named_right = compare_digest(name or own, own)
        if known is None or not named_right:
            return _UNKNOWN
        return VERSION_REQUIRED if client.signature_version > 1 else with_digest(client, headers)


_NO_ONE: Final = Client("-", (), "-", frozenset())


def _named(text: bytes) -> Credential:
    name, colon, token = text.partition(b":")
    return Credential(name, token) if colon else Credential(b"", text)


def _authorization(value: bytes) -> Credential:
    scheme, _, rest = value.partition(b" ")
    scheme = scheme.lower()  # RFC 9110, 11.1: case-insensitive
    rest = rest.strip()
    if scheme == b"bearer":
        return Credential(b"", rest)
    if scheme == b"basic":
        try:
            text = binascii.a2b_base64(rest, strict_mode=True)
        except binascii.Error:
            return _NOTHING
        name, colon, token = text.partition(b":")
        if name and colon:
            return Credential(name, token)
    return _NOTHING


_NOTHING: Final = Credential(b"", b"")


def _by_digest(keyring: Keyring, secrets_as_keys: bool) -> dict[bytes, Client]:
    clients: dict[bytes, Client] = {}
    for client in keyring.clients.values():
        if "api_key" not in client.modes:
            continue
        for token in client.tokens:
            clients[token.digest] = client
        if secrets_as_keys:
            for secret in client.secrets:
                clients[sha256(secret).digest()] = client
    return clients
