"""A small real HTTP server that does, connection by connection, what a test's script says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import uvloop

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def run(loop: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run ``main`` on a new loop of that name; what escapes a callback fails the test."""
    escaped: list[dict[str, Any]] = []

    async def body() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
        return await main()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        result = runner.run(body())
    assert not escaped, escaped
    return result


def answer(body: bytes = b"ok", status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, fields, len(body), body)


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write to a client that may be gone. Raises ConnectionError then, where uvloop's transport raises RuntimeError."""
    if writer.is_closing():
        raise ConnectionResetError
    writer.write(data)
    await writer.drain()


class Peer:
    """One accepted connection, as its script sees it. ``number`` counts from 0."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: head and body. Raises IncompleteReadError once the client is gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return head, await self.reader.readexactly(length)

    async def write(self, data: bytes) -> None:
        await send(self.writer, data)

    async def gone(self) -> None:
        """Wait until the client has closed; whatever it still sends is dropped."""
        while await self.reader.read(65_536):
            pass


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """Runs ``script`` for each connection and closes the connection where the script ends."""

    def __init__(self, script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._host = host
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.open = 0
        self.most_open = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{'https' if self._tls else 'http'}://{host}:{self.port}/v1/logs"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer, self.connections)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._script(peer)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
