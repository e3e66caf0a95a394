"""The console as an application: its pages, its files and its guard, served by uvicorn until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from typing import Final

import uvicorn
from fastapi import FastAPI, Response
from nicegui import ui

from logops_fast.console.guard import Guard, GuardedApp
from logops_fast.console.pages import live_page, run_page, runs_page, scenarios_page
from logops_fast.console.services import Services
from logops_fast.emitters import report
from logops_fast.errors import OperatorError

DRAIN_SECONDS: Final = 2
"""Seconds that open pages get at the end; they reconnect by themselves."""
MAX_MESSAGE: Final = 1 << 20
"""Bytes of a WebSocket message from a browser: what is typed into a form is far smaller."""


def application(services: Services, guard: Guard) -> GuardedApp:
    """Return the ASGI application. Once a process: NiceGUI keeps its pages in its module."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reading = asyncio.create_task(services.monitor.run())
        try:
            yield
        finally:
            await services.orchestrator.aclose()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _pages(services)
    _files(app, services)
    ui.run_with(
        app,
        title="LogOps console",
        language="en-US",
        dark=None,
        tailwind=False,  # one style sheet of our own is enough
        binding_refresh_interval=None,
        show_welcome_message=False,
        favicon="🪵",
    )
    return GuardedApp(app, guard)


class _Server(uvicorn.Server):
    """Ends on SIGINT and SIGTERM; uvicorn's own raises the signal again at the end, which makes a clean end a death."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals while it serves."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


async def serve(app: GuardedApp, listener: socket.socket) -> None:
    """Serve on ``listener`` until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",  # the other one of uvicorn is deprecated by its library
        ws_max_size=MAX_MESSAGE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    await _Server(config).serve([listener])


def _pages(services: Services) -> None:
    @ui.page("/")
    def live() -> None:
        live_page.build(services)

    @ui.page("/scenarios")
    def scenarios() -> None:
        scenarios_page.build_library(services)

    @ui.page("/scenarios/{name}")
    def scenario(name: str) -> None:
        scenarios_page.build_editor(services, name)

    @ui.page("/run")
    def run() -> None:
        run_page.build(services)

    @ui.page("/runs")
    def runs() -> None:
        runs_page.build_list(services)

    @ui.page("/runs/{file}")
    def one_run(file: str) -> None:
        runs_page.build_report(services, file)

    @ui.page("/compare/{first}/{second}")
    def compare(first: str, second: str) -> None:
        runs_page.build_comparison(services, first, second)


def _files(app: FastAPI, services: Services) -> None:
    def answer(media_type: str, content: bytes | str) -> Response:
        return Response(content, media_type=media_type)

    def refuse(error: Exception) -> Response:
        return Response(f"{error}\n", 404, media_type="text/plain")

    @app.get("/files/{file}/report.html")
    def html(file: str) -> Response:
        try:
            return answer("text/html", report.html(services.runs.record(file)))
        except (OperatorError, OSError) as error:
            return refuse(error)

    @app.get("/files/{file}/telemetry.jsonl")
    def telemetry(file: str) -> Response:
        try:
            return answer("application/x-ndjson", services.runs.path(file).read_bytes())
        except (OperatorError, OSError) as error:
            return refuse(error)

    if find_spec("matplotlib") is None:
        return

    @app.get("/files/{file}/report.png")
    def png(file: str) -> Response:
        from logops_fast.emitters.report_png import png

        try:
            return answer("image/png", png(services.runs.record(file)))
        except (OperatorError, OSError) as error:
            return refuse(error)
