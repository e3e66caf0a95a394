"""aiohttp on uvloop: plainly, guarded, synced, and with our pipeline inside.

BENCH_DIR=... python -m bench.peers.aiohttp_app plain|guarded|synced|ours PORT
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import uvloop
from aiohttp import web

from bench.peers.ours import OurPipeline
from bench.peers.plain import DayFile, PlainGateway, SyncedDayFile, mask_text, mask_text_guarded

MAX_BODY = 4_194_304


def plain() -> web.Application:
    """The job, written plainly."""
    return _appending(mask_text)


def guarded() -> web.Application:
    """The same with its patterns guarded."""
    return _appending(mask_text_guarded)


def synced() -> web.Application:
    """Guarded, and synced in a thread of the loop's pool before the answer."""
    gateway = PlainGateway({"bench": "bench-secret"}, mask_text_guarded)
    file = SyncedDayFile(Path(os.environ["BENCH_DIR"]))

    async def ingest(request: web.Request) -> web.Response:
        body = await request.read()
        status, answer, lines = gateway.handle("POST", request.path_qs, request.headers.get, body)
        if lines:
            await asyncio.to_thread(file.append, lines)
        return web.json_response(answer, status=status)

    return _serving(ingest)


def ours() -> web.Application:
    """Our pipeline behind the same framework."""
    pipeline = OurPipeline(Path(os.environ["BENCH_DIR"]))

    async def ingest(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.raw_headers}
        answer = await pipeline.handle(request.raw_path.encode(), headers, body)
        extra = {name.decode(): value.decode() for name, value in answer.headers}
        return web.Response(body=answer.body, status=answer.status, headers=extra, content_type="application/json")

    async def around(_app: web.Application) -> AsyncIterator[None]:
        await pipeline.start()
        yield
        await pipeline.close()

    app = _serving(ingest)
    app.cleanup_ctx.append(around)
    return app


def _serving(ingest: Callable[[web.Request], Awaitable[web.Response]]) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post("/ingest", ingest)
    return app


def _appending(mask: Callable[[str], str]) -> web.Application:
    gateway = PlainGateway({"bench": "bench-secret"}, mask)
    file = DayFile(Path(os.environ["BENCH_DIR"]))

    async def ingest(request: web.Request) -> web.Response:
        body = await request.read()
        status, answer, lines = gateway.handle("POST", request.path_qs, request.headers.get, body)
        if lines:
            file.append(lines)
        return web.json_response(answer, status=status)

    return _serving(ingest)


if __name__ == "__main__":
    web.run_app(
        {"plain": plain, "guarded": guarded, "synced": synced, "ours": ours}[sys.argv[1]](),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop=uvloop.new_event_loop(),
        access_log=None,
        print=None,
    )
