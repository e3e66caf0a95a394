"""Signed requests, and what their answers mean: shared by the blocking and the asyncio client. No I/O.

Requests are signed by version 2, which covers the batch id and everything else that decides where a batch goes. A
gateway before 0.5 knows only version 1.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from logops_fast.backoff import Backoff
from logops_fast.config.names import NAME_RULE, is_name
from logops_fast.formats.answer import counts_of, reason_of, retry_after_of
from logops_fast.formats.signature import SigningKey, signed_headers
from logops_fast.http.pool import Endpoint

RETRY_FOR: Final = 540.0
"""Seconds for which a batch is retried: less than the ten minutes for which a gateway remembers the batches it has
stored, so that a batch whose answer was lost is never stored twice."""
BACKOFF: Final = Backoff(0.2, 5.0, jitter=0.5)
MAX_WAIT: Final = 60.0
"""The longest Retry-After that is obeyed, in seconds."""

# 401 replay: something between the client and the gateway sent the request twice; the next try has a nonce of its own.
_AGAIN: Final = frozenset({408, 425, 429})
_REPLAY: Final = "replay"

Outcome = Literal["stored", "again", "split", "refused"]


class Verdict(NamedTuple):
    """What an answer means for its batch; ``wait`` is the seconds before it is sent again."""

    outcome: Outcome
    reason: str = ""
    wait: float = 0.0
    accepted: int = 0
    rejected: int = 0


class Credentials(NamedTuple):
    """Where to send, and as which client."""

    url: str
    key: str
    secret: str

    @classmethod
    def of(cls, url: str | None, key: str | None, secret: str | None) -> Credentials:
        """Return the arguments, or ENTRYPOINT_URL, LOGOPS_API_KEY and LOGOPS_SECRET for those not given.

        Raises:
            ValueError: if one of them is missing.
        """
        found = cls(
            url or os.environ.get("ENTRYPOINT_URL", ""),
            key or os.environ.get("LOGOPS_API_KEY", ""),
            secret or os.environ.get("LOGOPS_SECRET", ""),
        )
        for value, name in zip(
            found, ("url (ENTRYPOINT_URL)", "key (LOGOPS_API_KEY)", "secret (LOGOPS_SECRET)"), strict=True
        ):
            if not value:
                raise ValueError(f"{name} is not given")
        return found

    def __repr__(self) -> str:
        return f"Credentials(url={self.url!r}, key={self.key!r}, secret=...)"


class Signer:
    """Makes the headers of requests. Batch ids are unique to this object and its process.

    ``audience`` is the gateway's ``auth.audience``; ``signature_version`` is 2, or 1 for an older gateway.

    Raises:
        ValueError: for a URL, a name or a version that cannot be used.
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
    ) -> None:
        if signature_version not in (1, 2):
            raise ValueError(f"signature_version: expected 1 or 2, got {signature_version!r}")
        self._version = signature_version
        self._audience = audience.encode()
        self.endpoint: Final = Endpoint.parse(credentials.url)
        self._key_id = credentials.key
        self._key = SigningKey(os.fsencode(credentials.secret))
        self._fields = [(b"Content-Type", b"application/x-ndjson")]
        for header, name in ((b"X-Emitter", emitter), (b"X-Scenario-Id", scenario_id)):
            if name is None:
                continue
            if not is_name(name):
                raise ValueError(f"{header.decode()}: expected {NAME_RULE}, got {name!r}")
            self._fields.append((header, name.encode()))
        self.renew()

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
    reason = reason_of(body) or "unknown"
    if status >= 500 or status in _AGAIN or (status == 401 and reason == _REPLAY):
        return Verdict(
            "again", f"{status} {reason}", max(BACKOFF.delay(attempts), min(MAX_WAIT, retry_after_of(headers)))
        )
    if status == 413:
        return Verdict("split", f"{status} {reason}")
    return Verdict("refused", f"{status} {reason}")


def unanswered(reason: str, attempts: int) -> Verdict:
    """Return what a missing answer means: the batch may be stored or not, and a retry under its id finds out."""
    return Verdict("again", reason, BACKOFF.delay(attempts))
