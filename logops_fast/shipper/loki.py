"""Loki over HTTP: pushes and questions, on the project's own client."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from logops_fast import __version__
from logops_fast.errors import LogOpsError
from logops_fast.formats import snappy_block
from logops_fast.http.pool import HttpPool
from logops_fast.http.response_reader import ClientError, ClientResponse
from logops_fast.shipper import push_request
from logops_fast.shipper.answers import Answer, Effect, answer_of
from logops_fast.shipper.entries import Entry
from logops_fast.shipper.questions import Question, found_in

PUSH_PATH: Final = "/loki/api/v1/push"
MAX_TEXT: Final = 300  # characters of an error text that are shown
MAX_REFUSAL: Final = 65_536  # bytes of an answer to a push that are read
_MAX_RETRY_AFTER: Final = 300.0  # seconds

_LIMIT: Final = re.compile(r"max_entries_limit_per_query \(([0-9]+) > ([0-9]+)\)")


class QueryError(LogOpsError):
    """A question was not answered.

    ``denied``: another try would not help, this shipper may not query. ``foreign``: the answer is not one of Loki's.
    """

    def __init__(self, text: str, *, denied: bool = False, foreign: bool = False) -> None:
        super().__init__(text)
        self.denied = denied
        self.foreign = foreign


class Credentials:
    """The header fields that every request carries. ``token`` goes before a user name and password."""

    def __init__(self, *, tenant: str = "", username: str = "", password: str = "", token: str = "") -> None:
        """Raises ValueError if something in them cannot be in a header field."""
        fields = [f"user-agent: logops-ship/{__version__}"]
        if tenant:
            fields.append(f"x-scope-orgid: {tenant}")
        if token:
            fields.append(f"authorization: Bearer {token}")
        elif username:
            fields.append("authorization: Basic " + b64encode(f"{username}:{password}".encode()).decode())
        if not all(field.isascii() and field.isprintable() for field in fields):
            raise ValueError("ship.tenant and ship.token must be printable ASCII")
        self._lines = "".join(f"{field}\r\n" for field in fields).encode()

    def __repr__(self) -> str:
        return "<Credentials>"

    def lines(self, *fields: bytes) -> bytes:
        """Return the header lines, with further fields."""
        return self._lines + b"".join(field + b"\r\n" for field in fields)


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the body of a push: protobuf in snappy's block format."""
    streams: dict[str, list[bytes]] = {}
    for entry in entries:
        labels = entry.stream_labels
        encoded = push_request.entry(entry.retimed or entry.ns, entry.line, entry.metadata)
        group = streams.get(labels)
        if group is None:
            streams[labels] = [encoded]
        else:
            group.append(encoded)
    return snappy_block.compress(push_request.request(streams))


class Loki:
    """One Loki, or the load balancer of several."""

    def __init__(self, pool: HttpPool, url: str, credentials: Credentials, *, query_limit: int) -> None:
        """``query_limit``: most entries that one answer may have."""
        path = urlsplit(url).path.rstrip("/")
        base = path.removesuffix(PUSH_PATH)
        self._pool = pool
        self._push = (base + PUSH_PATH).encode()
        self._query = base
        self._limit = query_limit
        self._push_fields = credentials.lines(b"content-type: application/x-protobuf")
        self._query_fields = credentials.lines(
            # Loki remembers which queries found nothing, and would say so again of what was pushed since
            # (pkg/querier/queryrange/log_result_cache.go; codec.go for the header).
            b"cache-control: no-cache",
            # Metadata apart from labels: one stream in the answer, and not one for each seq.
            b"x-loki-response-encoding-flags: categorize-labels",
        )

    def __repr__(self) -> str:
        return f"<Loki {self._pool.endpoint.authority.decode()} {self._push.decode()}>"

    async def push(self, body: bytes) -> Answer:
        """Push a body of ``encode``, and return what is then known about its entries."""
        try:
            response = await self._pool.request(b"POST", self._push, self._push_fields, body)
        except ClientError as error:
            return Answer(Effect.UNKNOWN if error.sent else Effect.UNREACHABLE, str(error))
        return answer_of(response.status, _text(response), _retry_after(response))

    async def ask(self, questions: Sequence[Question]) -> set[int]:
        """Return the offsets of the lines that Loki has. Raises QueryError."""
        offsets: set[int] = set()
        waiting = list(questions)
        while waiting:
            question = waiting.pop()
            try:
                target = (self._query + question.target(self._limit)).encode()
                response = await self._pool.request(b"GET", target, self._query_fields)
            except ClientError as error:
                raise QueryError(str(error)) from None
            if response.status != 200:
                text = _text(response)
                if (lower := _LIMIT.search(text)) and 0 < int(lower[2]) < self._limit:
                    self._limit = int(lower[2])
                    waiting.append(question)
                    continue
                # 429: too many queries at the moment. Any other 4xx comes again: no right to query, or not over so long
                # a time.
                denied = 400 <= response.status < 500 and response.status not in (408, 429)
                raise QueryError(
                    f"{response.status} {text[:MAX_TEXT]}",
                    denied=denied or response.status == 501,
                    foreign=response.status < 400,
                )
            try:
                found = found_in(question, response.body)
            except ValueError as error:
                text = f"{response.status} {_text(response)[:MAX_TEXT]}: {error}"
                raise QueryError(text, foreign=True) from None
            offsets |= found.offsets
            if found.entries >= self._limit and len(found.offsets) < len(question.entries):
                waiting += question.halves()  # the answer was cut off
        return offsets

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


def _text(response: ClientResponse) -> str:
    if 300 <= response.status < 400:
        where = response.headers.get(b"location", b"").decode("utf-8", "replace")
        return f"a redirect to {where}, which is not followed: ship.url must be Loki itself"
    return response.body[:MAX_REFUSAL].decode("utf-8", "replace").strip()


def _retry_after(response: ClientResponse) -> float:
    value = response.headers.get(b"retry-after", b"")
    return min(float(value), _MAX_RETRY_AFTER) if value.isdigit() else 0.0
