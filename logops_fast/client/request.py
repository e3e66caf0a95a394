"""Signed requests, and what their answers mean: shared by the blocking and the asyncio client. No I/O."""

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
"""Seconds a batch is tried for: less than the ten minutes for which a gateway remembers the batches it has stored, so
that a batch whose answer was lost is never stored twice."""
BACKOFF: Final = Backoff(0.2, 5.0, jitter=0.5)
MAX_WAIT: Final = 60.0
"""Seconds of Retry-After that are obeyed, at the most."""

# 401 replay: what is between the client and the gateway sent the request twice; the next try has a nonce of its own.
_AGAIN: Final = frozenset({408, 425, 429})
_REPLAY: Final = "replay"

Outcome = Literal["stored", "again", "split", "refused"]


class Verdict(NamedTuple):
    """What an answer means for its batch; ``wait`` in seconds before it is sent again."""

    outcome: Outcome
    reason: str = ""
    wait: float = 0.0
    accepted: int = 0
    rejected: int = 0


class Credentials(NamedTuple):
    """Where to send, and as whom. Raises ValueError for what cannot be used."""

    url: str
    key: str
    secret: str

    @classmethod
    def of(cls, url: str | None, key: str | None, secret: str | None) -> Credentials:
        """What is given, else ENTRYPOINT_URL, LOGOPS_API_KEY and LOGOPS_SECRET."""
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
    """Makes the headers of requests. Batch ids are unique to this object, whatever process it is in."""

    __slots__ = ("_fields", "_key", "_key_id", "_number", "_run", "endpoint")

    def __init__(self, credentials: Credentials, emitter: str | None, scenario_id: str | None) -> None:
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
        """Begin with other batch ids (a forked child must not use its parent's)."""
        self._run = secrets.token_hex(12)
        self._number = 0

    def batch_id(self) -> bytes:
        """A batch id not used before."""
        self._number += 1
        return f"{self._run}-{self._number:x}".encode()

    def headers(self, body: bytes, batch_id: bytes) -> list[tuple[bytes, bytes]]:
        """The headers of one try: its own nonce and time, the batch's id."""
        signed = signed_headers(
            self._key_id,
            self._key,
            b"POST",
            self.endpoint.target,
            body,
            timestamp=b"%d" % time.time(),
            nonce=secrets.token_hex(16).encode(),
        )
        return [*self._fields, (b"X-Batch-Id", batch_id), *signed]


def judge(status: int, headers: Mapping[bytes, bytes], body: bytes, attempts: int) -> Verdict:
    """What an answer means; ``headers`` with lower-case names, ``attempts`` made so far."""
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
    """What it means that no answer came: the batch may be stored or not, its id will tell."""
    return Verdict("again", reason, BACKOFF.delay(attempts))
