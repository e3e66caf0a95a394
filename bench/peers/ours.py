"""Our own pipeline without our HTTP layer: what the same framework gives with the fast parts inside.

The whole of it: the ten checks, the shared state, the normaliser, the file sink with its group commit, the metrics.
"""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

import msgspec

from bench import servers
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.config.keys_file import Client, Keyring
from logops_fast.config.settings import Settings
from logops_fast.http.exchange import BodyConsumer, Request, Response
from logops_fast.http.head import Head
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.sink.file_sink import FileSink
from logops_fast.ingest.sink.interface import SinkCommit
from logops_fast.runtime import wiring
from logops_fast.state.factory import open_state
from logops_fast.telemetry.registry import Registry


class OurPipeline:
    """Both gateways' work for requests that a framework has read. ``start`` it on the running loop."""

    def __init__(self, directory: Path) -> None:
        settings = msgspec.convert(servers.settings(), Settings)
        clients = [
            Client(
                name,
                tuple(secret.encode() for secret in client["secrets"]),
                client["emitter"],
                frozenset({client["emitter"]}),
            )
            for name, client in servers.CLIENTS.items()
        ]
        keyring = Keyring.of(clients)
        emitters, registry = wiring.known_emitters(settings, keyring), Registry()
        metrics = IngestMetrics(registry, emitters)

        def committed(commit: SinkCommit) -> None:
            metrics.sink_committed(commit.bytes, commit.seconds)

        self._state = open_state("shared", workers=1, directory=directory / "state", redis_url="", tolerance=300.0)
        self._sink = FileSink(directory, on_commit=committed)
        queue = wiring.work_queue(settings)
        normaliser = wiring.normaliser(settings, wiring.encryptor(settings))
        pipeline = wiring.pipeline(settings, normaliser, self._sink, self._state, metrics, queue)
        auth_metrics = AuthMetrics(registry, emitters)
        read_ahead = pipeline.read_ahead
        self._gateway = wiring.auth_gateway(settings, keyring, self._state, pipeline, auth_metrics, queue, read_ahead)

    async def start(self) -> None:
        """Open the sink."""
        await self._sink.start()
        self._state.worker_started(0)
        gc.collect()
        gc.freeze()

    async def close(self) -> None:
        """Flush the sink."""
        await self._sink.close()
        await self._state.close()

    def handle(self, target: bytes, headers: dict[bytes, bytes], body: bytes) -> asyncio.Future[Response]:
        """One POST, read whole; its answer, once the batch is stored. Header names in lower case."""
        head = Head()
        head.method, head.target, head.path, head.version = "POST", target, target.partition(b"?")[0], "1.1"
        head.headers = headers
        head.content_length, head.chunked, head.keep_alive, head.expect_continue = len(body), False, True, False
        exchange = _Exchange(body)
        self._gateway.handle(Request(head, "127.0.0.1", time.monotonic(), exchange))
        return exchange.future


class _Exchange:
    """Takes the connection's place, as one of this machine: gives the body at once and keeps the answer."""

    __slots__ = ("_body", "future")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def answer(self, request: Request, response: Response) -> None:
        request.answered = True
        if not self.future.done():
            self.future.set_result(response)

    def is_private(self, request: Request) -> bool:
        return True

    def take_body(self, request: Request, consumer: BodyConsumer) -> None:
        if self._body:
            consumer.feed(self._body)
        if not request.answered:
            consumer.end()
