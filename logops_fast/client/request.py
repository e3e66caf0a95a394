"""Requests, signed or with a token, and what their answers mean: shared by the blocking and the asyncio client. No I/O.

Requests are signed by version 2, which covers the batch id and everything else that decides where a batch goes. A
gateway before 0.5 knows only version 1. A token is sent as ``Authorization: Bearer`` (RFC 6750, 2.1), and over plain
HTTP to this machine alone: anyone who reads it can send as the client.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import time
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from logops_fast.backoff import Backoff
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.formats.answer import counts_of, detail_of, reason_of, retry_after_of
from logops_fast.formats.signature import SigningKey, signed_headers
from logops_fast.http.endpoint import Endpoint

RETRY_FOR: Final = 540.0
"""Seconds for which a batch is retried: less than the ten minutes for which a gateway remembers the batches it has
stored, so that a batch whose answer was lost is never stored twice."""
BACKOFF: Final = Backoff(0.2, 5.0, jitter=0.5)
MAX_WAIT: Final = 60.0
"""The longest Retry-After that is obeyed, in seconds."""
CLOSING: Final = "closed_before_delivery"
"""Why an event is dropped that waits when the client is closed."""
TOO_LONG: Final = "retried_too_long"
"""Why an event is dropped that was sent again for RETRY_FOR seconds."""

# 401 replay: something between the client and the gateway sent the request twice; the next try has a nonce of its own.
_AGAIN: Final = frozenset({408, 425, 429})
_REPLAY: Final = "401 replay"

_TOKEN: Final = re.compile(r"[!-~]+")

Outcome = Literal["stored", "again", "split", "refused"]


class Verdict(NamedTuple):
    """What an answer means for its batch.

    ``wait`` is the seconds before it is sent again; ``detail`` the gateway's sentence about a refusal.
    """

    outcome: Outcome
    reason: str = ""
    wait: float = 0.0
    accepted: int = 0
    rejected: int = 0
    detail: str = ""

    def given_up(self, why: str) -> Verdict:
        """Return the refusal of a batch that is not sent again although it might be stored if it were."""
        return Verdict("refused", f"{why}: {self.reason}", detail=self.detail)


class Credentials(NamedTuple):
    """Where to send, and as which client: by its name and secret, or by a token alone."""

    url: str
    key: str = ""
    secret: str = ""
    token: str = ""

    @classmethod
    def of(cls, url: str | None, key: str | None, secret: str | None, token: str | None = None) -> Credentials:
        """Return the arguments, or ENTRYPOINT_URL, LOGOPS_API_KEY, LOGOPS_SECRET and LOGOPS_TOKEN for those not given.

        A secret or token that is an argument outweighs the environment's; of both in the environment the secret counts.

        Raises:
            ValueError: if one is missing, or both a secret and a token are given.
        """
        if token and (key or secret):
            raise ValueError("token: expected key and secret, or token alone")
        env = os.environ
        address = url or env.get("ENTRYPOINT_URL", "")
        if not address:
            raise ValueError("url (ENTRYPOINT_URL) is not given")
        if not token and not secret and not env.get("LOGOPS_SECRET"):
            token = env.get("LOGOPS_TOKEN")
        if token:
            return cls(address, token=token)
        found = cls(address, key or env.get("LOGOPS_API_KEY", ""), secret or env.get("LOGOPS_SECRET", ""))
        if not found.key:
            raise ValueError("key (LOGOPS_API_KEY) is not given")
        if not found.secret:
            raise ValueError("secret (LOGOPS_SECRET) or token (LOGOPS_TOKEN) is not given")
        return found

    def __repr__(self) -> str:
        return f"Credentials(url={self.url!r}, key={self.key!r}, ...)"


class Signer:
    """Makes the headers of requests. Batch ids are unique to this object and its process.

    ``audience`` is the gateway's ``auth.audience``; ``signature_version`` is 2, or 1 for an older gateway. Neither
    matters to a token. ``plaintext_token`` allows one over plain HTTP to another machine.

    Raises:
        ValueError: for a URL, a name, a token or a version that cannot be used.
    """

    __slots__ = ("_audience", "_fields", "_key", "_key_id", "_number", "_run", "_version", "endpoint")

    def __init__(
        self,
        credentials: Credentials,
        emitter: str | None,
        scenario_id: str | None,
        *,
        audience: str = "",
        signature_version: int = 2,
        plaintext_token: bool = False,
    ) -> None:
        if signature_version not in (1, 2):
            raise ValueError(f"signature_version: expected 1 or 2, got {signature_version!r}")
        self._version = signature_version
        self._audience = audience.encode()
        self.endpoint: Final = Endpoint.parse(credentials.url)
        self._key_id = credentials.key
        self._key = None if credentials.token else SigningKey(os.fsencode(credentials.secret))
        self._fields = [(b"Content-Type", b"application/x-ndjson")]
        for header, name in ((b"X-Emitter", emitter), (b"X-Scenario-Id", scenario_id)):
            if name is None:
                continue
            if not is_name(name):
                raise ValueError(f"{header.decode()}: expected {NAME_RULE}, got {name!r}")
            self._fields.append((header, name.encode()))
        if credentials.token:
            self._fields.append((b"Authorization", b"Bearer " + self._checked(credentials.token, plaintext_token)))
        self.renew()

    def _checked(self, token: str, plaintext: bool) -> bytes:
        """Return the token as bytes. No message holds it."""
        if _TOKEN.fullmatch(token) is None:
            raise ValueError("token: expected printable ASCII without spaces")
        if not (plaintext or self.endpoint.tls or _is_loopback(self.endpoint.host)):
            raise ValueError(
                f"token: would go to {self.endpoint.host} unencrypted; use https, sign with a secret, "
                "or allow it by plaintext_token=True"
            )
        return token.encode()

    def renew(self) -> None:
        """Start another series of batch ids (a forked child must not use its parent's)."""
        self._run = secrets.token_hex(12)
        self._number = 0

    def batch_id(self) -> bytes:
        """Return a batch id not used before."""
        self._number += 1
        return f"{self._run}-{self._number:x}".encode()

    def headers(self, body: bytes, batch_id: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers of one try: its own nonce and time, the batch's id."""
        fields = [*self._fields, (b"X-Batch-Id", batch_id)]
        if self._key is None:
            return fields
        signed = signed_headers(
            self._key_id,
            self._key,
            b"POST",
            self.endpoint.target,
            body,
            timestamp=b"%d" % time.time(),
            nonce=secrets.token_hex(16).encode(),
            fields={name.lower(): value for name, value in fields} if self._version == 2 else None,
            audience=self._audience,
        )
        return [*fields, *signed]


def judge(status: int, headers: Mapping[bytes, bytes], body: bytes, attempts: int) -> Verdict:
    """Return what an answer means; ``headers`` with lower-case names, ``attempts`` made so far."""
    if 200 <= status < 300:
        accepted, rejected = counts_of(body) or (0, 0)
        return Verdict("stored", "", 0.0, accepted, rejected)
    reason, detail = f"{status} {reason_of(body) or 'unknown'}", detail_of(body)
    if status >= 500 or status in _AGAIN or reason == _REPLAY:
        wait = max(BACKOFF.delay(attempts), min(MAX_WAIT, retry_after_of(headers)))
        return Verdict("again", reason, wait, detail=detail)
    return Verdict("split" if status == 413 else "refused", reason, detail=detail)


def unanswered(reason: str, attempts: int) -> Verdict:
    """Return what a missing answer means: the batch may be stored or not, and a retry under its id finds out."""
    return Verdict("again", reason, BACKOFF.delay(attempts))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False
