"""``AsyncLogOpsClient``: sends events from an asyncio application to a LogOps gateway.

async with AsyncLogOpsClient("http://127.0.0.1:8081/ingest", "web-1", "s3cr3t") as client:
    client.log({"level": "info", "msg": "queued, sent with others"})
    stored = await client.send([{"msg": "stored when this returns"}])
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple

from logops_fast.client.failures import cause_of
from logops_fast.client.outbox import Outbox
from logops_fast.client.records import dumps
from logops_fast.client.request import CLOSING, RETRY_FOR, TOO_LONG, Credentials, Signer, Verdict, judge, unanswered
from logops_fast.errors import LogOpsError
from logops_fast.http.pool import HttpPool
from logops_fast.http.response_reader import ClientError


class Stored(NamedTuple):
    """Counts of events: stored, and unreadable ones that were kept apart."""

    accepted: int
    rejected: int


class DeliveryError(LogOpsError):
    """Raised for events that the gateway refused or did not confirm in time.

    ``lost`` counts them; ``reason`` says why, and ``detail`` is the gateway's sentence about it, if it had one.
    """

    def __init__(self, reason: str, lost: int, detail: str = "") -> None:
        super().__init__(f"{lost} events were not stored: {reason}{f' ({detail})' if detail else ''}")
        self.reason = reason
        self.lost = lost
        self.detail = detail


class AsyncLogOpsClient:
    """Sends events in signed batches and retries each under its own batch id until it is stored. For one event loop.

    Arguments as for ``LogOpsHandler``; ``connections`` is how many batches may be in flight at once.

    Raises:
        ValueError: for an argument that cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        *,
        token: str | None = None,
        emitter: str | None = None,
        scenario_id: str | None = None,
        batch_size: int = 500,
        flush_interval: float = 1.0,
        max_queue: int = 100_000,
        max_queue_bytes: int = 67_108_864,
        timeout: float = 10.0,
        close_timeout: float = 5.0,
        retry_for: float = RETRY_FOR,
        connections: int = 8,
        ssl: ssl_module.SSLContext | None = None,
        audience: str = "",
        signature_version: int = 2,
        plaintext_token: bool = False,
    ) -> None:
        credentials = Credentials.of(url, key, secret, token)
        self._signer = Signer(
            credentials,
            emitter,
            scenario_id,
            audience=audience,
            signature_version=signature_version,
            plaintext_token=plaintext_token,
        )
        self._pool = HttpPool(credentials.url, read_timeout=timeout, max_connections=connections, ssl=ssl)
        self._batch_size = batch_size
        self._flush_interval = flush_interval
        self._timeout = timeout
        self._close_timeout = close_timeout
        self._retry_for = retry_for
        self._outbox = Outbox(max_queue, max_queue_bytes)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._flushing = 0
        self._last_failure = ""
        self.delivered = 0

    @property
    def dropped(self) -> Counter[str]:
        """The queued events dropped so far, by reason."""
        return Counter(self._outbox.dropped)

    def log(self, event: Mapping[str, Any]) -> bool:
        """Queue an event, with the current time if it has no ``ts``; return False if the queue is full, or closed."""
        if self._closed:
            return False
        if "ts" not in event:
            event = {"ts": datetime.now(UTC).isoformat().replace("+00:00", "Z"), **event}
        if not self._outbox.put(dumps(event)):
            return False
        self._idle.clear()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        if len(self._outbox) >= self._batch_size:
            self._wake.set()
        return True

    async def send(self, events: Iterable[Mapping[str, Any]]) -> Stored:
        """Send events now and return once they are stored. Raises DeliveryError if some were not."""
        lines = [dumps(event) for event in events]
        accepted = rejected = lost = 0
        reason = detail = ""
        for start in range(0, len(lines), self._batch_size):
            for part, verdict in await self._deliver(lines[start : start + self._batch_size]):
                if verdict.outcome == "stored":
                    accepted += verdict.accepted
                    rejected += verdict.rejected
                else:
                    lost += len(part)
                    reason, detail = verdict.reason, verdict.detail
        if lost:
            raise DeliveryError(reason, lost, detail)
        return Stored(accepted, rejected)

    async def flush(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - a bound, not an error
        """Wait until everything queued is delivered or dropped; return False if that takes over ``timeout`` seconds.

        ``timeout`` defaults to ``close_timeout``.
        """
        self._flushing += 1
        self._wake.set()
        try:
            async with asyncio.timeout(self._close_timeout if timeout is None else timeout):
                while not self._outbox.empty:
                    await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._flushing -= 1
        return True

    async def aclose(self) -> None:
        """Deliver what can be delivered within ``close_timeout``, and end; the rest counts as dropped."""
        self._closed = True
        await self.flush()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._outbox.abandon(f"{CLOSING}: {self._last_failure}" if self._last_failure else CLOSING)
        await self._pool.aclose()

    async def __aenter__(self) -> AsyncLogOpsClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self) -> None:
        """Deliver the queue, batch by batch."""
        while True:
            if len(self._outbox) < self._batch_size and not (self._flushing and len(self._outbox)):
                try:
                    async with asyncio.timeout(self._flush_interval if len(self._outbox) else None):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
            batch = self._outbox.take(self._batch_size)
            if not batch:
                self._idle.set()
                continue
            for part, verdict in await self._deliver(batch):
                stored = verdict.outcome == "stored"
                self.delivered += verdict.accepted if stored else 0
                self._outbox.settle(part, "" if stored else verdict.reason)
            if self._outbox.empty:
                self._idle.set()

    async def _deliver(self, batch: list[bytes]) -> list[tuple[list[bytes], Verdict]]:
        """Send a batch until it is settled, in halves if it is too large; return each part with its verdict."""
        todo, settled = [batch], []
        while todo:
            part = todo.pop()
            verdict = await self._send(part)
            if verdict.outcome == "split" and len(part) > 1:
                middle = len(part) // 2
                todo += [part[middle:], part[:middle]]
            else:
                settled.append((part, verdict))
        return settled

    async def _send(self, batch: list[bytes]) -> Verdict:
        body = b"\n".join(batch)
        batch_id = self._signer.batch_id()
        give_up = time.monotonic() + self._retry_for
        attempts = 0
        while True:
            attempts += 1
            headers = b"".join(b"%b: %b\r\n" % field for field in self._signer.headers(body, batch_id))
            try:
                answer = await self._pool.request(
                    b"POST", self._signer.endpoint.target, headers, body, timeout=self._timeout
                )
            except ClientError as error:
                verdict = unanswered(cause_of(error), attempts)
            else:
                verdict = judge(answer.status, answer.headers, answer.body, attempts)
            self._last_failure = verdict.reason if verdict.outcome == "again" else ""
            if verdict.outcome != "again":
                return verdict
            if time.monotonic() + verdict.wait >= give_up:
                return verdict.given_up(TOO_LONG)
            await asyncio.sleep(verdict.wait)
