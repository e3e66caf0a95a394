"""Who sent it: the checks of a request's headers, before a byte of its body is read.

Pure: headers in, a client or a refusal out; no I/O, the clock is a parameter. Only the form of the nonce is checked
here: it is used up (nonce_store) after the signature has proved right, so that a bad signature never burns one.

Order: missing headers, then the form of timestamp, nonce, digest and version, then client, clock, signature, and the
version that the client is held to. The HMAC of an unknown client is computed all the same, with a key of this process,
so that the answer takes as long as a known client's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from hmac import compare_digest
from typing import Final, NamedTuple

from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.sections.auth import Mode
from logops_fast.formats.batch import UNKNOWN_EMITTER
from logops_fast.formats.signature import Signer, SigningKey, canonical, canonical_v2
from logops_fast.http.refusal import Refusal

NONCE_MIN: Final = 8
NONCE_MAX: Final = 128
ANONYMOUS: Final = "anonymous"

_NONCE_CHARS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"
_HEX_CHARS: Final = b"0123456789abcdefABCDEF"
_EPOCH_DIGITS: Final = 12  # 13 would be milliseconds
# fromisoformat accepts far more than this: dates alone, week dates, any separator, comma fractions.
_ISO: Final = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    rb"(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)
_SIGNED: Final = ("X-Api-Key", "X-Timestamp", "X-Content-SHA256", "X-Signature")

_BAD_TIMESTAMP: Final = Refusal(
    401,
    "bad_timestamp",
    "X-Timestamp must be ISO 8601 with Z or an offset (2025-01-31T12:00:00Z) or whole epoch seconds.",
)
_BAD_NONCE: Final = Refusal(
    401,
    "bad_nonce",
    f"X-Nonce must be {NONCE_MIN} to {NONCE_MAX} characters of A-Z a-z 0-9 . _ ~ -, new for each request.",
)
_BAD_VERSION: Final = Refusal(
    401, "bad_signature_version", "X-Signature-Version must be 1 or 2, or left out, which means 1."
)
VERSION_REQUIRED: Final = Refusal(
    401,
    "bad_signature_version",
    "This client is held to signature version 2: sign with X-Signature-Version: 2 (`logops sign --signature-version 2` "
    "shows how).",
)
_SCENARIO_UNSIGNED: Final = Refusal(
    400, "bad_scenario_id", "Signature version 2 does not cover X-Scenario: send X-Scenario-Id in its place."
)
_BAD_DIGEST: Final = Refusal(
    401, "bad_content_sha256", "X-Content-SHA256 must be the SHA-256 of the body as sent: 64 hexadecimal digits."
)
_UNKNOWN: Final = Refusal(
    401, "unknown_client", "X-Api-Key names no client that may sign; `logops keys list` shows the clients."
)
_BAD_SIGNATURE: Final = Refusal(
    401,
    "bad_signature",
    "X-Signature does not match; check the secret, and that method, target with query, digest (in lower case), "
    "X-Timestamp and X-Nonce are signed exactly as sent (`logops verify` shows which is wrong).",
)

GUESSES: Final = frozenset({"unknown_client", "bad_signature"})
"""The refusals that count as failed authentications: a wrong name or a wrong secret was tried.

Missing or malformed headers try nothing. A request out of time is refused whatever its signature, so it learns nothing;
a replay was rightly signed.
"""


class Verified:
    """A request whose headers passed.

    ``nonce`` and ``timestamp`` (epoch seconds) are None if the mode does not check them; ``content_sha256`` is the
    digest in lower-case hex that the body must still match, None if none was sent.
    """

    __slots__ = ("client", "content_sha256", "nonce", "timestamp")

    def __init__(
        self, client: Client, nonce: bytes | None, timestamp: float | None, content_sha256: bytes | None
    ) -> None:
        self.client = client
        self.nonce = nonce
        self.timestamp = timestamp
        self.content_sha256 = content_sha256


class _Keys(NamedTuple):
    """A keyring prepared for look-ups; replaced as a whole on reload."""

    signers: dict[bytes, tuple[Client, tuple[Signer, ...]]]
    dummy: tuple[Signer, ...]


class HmacAuth:
    """Checks 2 to 5 of the contract's section 3 for requests that are signed, and for all in mode ``none``.

    ``tolerance`` is in seconds; ``wall`` is the clock of timestamps (time.time); ``anonymous_emitters`` are those that
    X-Emitter may name in mode ``none``; ``audience`` is this gateway's, under signature version 2; ``signer`` makes a
    secret ready to sign. Requests with a token are `TokenAuth`'s.
    """

    __slots__ = ("_anonymous", "_audience", "_keys", "_mode", "_require_nonce", "_signer", "_tolerance", "_wall")

    def __init__(
        self,
        keyring: Keyring,
        *,
        mode: Mode,
        tolerance: float,
        require_nonce: bool,
        wall: Callable[[], float],
        anonymous_emitters: frozenset[str] = frozenset(),
        audience: str = "",
        signer: Callable[[bytes], Signer] = SigningKey,
    ) -> None:
        self._mode: Mode = mode
        self._tolerance = tolerance
        self._require_nonce = require_nonce
        self._wall = wall
        self._audience = audience.encode()
        self._anonymous = Client(ANONYMOUS, (), UNKNOWN_EMITTER, anonymous_emitters | {UNKNOWN_EMITTER})
        self._signer = signer
        self._keys = _prepare(keyring, signer)

    def replace_keyring(self, keyring: Keyring) -> None:
        """Use another keyring; later requests are checked against it alone."""
        self._keys = _prepare(keyring, self._signer)

    def verify(self, method: str, target: bytes, headers: dict[bytes, bytes]) -> Verified | Refusal:
        """Check a request's headers (lower-case names). Never raises, whatever they hold."""
        if self._mode == "none":
            return with_digest(self._anonymous, headers)
        return self._verify_signed(method, target, headers)

    def choose_emitter(self, client: Client, wanted: bytes | None) -> str | Refusal:
        """Check 7: return the client's own emitter, or the one that X-Emitter names if the client's list allows it.

        An anonymous client's name that the configuration does not know becomes ``unknown``: a name that a stranger may
        choose must not get a bucket of its own.
        """
        if not wanted:
            return client.emitter
        name = wanted.decode("latin-1")
        if name in client.emitters:
            return name
        if client is self._anonymous:
            return client.emitter
        allowed = ", ".join(sorted(client.emitters))
        return Refusal(403, "emitter_not_allowed", f"X-Emitter must be one of this client's emitters: {allowed}.")

    def _verify_signed(self, method: str, target: bytes, headers: dict[bytes, bytes]) -> Verified | Refusal:
        key_id = headers.get(b"x-api-key")
        stamp = headers.get(b"x-timestamp")
        nonce = headers.get(b"x-nonce") or b""
        digest = headers.get(b"x-content-sha256")
        signature = headers.get(b"x-signature")
        if not (key_id and stamp and digest and signature) or (self._require_nonce and not nonce):
            return self._missing(headers)

        # Well formed?
        timestamp = parse_timestamp(stamp)
        if timestamp is None:
            return _BAD_TIMESTAMP
        if nonce and not is_nonce(nonce):
            return _BAD_NONCE
        if not is_digest(digest):
            return _BAD_DIGEST
        digest = digest.lower()
        verb = b"POST" if method == "POST" else method.encode("latin-1", "replace")
        version = headers.get(b"x-signature-version")
        if version is None or version == b"1":
            message = canonical(verb, target, digest, stamp, nonce)
        elif version != b"2":
            return _BAD_VERSION
        elif b"x-scenario" in headers:
            return _SCENARIO_UNSIGNED
        else:
            message = canonical_v2(verb, target, digest, stamp, nonce, headers, self._audience)

        # The same work for every request: each secret is tried, even after one has matched.
        keys = self._keys
        entry = keys.signers.get(key_id)
        signers = keys.dummy if entry is None else entry[1]
        matched = False
        for key in signers:
            # The text is compared, not the decoded bytes: only one text of 44 characters encodes a digest strictly.
            # Bytes, since compare_digest raises for text that is not ASCII.
            if compare_digest(key.signature(message), signature):
                matched = True

        # The clock is read for every request as well: those 0.15 us distinguished a known key from an unknown one.
        off = self._wall() - timestamp
        in_time = -self._tolerance <= off <= self._tolerance

        # The verdict, in the order of the contract.
        if entry is None:
            return _UNKNOWN
        if not in_time:
            return _skewed(off, self._tolerance)
        if not matched:
            return _BAD_SIGNATURE
        client = entry[0]
        if client.signature_version > 1 and version != b"2":
            return VERSION_REQUIRED
        return Verified(client, nonce or None, timestamp, digest)

    def _missing(self, headers: Mapping[bytes, bytes]) -> Refusal:
        needed = (*_SIGNED, "X-Nonce") if self._require_nonce else _SIGNED
        missing = [name for name in needed if not headers.get(name.lower().encode())]
        verb = "is" if len(missing) == 1 else "are"
        detail = f"{', '.join(missing)} {verb} missing or empty; a request must be signed"
        if b"authorization" in headers and self._mode == "hmac":
            detail += " (tokens are taken in the modes api_key and any: auth.mode)"
        return Refusal(401, "missing_headers", f"{detail}.")


def is_nonce(value: bytes) -> bool:
    """Whether X-Nonce is well formed: 8 to 128 of the characters that a URL need not escape."""
    return NONCE_MIN <= len(value) <= NONCE_MAX and not value.translate(None, _NONCE_CHARS)


def is_digest(value: bytes) -> bool:
    """Whether X-Content-SHA256 is 64 hexadecimal digits."""
    return len(value) == 64 and not value.translate(None, _HEX_CHARS)


def parse_timestamp(value: bytes) -> float | None:
    """Return X-Timestamp as epoch seconds, or None: whole seconds of up to 12 digits, or ISO 8601 with a zone."""
    if value.isdigit():
        return float(value) if len(value) <= _EPOCH_DIGITS else None
    if _ISO.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value.decode("ascii")).timestamp()
    except (ValueError, OverflowError):  # 2025-02-30, year 0, the end of 9999 in a western zone
        return None


def _skewed(off: float, tolerance: float) -> Refusal:
    side = "behind" if off > 0 else "ahead of"
    return Refusal(
        401,
        "clock_skew",
        f"X-Timestamp is {abs(off):.0f} s {side} the gateway's clock; at most {tolerance:.0f} s is allowed: check NTP.",
    )


def with_digest(client: Client, headers: Mapping[bytes, bytes]) -> Verified | Refusal:
    """Admit an unsigned request: its digest is optional, but one that is sent must be the body's."""
    digest = headers.get(b"x-content-sha256")
    if not digest:
        return Verified(client, None, None, None)
    if not is_digest(digest):
        return _BAD_DIGEST
    return Verified(client, None, None, digest.lower())


def _prepare(keyring: Keyring, signer: Callable[[bytes], Signer]) -> _Keys:
    # While one client rotates its secret, as many keys are tried for every client: the time distinguishes none of them.
    tries = max((len(client.secrets) for client in keyring.clients.values()), default=1)
    padding = tuple([signer(secrets.token_bytes(32)) for _ in range(tries)])
    signers: dict[bytes, tuple[Client, tuple[Signer, ...]]] = {}
    for client in keyring.clients.values():
        if client.secrets and "hmac" in client.modes:
            own = tuple(map(signer, client.secrets))
            signers[client.id.encode()] = (client, own + padding[len(own) :])
    return _Keys(signers, padding)
