"""BlackSheep on Granian (ASGI, uvloop): plainly, guarded, and with our pipeline inside.

The folder to write to is BENCH_DIR.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from blacksheep import Application, Content, Request, Response, json

from bench.peers.ours import OurPipeline
from bench.peers.plain import DayFile, PlainGateway, mask_text, mask_text_guarded


def plain() -> Application:
    """The job, written plainly."""
    return _appending(mask_text)


def guarded() -> Application:
    """The same with its patterns guarded."""
    return _appending(mask_text_guarded)


def ours() -> Application:
    """Our pipeline behind the same framework."""
    app = Application()
    pipeline = OurPipeline(Path(os.environ["BENCH_DIR"]))

    @app.on_start
    async def start(_app: Application) -> None:
        await pipeline.start()

    @app.on_stop
    async def stop(_app: Application) -> None:
        await pipeline.close()

    async def ingest(request: Request) -> Response:
        body = await request.read() or b""
        answer = await pipeline.handle(request.path.encode(), dict(request.headers.items()), body)
        return Response(answer.status, list(answer.headers), Content(b"application/json", answer.body))

    app.router.add_post("/ingest", ingest)
    return app


def _appending(mask: Callable[[str], str]) -> Application:
    app = Application()
    gateway = PlainGateway({"bench": "bench-secret"}, mask)
    file = DayFile(Path(os.environ["BENCH_DIR"]))

    async def ingest(request: Request) -> Response:
        body = await request.read() or b""

        def header(name: str) -> str | None:
            value = request.get_first_header(name.encode())
            return value.decode() if value is not None else None

        status, answer, lines = gateway.handle("POST", request.path, header, body)
        if lines:
            file.append(lines)
        return json(answer, status)

    app.router.add_post("/ingest", ingest)
    return app
