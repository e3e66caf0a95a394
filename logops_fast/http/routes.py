"""A table of paths and methods; anything else is 404 or 405."""

from __future__ import annotations

from collections.abc import Callable

from logops_fast.http.exchange import Request, Response
from logops_fast.http.refusal import Refusal

Handler = Callable[[Request], None]
OnRefused = Callable[[Refusal, str], None]


class Router:
    """An HTTP application made of handlers. HEAD is answered on every path that answers GET."""

    def __init__(self, on_refused: OnRefused) -> None:
        self._routes: dict[bytes, dict[str, Handler]] = {}
        self._absent: dict[bytes, str] = {}
        self._on_refused = on_refused

    def add(self, method: str, path: bytes, handler: Handler) -> None:
        """Route ``method path`` to ``handler``; GET brings HEAD with it."""
        methods = self._routes.setdefault(path, {})
        methods[method] = handler
        if method == "GET":
            methods["HEAD"] = handler

    def add_absent(self, path: bytes, detail: str) -> None:
        """Answer 404 at ``path`` with a sentence of its own: what is looked for there, and where it is."""
        self._absent[path] = detail

    def handle(self, request: Request) -> None:
        """Hand the request to its handler, or refuse it (RFC 9110, 15.5.5 and 15.5.6)."""
        methods = self._routes.get(request.path)
        if methods is None:
            detail = self._absent.get(request.path)
            if detail is None:
                paths = ", ".join(sorted(path.decode() for path in self._routes))
                detail = f"There is nothing at this path; the gateway serves {paths}."
            self._refuse(request, Refusal(404, "not_found", detail))
            return
        handler = methods.get(request.method)
        if handler is not None:
            handler(request)
            return
        allowed = ", ".join(sorted(methods))
        refusal = Refusal(405, "method_not_allowed", f"This path answers {allowed} only.")
        self._refuse(request, refusal, ((b"allow", allowed.encode()),))

    def refused(self, refusal: Refusal, peer: str) -> None:
        """Called for each refusal the server issued on its own."""
        self._on_refused(refusal, peer)

    def _refuse(self, request: Request, refusal: Refusal, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self._on_refused(refusal, request.peer)
        request.respond(Response(refusal.status, refusal.body(), headers=(*refusal.headers(), *headers)))
