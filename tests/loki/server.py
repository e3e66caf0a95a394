"""A Loki for tests: the push and query API over ``Store``, on a real socket, with the faults that the field has.

Sources: pkg/distributor/http.go (pushHandler: 204, texts of errors), pkg/loghttp/query.go, pkg/util/marshal.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

from tests.loki.answers import query_body
from tests.loki.real import RealStore, real_loki
from tests.loki.store import SECOND, Answer, Limits, Store, Stored
from tests.loki.wire import decode_push
from tests.support.scripted_server import send

ResultT = TypeVar("ResultT")

Fault = Literal["cut before", "cut after", "500 before", "500 after", "503", "429", "hang"]


class LokiServer:
    """Serves a store. The store outlives ``stop`` and ``start``, as Loki's write-ahead log does."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        store: Store | None = None,
        token: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.store = store or Store(time.time_ns, limits)
        self.faults: deque[Fault] = deque()
        """What happens to the next pushes, one each."""
        self.delay = 0.0
        """Seconds before each answer to a push."""
        self.may_query = True
        self.instead: bytes | None = None
        """Answer every request with these bytes, and store nothing: a proxy, or a wrong address."""
        self.instead_query = True
        """Whether questions are among them."""
        self.accepted = 0
        """Entries of pushes that were stored whole."""
        self.drip = 0.0
        """Seconds before each byte of an answer."""
        self.token = token
        self.tls = tls
        self.requests: Counter[str] = Counter()
        self.heads: list[bytes] = []
        self._empty: set[tuple[str, int, int]] = set()
        self.port = 0
        self._pool = ThreadPoolExecutor()  # not the loop's own, whose end uvloop sometimes waits for in vain
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop as a killed process does: connections are reset, new ones refused."""
        if self._server is not None:
            loop = asyncio.get_running_loop()
            if isinstance(loop, asyncio.SelectorEventLoop):
                # What is accepted as the server closes fails before it has a protocol, and is never closed (CPython
                # gh-109564).
                for socket in self._server.sockets:
                    loop.remove_reader(socket.fileno())
                await _turns()
            self._server.close()
            await _turns()  # what was accepted is served now, and so reset
            self._server = None
        for writer in [*self._writers]:
            writer.transport.abort()
        self.store.restart()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            # Cancelled at the end of a test, while it waits.
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = next(
                        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")),
                        0,
                    )
                    body = await reader.readexactly(length)
                    if not await self._answer(head, body, writer):
                        return
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> bool:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        url = urlsplit(target)
        self.heads.append(head)
        self.requests[url.path] += 1
        if self.instead is not None and (self.instead_query or method == "POST"):
            await self._send(writer, self.instead)
            return True
        if self.token and f"authorization: bearer {self.token}".encode() not in head.lower():
            answer, kind = Answer(401, "invalid token\n"), b"text/plain"
        elif (method, url.path) == ("POST", "/loki/api/v1/push"):
            fault = self.faults.popleft() if self.faults else None
            if fault == "cut before":
                return False
            if fault == "hang":
                await asyncio.sleep(3600)
            if fault in ("500 before", "503", "429"):
                text = "ingestion rate limit exceeded for user fake (limit: 1 bytes/sec)" if fault == "429" else "boom"
                answer = Answer(int(fault[:3]), f"{text}\n")
            else:
                answer = await self._push(body)
                if self.delay:
                    await asyncio.sleep(self.delay)
                if fault == "cut after":
                    return False
                if fault == "500 after":
                    answer = Answer(500, "rpc error: code = DeadlineExceeded\n")
            kind = b"text/plain"
        elif (method, url.path) == ("GET", "/loki/api/v1/query_range"):
            answer, kind = await self._query(head, target), b"application/json"
        else:
            answer, kind = Answer(404, "404 page not found\n"), b"text/plain"
        await self._write(writer, answer, kind)
        return True

    async def _push(self, body: bytes) -> Answer:
        pushed = decode_push(body) if body.strip(b"\0") else []
        if isinstance(self.store, RealStore):
            answer = await self._in_thread(partial(self.store.push_body, body))
        else:
            answer = self.store.push(pushed)
        if answer.status == 204:
            self.accepted += sum(len(entries) for _, entries in pushed)
        return answer

    async def _in_thread(self, call: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def _query(self, head: bytes, target: str) -> Answer:
        if not self.may_query:
            return Answer(403, "no permission to query\n")
        fresh = b"\r\ncache-control: no-cache\r\n" in head.lower()
        categorized = b"\r\nx-loki-response-encoding-flags: categorize-labels\r\n" in head.lower()
        if isinstance(self.store, RealStore):
            flags = {"x-loki-response-encoding-flags": "categorize-labels"} if categorized else {}
            flags |= {"cache-control": "no-cache"} if fresh else {}
            return await self._in_thread(partial(self.store.query_target, target, flags))
        fields = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        key = fields["query"], int(fields["start"]), int(fields["end"])
        if not fresh and key in self._empty:
            return Answer(200, query_body([], categorized=categorized).decode())
        found = self.store.query(*key, int(fields["limit"]))
        if isinstance(found, Answer):
            return found
        # pkg/querier/queryrange/log_result_cache.go: what found nothing is remembered, if it is older than
        # max_cache_freshness_per_query (10 minutes).
        if not found and key[2] < self.store.wall() - 600 * SECOND:
            self._empty.add(key)
        return Answer(200, query_body(found, categorized=categorized).decode())

    async def _write(self, writer: asyncio.StreamWriter, answer: Answer, kind: bytes) -> None:
        body = answer.text.encode()
        length = b"" if answer.status == 204 else b"content-length: %d\r\n" % len(body)
        head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\n%b\r\n" % (answer.status, kind, length)
        await self._send(writer, head if answer.status == 204 else head + body)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        pieces = [data[at : at + 1] for at in range(len(data))] if self.drip else [data]
        for piece in pieces:
            if self.drip:
                await asyncio.sleep(self.drip)
            await send(writer, piece)


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


class ThreadedLoki:
    """The server on a loop of its own, for tests of processes. ``away`` and ``back`` stop and start it."""

    def __init__(self, limits: Limits | None = None, *, back: int = 60 * SECOND) -> None:
        """``back``: how much older than the test its entries may be, in ns."""
        url = real_loki()
        self.machine = f"m{uuid.uuid4().hex}"
        """The name that a shipper must give its machine, so that entries of several tests in a real Loki do not mix."""
        self.server = LokiServer(limits, store=None if url is None else RealStore(url, self.machine, back=back))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def store(self) -> Store:
        return self.server.store

    @property
    def url(self) -> str:
        return self.server.url

    def back(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result()

    def kill(self) -> None:
        """Kill a real one, if it is known how, and wait until it is ready again; the double loses nothing."""
        if isinstance(self.store, RealStore):
            self.store.kill()

    def away(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result()

    def seqs(self) -> Counter[tuple[str, ...]]:
        """How often each line is in Loki, by stream, instance without its suffix, and seq."""
        return self._on_loop(lambda: seqs(self.store))

    def entries(self) -> list[Stored]:
        """Everything that is stored."""
        return self._on_loop(self.store.entries)

    def count(self) -> int:
        """How many entries are stored."""
        return len(self.entries())

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_loop(self, call: Callable[[], ResultT]) -> ResultT:
        if isinstance(self.store, RealStore):
            return call()  # its queries take long, and pushes pass meanwhile

        async def run() -> ResultT:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def __enter__(self) -> ThreadedLoki:
        self._thread.start()
        self.back()
        return self

    def __exit__(self, *_: object) -> None:
        self.away()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def loki(limits: Limits | None = None, *, back: int = 60 * SECOND) -> Iterator[ThreadedLoki]:
    """A Loki for a test that blocks."""
    with ThreadedLoki(limits, back=back) as server:
        yield server


def seqs(store: Store) -> Counter[tuple[str, ...]]:
    """How often each line is in a store."""
    counted: Counter[tuple[str, ...]] = Counter()
    for entry in store.entries():
        labels = store.streams[entry.labels].labels
        instance = labels["instance"].removesuffix("-retimed")
        counted[labels["stream"], instance, dict(entry.metadata)["seq"]] += 1
    return counted
