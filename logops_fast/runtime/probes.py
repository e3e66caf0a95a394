"""What both gateways answer about themselves: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from logops_fast import __version__
from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal
from logops_fast.http.routes import Router

Render = Callable[[bytes | None], tuple[bytes, bytes]]
"""From an Accept header to an exposition and its content type."""


class Probes:
    """The three probes of one process, to be routed on each of its doors."""

    def __init__(self, unready: Callable[[], Refusal | None], render: Render) -> None:
        self._unready = unready
        self._render = render
        self._healthy = orjson.dumps({"status": "ok", "version": __version__})

    def route(self, router: Router) -> None:
        """Add the probes to a door."""
        router.add("GET", b"/healthz", self.healthz)
        router.add("GET", b"/readyz", self.readyz)
        router.add("GET", b"/metrics", self.metrics)

    def healthz(self, request: Request) -> None:
        """The process serves: that it answers is the proof."""
        request.respond(Response(200, self._healthy))

    def readyz(self, request: Request) -> None:
        """200, or 503 with the first reason not to send anything here."""
        refusal = self._unready()
        request.respond(Response(200, b'{"status":"ready"}') if refusal is None else Response.of(refusal))

    def metrics(self, request: Request) -> None:
        """The counters of all workers, whichever is asked."""
        body, content_type = self._render(request.headers.get(b"accept"))
        request.respond(Response(200, body, content_type))
