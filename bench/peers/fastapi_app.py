"""FastAPI on uvicorn: plainly, guarded, and with our pipeline inside. The folder to write to is BENCH_DIR."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from bench.peers.ours import OurPipeline
from bench.peers.plain import DayFile, PlainGateway, mask_text, mask_text_guarded


def plain() -> FastAPI:
    """The job, written plainly."""
    return _appending(mask_text)


def guarded() -> FastAPI:
    """The same with its patterns guarded."""
    return _appending(mask_text_guarded)


def ours() -> FastAPI:
    """Our pipeline behind the same framework."""
    pipeline = OurPipeline(Path(os.environ["BENCH_DIR"]))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await pipeline.start()
        yield
        await pipeline.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/ingest", response_model=None)
    async def ingest(request: Request) -> Response:
        body = await request.body()
        answer = await pipeline.handle(request.scope["raw_path"], dict(request.headers.raw), body)
        extra: Any = {name.decode(): value.decode() for name, value in answer.headers}
        return Response(answer.body, answer.status, extra, "application/json")

    return app


def _appending(mask: Callable[[str], str]) -> FastAPI:
    app = FastAPI()
    gateway = PlainGateway({"bench": "bench-secret"}, mask)
    file = DayFile(Path(os.environ["BENCH_DIR"]))

    @app.post("/ingest", response_model=None)
    async def ingest(request: Request) -> JSONResponse:
        body = await request.body()
        status, answer, lines = gateway.handle("POST", request.url.path, request.headers.get, body)
        if lines:
            file.append(lines)
        return JSONResponse(answer, status)

    return app
