"""The parts of which a worker's service is composed: an Auth Gateway, an Ingest Gateway, or both.

Each part owns one gateway with all it needs: its metrics, its listener, its checks of readiness, its start and its end.
``logops up`` has both, and the Auth Gateway hands its batches to the other's pipeline in process; ``logops authgw`` has
an Auth Gateway that forwards over HTTP; ``logops ingest`` has an Ingest Gateway alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from logops_fast.authgw.circuit_breaker import BreakerState
from logops_fast.authgw.metrics import AuthMetrics
from logops_fast.config.keys_file import Keyring
from logops_fast.config.settings import Settings
from logops_fast.formats.batch import UNKNOWN_EMITTER, Downstream, ReadAhead
from logops_fast.formats.media_type import LOKI_PATH
from logops_fast.formats.work_queue import WorkQueue
from logops_fast.http.exchange import Request
from logops_fast.http.refusal import Refusal
from logops_fast.ingest import zones
from logops_fast.ingest.encryption import Encryptor
from logops_fast.ingest.gateway import IngestGateway
from logops_fast.ingest.metrics import IngestMetrics
from logops_fast.runtime import wiring
from logops_fast.runtime.probes import Check
from logops_fast.runtime.storage import Storage
from logops_fast.runtime.syslog_listener import SyslogListener
from logops_fast.runtime.worker import WorkerContext
from logops_fast.state.interface import StateStore
from logops_fast.telemetry.families import GatewayMetrics

CIRCUIT_OPEN: Final = Refusal(
    503, "circuit_open", "The Ingest Gateway fails too often, so nothing is forwarded to it for a while.", 1
)

NOT_SERVED: Final[Mapping[bytes, str]] = {
    b"/v1/metrics": "This gateway takes logs alone, at /v1/logs: send metrics to an OpenTelemetry collector.",
    b"/v1/traces": "This gateway takes logs alone, at /v1/logs: send traces to an OpenTelemetry collector.",
}
"""Paths of OTLP/HTTP at which exporters look for what is not served, and what to tell them."""


@dataclass(frozen=True)
class Reloaded:
    """Everything that a reload replaces, read and checked before any of it is used."""

    settings: Settings
    keyring: Keyring | None
    fernet_keys: Sequence[str]


class Part(ABC):
    """One gateway of a worker."""

    name: str
    """The name of its section in the settings, and of its listening sockets."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        self.metrics: Final = metrics

    @abstractmethod
    def routes(self) -> Mapping[bytes, Callable[[Request], None]]:
        """Return the handlers of POST by path."""

    def checks(self) -> Sequence[Check]:
        """Return the checks of readiness that only this part has."""
        return ()

    @abstractmethod
    async def start(self) -> None:
        """Open what is needed before the first request. Raises OperatorError if it cannot be."""

    @abstractmethod
    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 (each step bounds itself)
        """Finish what is in flight, within ``timeout`` seconds, and close. No request is open any more."""

    def reload(self, reloaded: Reloaded) -> None:
        """Use other settings and keys."""
        self.metrics.emitter.add(wiring.known_emitters(reloaded.settings, reloaded.keyring))

    def syslog(self, context: WorkerContext, tls: ssl.SSLContext | None) -> SyslogListener | None:  # noqa: ARG002
        """Return the syslog listener in front of this part, None if there is none."""
        return None

    def sample(self) -> None:  # noqa: B027 - not every part has gauges
        """Bring the gauges of this part up to date."""

    def count_refusal(self, refusal: Refusal, _peer: str) -> None:
        """Count a refusal that the HTTP layer issued before it was known whose request it was."""
        self.metrics.rejected(refusal.reason, UNKNOWN_EMITTER)


class IngestPart(Part):
    """The Ingest Gateway: pipeline, sink and housekeeping."""

    name = "ingest"

    def __init__(
        self,
        settings: Settings,
        context: WorkerContext,
        state: StateStore,
        emitters: frozenset[str],
        on_failure: Callable[[], object],
        queue: WorkQueue,
    ) -> None:
        metrics = IngestMetrics(context.registry, emitters)
        super().__init__(metrics)
        self._queued: Final = metrics.queued
        self._queue: Final = queue
        self._storage = Storage(settings, context, state, metrics, on_failure=on_failure)
        queue.before_each_slice(self._storage.give_way)
        self._encryptor: Encryptor | None = wiring.encryptor(settings)
        normaliser = wiring.normaliser(settings, self._encryptor)
        self.pipeline: Final = wiring.pipeline(settings, normaliser, self._storage.sink, state, metrics, queue)
        self._gateway = IngestGateway(
            pipeline=self.pipeline,
            metrics=metrics,
            max_body_bytes=settings.backpressure.max_body_bytes,
            max_items=settings.backpressure.max_items,
            queue=queue,
            dedup=frozenset(settings.dedup.by_body),
        )

    def sample(self) -> None:
        """Bring the length of the queue up to date."""
        self._queued.set(len(self._queue))

    def routes(self) -> Mapping[bytes, Callable[[Request], None]]:
        """Return the handlers of POST by path."""
        handle = self._gateway.handle
        return {b"/v1/logs": handle, LOKI_PATH: handle}

    def checks(self) -> Sequence[Check]:
        """Return the check of the sink."""
        return (self._sink_check,)

    async def start(self) -> None:
        """Open and recover the sink. Raises SinkStartError."""
        threading.Thread(target=zones.load, name="time-zones", daemon=True).start()
        await self._storage.start()

    async def finish(self, timeout: float) -> None:  # noqa: ARG002, ASYNC109 (the worker bounds it)
        """Flush the sink and close it."""
        await self._storage.close()

    def reload(self, reloaded: Reloaded) -> None:
        """Use other emitters and Fernet keys."""
        super().reload(reloaded)
        self._gateway.dedup = frozenset(reloaded.settings.dedup.by_body)
        if self._encryptor is not None and reloaded.fernet_keys:
            self._encryptor.replace_keys(reloaded.fernet_keys)

    def _sink_check(self) -> Refusal | None:
        problem = self._storage.sink.problem
        return Refusal(503, problem.reason, f"Nothing can be stored: {problem.text}", 1) if problem else None


class AuthPart(Part):
    """The Auth Gateway in front of ``downstream``."""

    name = "authgw"

    def __init__(
        self,
        settings: Settings,
        state: StateStore,
        keyring: Keyring,
        metrics: AuthMetrics,
        downstream: Downstream,
        queue: WorkQueue,
        read_ahead: ReadAhead | None = None,
    ) -> None:
        super().__init__(metrics)
        self._settings = settings
        self._auth_metrics = metrics
        self._gateway = wiring.auth_gateway(settings, keyring, state, downstream, metrics, queue, read_ahead)
        self._forwards = False

    def routes(self) -> Mapping[bytes, Callable[[Request], None]]:
        """Return the handlers of POST by path."""
        handle = self._gateway.handle
        return {b"/ingest": handle, b"/v1/logs": handle, LOKI_PATH: handle}

    def syslog(self, context: WorkerContext, tls: ssl.SSLContext | None) -> SyslogListener | None:
        """Return the listener whose lines take the same way as the requests that have passed the checks."""
        if not self._settings.syslog.enabled:
            return None
        server = wiring.syslog_server(
            self._settings, self._gateway, self._auth_metrics, context.registry, repeatable=self._forwards
        )
        return SyslogListener(server, context.listeners, tls, successor=context.successor)

    async def start(self) -> None:
        """Nothing to open: connections to the Ingest Gateway are made as they are needed."""

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 (nothing to bound)
        """Nothing to finish: in one process the Ingest Gateway does."""

    def reload(self, reloaded: Reloaded) -> None:
        """Use other clients and limits."""
        super().reload(reloaded)
        if reloaded.keyring is not None:
            wiring.reload_auth(self._gateway, reloaded.settings, reloaded.keyring)

    def sample(self) -> None:
        """Show the breaker as closed: in one process there is none."""
        self._auth_metrics.breaker_state.set(float(BreakerState.CLOSED))


class ForwardingAuthPart(AuthPart):
    """The Auth Gateway that forwards over HTTP, with its circuit breaker."""

    def __init__(self, settings: Settings, state: StateStore, keyring: Keyring, metrics: AuthMetrics) -> None:
        self._forwarder, self._pool = wiring.forwarder(settings, metrics)
        super().__init__(settings, state, keyring, metrics, self._forwarder, wiring.work_queue(settings))
        self._forwards = True

    def checks(self) -> Sequence[Check]:
        """Return the check of the circuit breaker."""
        return (self._breaker_check,)

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 (it is the bound of one step)
        """Wait for the last answers of the Ingest Gateway, then close the connections to it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._forwarder.emptied().wait(), timeout)
        await self._pool.aclose()

    def sample(self) -> None:
        """Show the state of the breaker."""
        self._auth_metrics.breaker_state.set(float(self._forwarder.breaker.state))

    def _breaker_check(self) -> Refusal | None:
        return None if self._forwarder.ready else CIRCUIT_OPEN


def both(
    settings: Settings,
    context: WorkerContext,
    state: StateStore,
    keyring: Keyring,
    on_failure: Callable[[], object],
) -> tuple[Part, ...]:
    """Return the parts of ``logops up``. The Auth Gateway comes first, as it ends first."""
    emitters = wiring.known_emitters(settings, keyring)
    queue = wiring.work_queue(settings)  # one for both: it is the worker's time that is shared out
    ingest = IngestPart(settings, context, state, emitters, on_failure, queue)
    metrics = AuthMetrics(context.registry, emitters)
    pipeline = ingest.pipeline
    return AuthPart(settings, state, keyring, metrics, pipeline, queue, pipeline.read_ahead), ingest


def auth_only(settings: Settings, context: WorkerContext, state: StateStore, keyring: Keyring) -> tuple[Part, ...]:
    """Return the part of ``logops authgw``. Raises StartupError if ``forward.url`` is no URL."""
    metrics = AuthMetrics(context.registry, wiring.known_emitters(settings, keyring))
    return (ForwardingAuthPart(settings, state, keyring, metrics),)


def ingest_only(
    settings: Settings,
    context: WorkerContext,
    state: StateStore,
    keyring: Keyring | None,
    on_failure: Callable[[], object],
) -> tuple[Part, ...]:
    """Return the part of ``logops ingest``; the keyring, if there is one, only names emitters for metrics."""
    emitters = wiring.known_emitters(settings, keyring)
    return (IngestPart(settings, context, state, emitters, on_failure, wiring.work_queue(settings)),)
