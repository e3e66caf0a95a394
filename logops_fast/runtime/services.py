"""What a worker runs: both gateways in one process, or either alone. Start, reload and drain, in their order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from logops_fast.authgw.circuit_breaker import BreakerState
from logops_fast.authgw.forwarder import Forwarder
from logops_fast.authgw.gateway import AuthGateway
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.config.errors import ConfigError
from logops_fast.config.keys_file import Keyring
from logops_fast.config.loader import load
from logops_fast.config.settings import Settings
from logops_fast.formats.batch import UNKNOWN_EMITTER
from logops_fast.http.budget import Budget
from logops_fast.http.exchange import Request
from logops_fast.http.pool import HttpPool
from logops_fast.http.refusal import Refusal
from logops_fast.http.routes import Router
from logops_fast.http.server import HttpServer
from logops_fast.ingest.gateway import IngestGateway
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.ingest.pipeline import IngestPipeline
from logops_fast.runtime import wiring
from logops_fast.runtime.probes import Probes
from logops_fast.runtime.readiness import Readiness
from logops_fast.runtime.storage import Storage
from logops_fast.runtime.worker import StartupError, WorkerContext
from logops_fast.state.interface import StateStore
from logops_fast.telemetry import exposition

Role = Literal["up", "authgw", "ingest"]

SAMPLE_EVERY: Final = 0.5  # seconds between samples of the in-flight gauges
DRAIN_MARGIN: Final = 1.0  # seconds of the drain timeout kept for the flush

DRAINING: Final = Refusal(503, "draining", "The gateway is stopping: send to another one, or wait for it.", 1)
CIRCUIT_OPEN: Final = Refusal(
    503, "circuit_open", "The Ingest Gateway fails too often and is left alone for a while.", 1
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """All that a worker needs to build its service; made before the fork, so that all workers have the same."""

    role: Role
    settings: Settings
    keyring: Keyring | None
    state: StateStore
    auth_port: int
    ingest_port: int
    config: Path | None
    flags: Mapping[str, Any]


async def build(plan: Plan, context: WorkerContext) -> GatewayService:
    """The service of a worker. Raises StartupError."""
    return GatewayService(plan, context)


class GatewayService:
    """The gateways of one worker, their doors, and what is under them."""

    def __init__(self, plan: Plan, context: WorkerContext) -> None:
        self._plan = plan
        self._context = context
        self._settings = settings = plan.settings
        self._draining = False
        self._sampler: asyncio.TimerHandle | None = None
        self._doors: list[tuple[HttpServer, str, int]] = []
        self._auth: AuthGateway | None = None
        self._forwarder: Forwarder | None = None
        self._pool: HttpPool | None = None
        self._storage: Storage | None = None
        self._limits = wiring.http_limits(settings)
        self._budget = Budget(self._limits)
        self._tls = wiring.tls_context(settings)
        checks = (self._draining_check, self._breaker_check, self._sink_check, self._state_check)
        self._readiness = Readiness(context.registry, checks)
        self._probes = Probes(self._readiness.refusal, self._render)
        emitters = wiring.known_emitters(settings, plan.keyring)
        self._auth_metrics = AuthMetrics(context.registry, emitters) if plan.role != "ingest" else None
        self._ingest_metrics = IngestMetrics(context.registry, emitters) if plan.role != "authgw" else None
        if self._ingest_metrics is not None:
            self._build_ingest(self._ingest_metrics)
        if self._auth_metrics is not None and plan.keyring is not None:
            self._build_auth(self._auth_metrics, plan.keyring)

    def _build_ingest(self, metrics: IngestMetrics) -> None:
        plan, settings = self._plan, self._settings
        self._storage = Storage(settings, self._context, plan.state, metrics, on_failure=self._readiness.tell)
        self._pipeline = IngestPipeline(
            normaliser=wiring.normaliser(settings),
            sink=self._storage.sink,
            batch_ids=plan.state.batch_ids,
            metrics=metrics,
        )
        gateway = IngestGateway(
            pipeline=self._pipeline,
            metrics=metrics,
            max_body_bytes=settings.backpressure.max_body_bytes,
            max_items=settings.backpressure.max_items,
        )
        self._open_door(
            {b"/v1/logs": gateway.handle}, partial(_count, metrics.rejected), settings.ingest.host, plan.ingest_port
        )

    def _build_auth(self, metrics: AuthMetrics, keyring: Keyring) -> None:
        plan, settings = self._plan, self._settings
        if self._storage is not None:
            self._auth = wiring.auth_gateway(settings, keyring, plan.state, self._pipeline, metrics)
        else:
            self._forwarder, self._pool = wiring.forwarder(settings, metrics)
            self._auth = wiring.auth_gateway(settings, keyring, plan.state, self._forwarder, metrics)
        handle = self._auth.handle
        self._open_door(
            {b"/ingest": handle, b"/v1/logs": handle},
            partial(_count, metrics.rejected),
            settings.authgw.host,
            plan.auth_port,
        )

    def _open_door(
        self,
        posts: Mapping[bytes, Callable[[Request], None]],
        on_refused: Callable[[Refusal, str], None],
        host: str,
        port: int,
    ) -> None:
        router = Router(on_refused)
        for path, handler in posts.items():
            router.add("POST", path, handler)
        self._probes.route(router)
        self._doors.append((wiring.http_server(router, self._limits, self._budget, self._tls), host, port))

    async def start(self) -> None:
        """Open the sink, replay its journal, then open the doors. Raises StartupError."""
        if self._storage is not None:
            await self._storage.start()
        for server, host, port in self._doors:
            try:
                await server.listen(host, port, reuse_port=True)
            except OSError as error:
                raise StartupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        self._sample()

    async def drain(self) -> None:
        """Accept no more, finish what is in flight, flush; the worker bounds it by ``server.drain_timeout``."""
        self._draining = True
        timeout = max(self._settings.server.drain_timeout - DRAIN_MARGIN, 0.1)
        await asyncio.gather(*(server.drain(timeout) for server, _, _ in self._doors))
        if self._forwarder is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._forwarder.emptied().wait(), timeout)
        if self._pool is not None:
            await self._pool.aclose()
        if self._storage is not None:
            await self._storage.close()
        await self._plan.state.close()
        if self._sampler is not None:
            self._sampler.cancel()

    def reload(self) -> None:
        """Read configuration and keys again, and take keys and limits; what does not validate changes nothing."""
        try:
            loaded = load(self._plan.config, os.environ, self._plan.flags)
            keyring = read_keyring(loaded.settings) if self._auth is not None else None
        except (ConfigError, OSError) as error:
            reason = error.located if isinstance(error, ConfigError) else str(error)
            log.error("reload refused, nothing was changed: %s", reason)  # noqa: TRY400 - the sentence says it all
            return
        if self._auth is not None and keyring is not None:
            wiring.reload_auth(self._auth, loaded.settings, keyring)
        for metrics in (self._auth_metrics, self._ingest_metrics):
            if metrics is not None:
                metrics.emitter.add(wiring.known_emitters(loaded.settings, keyring))
        log.info("reloaded", extra={"clients": len(keyring.clients) if keyring is not None else 0})

    # Readiness: the first reason not to send anything here.

    def _draining_check(self) -> Refusal | None:
        return DRAINING if self._draining else None

    def _breaker_check(self) -> Refusal | None:
        return CIRCUIT_OPEN if self._forwarder is not None and not self._forwarder.ready else None

    def _sink_check(self) -> Refusal | None:
        problem = self._storage.sink.problem if self._storage is not None else None
        return Refusal(503, problem.reason, f"Nothing can be stored: {problem.text}", 1) if problem else None

    def _state_check(self) -> Refusal | None:
        unhealthy = self._plan.state.healthy()
        return (
            Refusal(503, "state_unavailable", f"The state store cannot be used: {unhealthy}", 1) if unhealthy else None
        )

    # Gauges are sampled: a request then pays nothing for them.

    def _sample(self) -> None:
        self._set_gauges()
        self._readiness.tell()
        self._sampler = asyncio.get_running_loop().call_later(SAMPLE_EVERY, self._sample)

    def _set_gauges(self) -> None:
        # The budget is the process's; in `up` the front door stands for both.
        metrics = self._auth_metrics or self._ingest_metrics
        if metrics is not None:
            metrics.inflight.set(self._budget.inflight_requests)
            metrics.inflight_bytes.set(self._budget.inflight_bytes)
        if self._auth_metrics is not None:
            state = self._forwarder.breaker.state if self._forwarder is not None else BreakerState.CLOSED
            self._auth_metrics.breaker_state.set(float(state))

    def _render(self, accept: bytes | None) -> tuple[bytes, bytes]:
        self._set_gauges()
        return exposition.render(self._context.registry, accept)


def _count(rejected: Callable[[str, str], None], refusal: Refusal, _peer: str) -> None:
    """A refusal of the HTTP layer's own: nobody knows yet whose request it was."""
    rejected(refusal.reason, UNKNOWN_EMITTER)


def read_keyring(settings: Settings) -> Keyring:
    """The clients; in mode ``none`` there need not be any. Raises ConfigError."""
    path = Path(settings.auth.keys_file)
    if settings.auth.mode == "none" and not path.exists():
        return Keyring.of(())
    return Keyring.load(path)
