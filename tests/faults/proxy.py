"""A proxy between the gateways that delays, cuts and lies, in a thread of its own. It knows just enough HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from types import TracebackType
from typing import Final

PASS: Final = "pass"
REFUSE: Final = "refuse"  # the connection is reset as soon as it is made
DELAY: Final = "delay"  # bytes arrive late and in small pieces, both ways
SILENT: Final = "silent"  # takes requests and does nothing
CUT_REQUEST: Final = "cut request"  # half of the request arrives
RESET_REQUEST: Final = "reset request"  # half of the request arrives, then a reset both ways
CUT_AFTER_BODY: Final = "cut after body"  # the request arrives and is answered, the answer never does
TRUNCATE_ANSWER: Final = "truncate answer"  # half of the answer
ANSWER_500: Final = "answer 500"  # nothing arrives
ANSWER_500_AFTER: Final = "answer 500 after"  # the request arrives and is answered, but the client gets a 500
ANSWER_503: Final = "answer 503"
CHAOS: Final = "chaos"  # any of these, for one request in three

LIES: Final = (
    REFUSE, DELAY, CUT_REQUEST, RESET_REQUEST, CUT_AFTER_BODY, TRUNCATE_ANSWER, ANSWER_500, ANSWER_500_AFTER, ANSWER_503
)  # fmt: skip


class Cut(Exception):  # noqa: N818
    """The connection ends here."""


class Proxy:
    """Listens on ``port`` and forwards to ``upstream``, as ``mode`` says. Counts the requests it forwarded."""

    def __init__(self, upstream: int, *, seed: int = 0) -> None:
        self.upstream = upstream
        self.mode = PASS
        self.forwarded = 0
        self.faults = 0
        self.record: list[bytes] | None = None
        """Set to a list, it gets every request as it came."""
        self.port = 0
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream: list[asyncio.StreamWriter] = []
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, Cut, asyncio.CancelledError):
                await self._serve(reader, writer, upstream)
        finally:
            for end in (writer, *upstream):
                end.close()
            self._tasks.discard(task)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: list[asyncio.StreamWriter]
    ) -> None:
        if self.mode == REFUSE:
            reset(writer)
            return
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while True:
            request = await message(reader)
            if self.record is not None:
                self.record.append(request)
            mode = self._choose()
            if mode != PASS:
                self.faults += 1
            if mode == REFUSE:
                reset(writer)
                return
            if mode == SILENT:
                await reader.read()
                return
            if mode in (ANSWER_500, ANSWER_503):
                writer.write(canned(mode))
                await writer.drain()
                continue
            if upstream is None:
                upstream = await asyncio.open_connection("127.0.0.1", self.upstream)
                ends.append(upstream[1])
            await self._exchange(mode, request, writer, upstream)

    async def _exchange(
        self,
        mode: str,
        request: bytes,
        writer: asyncio.StreamWriter,
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        up_reader, up_writer = upstream
        self.forwarded += 1
        if mode in (CUT_REQUEST, RESET_REQUEST):
            up_writer.write(request[: len(request) // 2])
            await up_writer.drain()
            if mode == RESET_REQUEST:
                reset(up_writer)
                reset(writer)
            raise Cut
        await self._write(mode, up_writer, request)
        answer = await message(up_reader)
        if mode == CUT_AFTER_BODY:
            raise Cut
        if mode == ANSWER_500_AFTER:
            answer = canned(ANSWER_500)
        if mode == TRUNCATE_ANSWER:
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
            raise Cut
        await self._write(mode, writer, answer)

    async def _write(self, mode: str, writer: asyncio.StreamWriter, data: bytes) -> None:
        if mode != DELAY:
            writer.write(data)
            await writer.drain()
            return
        size = max(1, len(data) // 3)
        for at in range(0, len(data), size):
            await asyncio.sleep(self._random.uniform(0, 0.1))
            writer.write(data[at : at + size])
            await writer.drain()

    def _choose(self) -> str:
        if self.mode != CHAOS:
            return self.mode
        return self._random.choice(LIES) if self._random.random() < 1 / 3 else PASS


async def message(reader: asyncio.StreamReader) -> bytes:
    """One request or answer with a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def canned(mode: str) -> bytes:
    """An answer that the Ingest Gateway never gave."""
    status = b"500 Internal Server Error" if mode == ANSWER_500 else b"503 Service Unavailable"
    body = b'{"error":"invented","detail":"An answer made by a proxy in a test."}'
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)
