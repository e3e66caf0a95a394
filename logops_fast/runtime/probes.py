"""What the gateways and the supervisor answer about themselves: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

import orjson

from logops_fast import __version__
from logops_fast.http.exchange import JSON, Request, Response
from logops_fast.http.refusal import Reason, Refusal
from logops_fast.http.routes import Router
from logops_fast.runtime.heartbeat import READY
from logops_fast.runtime.watchdog import UNHEALTHY_AFTER
from logops_fast.telemetry.registry import Registry

UNREADY: Final = "logops_unready"
LOOP_STALLED: Final = "loop_stalled"

Check = Callable[[], Refusal | None]
"""Returns why nothing should be sent here, or None."""
RenderMetrics = Callable[[bytes | None], tuple[bytes, bytes]]
"""From an Accept header to an exposition and its content type."""

_HEALTHY: Final = orjson.dumps({"status": "ok", "version": __version__})
_READY: Final = b'{"status":"ready"}'
_NO_WORKER: Final = Refusal(
    503,
    "no_worker",
    f"No worker has served for {UNHEALTHY_AFTER:g} s: /readyz names the state of each, and the log says why.",
    1,
)


class Readiness:
    """Whether to send anything to this gateway: one answer, whichever worker is asked.

    It is the first reason found by this worker's ``checks``, else one that another worker has reported. A worker that
    has not written since the disk filled up does not know it yet; it learns it from the one that does.
    """

    def __init__(self, registry: Registry, checks: Sequence[Check]) -> None:
        self._registry = registry
        self._checks = checks
        self._gauge = registry.gauge(
            UNREADY, "1 while a worker is not ready for this reason; the worst of all workers.", ("reason",), mode="max"
        )
        self._reasons: set[str] = set()

    def update(self) -> Refusal | None:
        """Run this worker's checks, publish their result, and return the first refusal."""
        refusals = [refusal for check in self._checks if (refusal := check()) is not None]
        reasons = {refusal.reason for refusal in refusals}
        for reason in self._reasons | reasons:
            self._gauge.labels(reason).set(float(reason in reasons))
        self._reasons |= reasons
        return refusals[0] if refusals else None

    def refusal(self) -> Refusal | None:
        """Return None, or why the gateway is not ready."""
        own = self.update()
        if own is not None:
            return own
        for (reason,), (unready,) in self._registry.sums(UNREADY).items():
            if unready:
                return Refusal(
                    503, cast(Reason, reason), "Another worker of this gateway is not ready: its log says why.", 1
                )
        return None


class Probes:
    """The three probes of one worker, routed on each of its listeners."""

    def __init__(self, unready: Check, render: RenderMetrics) -> None:
        self._unready = unready
        self._render = render

    def route(self, router: Router) -> None:
        """Add the probes to a listener's routes."""
        router.add("GET", b"/healthz", self.healthz)
        router.add("GET", b"/readyz", self.readyz)
        router.add("GET", b"/metrics", self.metrics)

    def healthz(self, request: Request) -> None:
        """Answer 200: that it answers is the proof."""
        request.respond(Response(200, _HEALTHY))

    def readyz(self, request: Request) -> None:
        """Answer 200, or 503 with the first reason not to send anything here."""
        refusal = self._unready()
        request.respond(Response(200, _READY) if refusal is None else Response.of(refusal))

    def metrics(self, request: Request) -> None:
        """Answer the metrics of all workers."""
        body, content_type = self._render(request.headers.get(b"accept"))
        request.respond(Response(200, body, content_type))


class WorkerView(NamedTuple):
    """A worker as the supervisor sees it: its state, and the seconds since its last heartbeat."""

    worker: int
    state: str
    detail: str
    age: float


class AdminProbes(Probes):
    """The probes of the admin listener, answered for all workers.

    ``unserved`` returns the seconds since any worker last served.
    """

    def __init__(
        self,
        workers: Callable[[], Sequence[WorkerView]],
        unserved: Callable[[], float],
        render: RenderMetrics,
    ) -> None:
        super().__init__(lambda: unready(workers()), render)
        self._workers = workers
        self._unserved = unserved

    def healthz(self, request: Request) -> None:
        """Answer 200, or 503 once no worker has served for ``UNHEALTHY_AFTER`` seconds."""
        dead = self._unserved() >= UNHEALTHY_AFTER
        request.respond(Response.of(_NO_WORKER) if dead else Response(200, _HEALTHY))

    def readyz(self, request: Request) -> None:
        """Answer 200 while any worker can take a batch, else 503; either way with each worker's state."""
        workers = self._workers()
        refusal = unready(workers)
        body = orjson.dumps(
            ({"status": "ready"} if refusal is None else {"error": refusal.reason, "detail": refusal.detail})
            | {"workers": [_as_fields(view) for view in workers]}
        )
        if refusal is None:
            request.respond(Response(200, body))
        else:
            request.respond(Response(refusal.status, body, JSON, refusal.headers()))


def unready(workers: Sequence[WorkerView]) -> Refusal | None:
    """Return None if a worker can take a batch, else the first worker's reason with every worker's state."""
    if any(view.state == READY for view in workers):
        return None
    states = ", ".join(f"worker {view.worker} is {view.state}" for view in workers)
    first = workers[0]
    cause = f": {first.detail}" if first.detail else "."
    return Refusal(503, cast(Reason, first.state), f"No worker can take a batch ({states}){cause}", 1)


def _as_fields(view: WorkerView) -> dict[str, object]:
    fields: dict[str, object] = {"worker": view.worker, "state": view.state, "heartbeat_age": round(view.age, 1)}
    return fields | ({"detail": view.detail} if view.detail else {})
