"""Loki over HTTP: pushes and questions, on the project's own client."""

from __future__ import annotations

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
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
_DENIED: Final = (401, 403)

logger = logging.getLogger(__name__)


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
        self.lines: Final = "".join(f"{field}\r\n" for field in fields).encode()
        """The header lines."""

    def __repr__(self) -> str:
        return "<Credentials>"


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


_PUSH_FIELDS: Final = b"content-type: application/x-protobuf\r\n"
_QUERY_FIELDS: Final = (
    # Loki remembers which queries found nothing, and would say so again of what was pushed since
    # (pkg/querier/queryrange/log_result_cache.go; codec.go for the header).
    b"cache-control: no-cache\r\n"
    # Metadata apart from labels: one stream in the answer, and not one for each seq.
    b"x-loki-response-encoding-flags: categorize-labels\r\n"
)


class Loki:
    """One Loki, or the load balancer of several."""

    def __init__(self, pool: HttpPool, url: str, credentials: Callable[[], Credentials], *, query_limit: int) -> None:
        """``query_limit``: most entries that one answer may have.

        ``credentials`` reads them, at once and when Loki no longer takes those read before. It may wait for a disk.
        Raises what it raises.
        """
        path = urlsplit(url).path.rstrip("/")
        base = path.removesuffix(PUSH_PATH)
        self._pool = pool
        self._push = (base + PUSH_PATH).encode()
        self._query = base
        self._limit = query_limit
        self._read_credentials = credentials
        self._credentials = credentials()

    def __repr__(self) -> str:
        return f"<Loki {self._pool.endpoint.authority.decode()} {self._push.decode()}>"

    async def push(self, body: bytes, *, again: bool = True) -> Answer:
        """Push a body of ``encode``, and return what is then known about its entries.

        ``again``: if Loki answers 401 or 403 and the credentials have changed, push at once with the new ones. Not for
        entries that Loki could not be asked for with the old ones: it can be now.
        """
        try:
            response = await self._request(b"POST", self._push, _PUSH_FIELDS, body, again=again)
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
                response = await self._request(b"GET", target, _QUERY_FIELDS)
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

    async def renew(self) -> bool:
        """Read the credentials again, and return whether they have changed. Raises ValueError, and keeps the old."""
        credentials = await asyncio.to_thread(self._read_credentials)
        changed = credentials.lines != self._credentials.lines
        if changed:
            self._credentials = credentials
        return changed

    async def _request(
        self, method: bytes, target: bytes, fields: bytes, body: bytes = b"", *, again: bool = True
    ) -> ClientResponse:
        """Send a request. If it is not let in, read the credentials again; if they have changed, send it once more.

        So a rotated token costs nothing, and what was asked with the old token and refused is asked with the new one
        before it is pushed. Raises ClientError.
        """
        used = self._credentials
        response = await self._pool.request(method, target, used.lines + fields, body)
        if response.status not in _DENIED:
            return response
        if self._credentials is used:  # else another request has read them meanwhile
            try:
                await self.renew()
            except ValueError as error:
                logger.warning("Loki answers %d, and its credentials cannot be read again: %s", response.status, error)
        if self._credentials is used or not again:
            return response
        return await self._pool.request(method, target, self._credentials.lines + fields, body)

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
