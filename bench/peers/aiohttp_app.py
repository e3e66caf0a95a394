"""aiohttp on uvloop: plainly, and with our pipeline inside.

BENCH_DIR=... python -m bench.peers.aiohttp_app plain|ours PORT
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop
from aiohttp import web

from bench.peers.ours import OurPipeline
from bench.peers.plain import PlainGateway

MAX_BODY = 4_194_304


def plain() -> web.Application:
    """The job, written plainly."""
    gateway = PlainGateway(Path(os.environ["BENCH_DIR"]), {"bench": "bench-secret"})

    async def ingest(request: web.Request) -> web.Response:
        body = await request.read()
        status, answer = gateway.handle("POST", request.path_qs, request.headers.get, body)
        return web.json_response(answer, status=status)

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post("/ingest", ingest)
    return app


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
        pipeline.start()
        yield
        await pipeline.close()

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post("/ingest", ingest)
    app.cleanup_ctx.append(around)
    return app


if __name__ == "__main__":
    web.run_app(
        {"plain": plain, "ours": ours}[sys.argv[1]](),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop=uvloop.new_event_loop(),
        access_log=None,
        print=None,
    )
