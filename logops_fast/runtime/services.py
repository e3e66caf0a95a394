"""What a worker runs: the parts of its role, started, reloaded and drained in order."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, assert_never

from logops_fast.config.errors import ConfigError
from logops_fast.config.file_mode import mode_warnings
from logops_fast.config.keys_file import Keyring
from logops_fast.config.loader import load
from logops_fast.config.settings import Settings
from logops_fast.errors import OperatorError, StartupError
from logops_fast.http.budget import Budget
from logops_fast.http.refusal import Refusal
from logops_fast.http.routes import Router
from logops_fast.runtime import parts, wiring
from logops_fast.runtime.gateway_listener import GatewayListener
from logops_fast.runtime.heartbeat import READY, WorkerState
from logops_fast.runtime.parts import Part, Reloaded
from logops_fast.runtime.probes import Probes, Readiness
from logops_fast.runtime.worker import WorkerContext
from logops_fast.state.interface import StateStore
from logops_fast.telemetry import exposition
from logops_fast.telemetry.families import worker_connections

Role = Literal["up", "authgw", "ingest"]

SAMPLE_EVERY: Final = 0.5  # seconds between samples of the gauges
WATCH_EVERY: Final = 2.0  # seconds between looks at the keys file, with auth.watch_keys
DRAIN_MARGIN: Final = 1.0  # seconds of the drain timeout kept for the flush

STOPPING: Final = Refusal(503, "draining", "The gateway is stopping: send to another one, or wait for it.", 1)

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """What accepts on the sockets of some places, and hands what comes to a server."""

    @property
    def places(self) -> frozenset[int]:
        """The places that are served."""

    async def open(self, place: int) -> None:
        """Serve ``place`` too. Raises OSError if its socket cannot listen."""

    def close(self, place: int) -> None:
        """Leave ``place`` to another worker."""

    async def replace_tls(self, tls: ssl.SSLContext) -> None:
        """Use another certificate for new connections."""

    def stop_accepting(self) -> None:
        """Take no new connections."""

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 (what cancels would leave connections)
        """Finish what has arrived; return whether that took less than ``timeout`` seconds."""


@dataclass(frozen=True)
class Plan:
    """All that a worker needs to build its service; made before the fork, so that all workers have the same."""

    role: Role
    settings: Settings
    keyring: Keyring | None
    state: StateStore
    config: Path | None
    flags: Mapping[str, Any]
    keys_identity: tuple[int, ...] | None = None
    """Of the keys file that ``keyring`` was read from."""


async def build(plan: Plan, context: WorkerContext) -> GatewayService:
    """Return the service of a worker. Raises OperatorError."""
    return GatewayService(plan, context)


class GatewayService:
    """The gateways of one worker, their listeners, and everything they share."""

    def __init__(self, plan: Plan, context: WorkerContext) -> None:
        self._plan = plan
        self._context = context
        self._settings = settings = plan.settings
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._reload_lock = asyncio.Lock()
        self._wanted_places = frozenset({context.place})
        self._sampler: asyncio.TimerHandle | None = None
        self._warned = frozenset(warnings_of(settings, plan.keyring))
        self._parts = self._build_parts()
        checks = (self._draining_check, *(check for part in self._parts for check in part.checks()), self._state_check)
        self._readiness = Readiness(context.registry, checks)
        self._budget = Budget(wiring.http_limits(settings))
        self._connections = worker_connections(context.registry, context.place)
        tls = wiring.tls_context(settings)
        self._listeners: list[Listener] = [self._listener(part, tls) for part in self._parts]
        for part in self._parts:
            syslog = part.syslog(context, tls)
            if syslog is not None:
                self._listeners.append(syslog)

    def __repr__(self) -> str:
        return f"<GatewayService {self._plan.role} worker={self._context.place} {self._listeners}>"

    def _build_parts(self) -> tuple[Part, ...]:
        plan, context = self._plan, self._context
        keyring = plan.keyring or Keyring.of(())
        match plan.role:
            case "up":
                return parts.both(plan.settings, context, plan.state, keyring, self._storage_failed)
            case "authgw":
                return parts.auth_only(plan.settings, context, plan.state, keyring)
            case "ingest":
                return parts.ingest_only(plan.settings, context, plan.state, plan.keyring, self._storage_failed)
            case _:
                assert_never(plan.role)

    def _listener(self, part: Part, tls: ssl.SSLContext | None) -> GatewayListener:
        settings = self._settings
        router = Router(part.count_refusal)
        for path, handler in part.routes().items():
            router.add("POST", path, handler)
        for path, detail in parts.NOT_SERVED.items():
            router.add_absent(path, detail)
        if not settings.admin.only:
            Probes(self._readiness.refusal, self._render).route(router)
        server = wiring.http_server(router, wiring.http_limits(settings), self._budget, settings.server.trusted_proxies)
        return GatewayListener(server, self._context.listeners.get(part.name, ()), tls)

    async def start(self) -> None:
        """Open the sink and replay its journal, then accept connections. Raises OperatorError."""
        for part in reversed(self._parts):  # the Ingest Gateway before the Auth Gateway that sends to it
            await part.start()
        if self._context.successor:
            # The plan is from the start of the gateway: a client revoked by a reload since must not come back.
            await self._reload()
        for listener in self._listeners:
            try:
                await listener.open(self._context.place)
            except OSError as error:
                raise StartupError(f"cannot listen: {error.strerror or error}") from None
        self._sample()
        if self._settings.auth.watch_keys:
            self._spawn(self._watch_keys())

    async def drain(self) -> None:
        """Accept no more, finish what is in flight, flush. The worker bounds it by ``server.drain_timeout``."""
        self._draining = True
        for listener in self._listeners:
            listener.stop_accepting()
        self._context.publish(self.state())
        timeout = max(self._settings.server.drain_timeout - DRAIN_MARGIN, 0.1)
        await asyncio.gather(*(listener.drain(timeout) for listener in self._listeners))
        for part in self._parts:
            await part.finish(timeout)
        await self._plan.state.close()
        if self._sampler is not None:
            self._sampler.cancel()
        for task in [*self._tasks]:
            task.cancel()

    def state(self) -> WorkerState:
        """Return ``ready``, or the first reason why no batch can be taken here."""
        refusal = self._readiness.update()
        return WorkerState(READY) if refusal is None else WorkerState(refusal.reason, refusal.detail)

    # The places of silent workers

    def accept_for(self, places: frozenset[int]) -> None:
        """Accept the connections of these places besides its own."""
        self._wanted_places = places | {self._context.place}
        if not self._draining:
            self._spawn(self._settle_places())

    async def _settle_places(self) -> None:
        for listener in self._listeners:
            for place in self._wanted_places - listener.places:
                try:
                    await listener.open(place)
                except OSError as error:
                    logger.error("cannot accept the connections of worker %d: %s", place, error)  # noqa: TRY400
            for place in listener.places - self._wanted_places:
                listener.close(place)

    # Reload

    def reload(self) -> asyncio.Future[None]:
        """Read the configuration, keys and certificates again; what does not validate changes nothing."""
        return self._spawn(self._reload())

    async def _reload(self) -> None:
        async with self._reload_lock:
            try:
                # In a thread: the files may be on a disk that stalls.
                read = await asyncio.to_thread(self._read_again)
            except (OperatorError, OSError) as error:
                reason = error.located if isinstance(error, OperatorError) else str(error)
                logger.error("reload refused, nothing was changed: %s", reason)  # noqa: TRY400 - one line is enough
                return
            for part in self._parts:
                part.reload(read.reloaded)
            if read.tls is not None:
                for listener in self._listeners:
                    await listener.replace_tls(read.tls)
            warnings = frozenset(read.warnings)
            for warning in sorted(warnings - self._warned):
                logger.warning("%s", warning)
            self._warned = warnings
            keyring = read.reloaded.keyring
            logger.info("reloaded", extra={"clients": len(keyring.clients) if keyring is not None else 0})

    def _read_again(self) -> _Read:
        """Read and check everything that a reload replaces. Raises OperatorError or OSError."""
        settings = load(self._plan.config, os.environ, self._plan.flags).settings
        keyring = read_keyring(settings) if self._plan.role != "ingest" else None
        reloaded = Reloaded(settings, keyring, wiring.fernet_keys(settings) if settings.pii.encrypt else ())
        tls = wiring.tls_context(settings)
        if bool(settings.tls.cert_file) != bool(self._settings.tls.cert_file):
            raise ConfigError("tls.cert_file: switching TLS on or off needs a restart")
        return _Read(reloaded, tls, warnings_of(settings, keyring))

    async def _watch_keys(self) -> None:
        path = Path(self._settings.auth.keys_file)
        # Of the file that was read: it may have changed before the worker came to look.
        before = self._plan.keys_identity or await asyncio.to_thread(identity, path)
        while True:
            await asyncio.sleep(WATCH_EVERY)
            now = await asyncio.to_thread(identity, path)
            if now not in (before, None):  # None: it is being replaced
                before = now
                await self._reload()

    def _spawn(self, coroutine: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of the service failed", exc_info=error)

    # Readiness and gauges

    def _draining_check(self) -> Refusal | None:
        return STOPPING if self._draining else None

    def _state_check(self) -> Refusal | None:
        unhealthy = self._plan.state.healthy()
        return (
            Refusal(503, "state_unavailable", f"The state store cannot be used: {unhealthy}", 1) if unhealthy else None
        )

    def _storage_failed(self) -> None:
        self._readiness.update()

    def _sample(self) -> None:
        # Gauges are sampled, so that a request pays nothing for them.
        self._set_gauges()
        self._readiness.update()
        self._sampler = asyncio.get_running_loop().call_later(SAMPLE_EVERY, self._sample)

    def _set_gauges(self) -> None:
        metrics = self._parts[0].metrics  # the budget is the process's; in `up` it is shown for the Auth Gateway
        metrics.inflight.set(self._budget.inflight_requests)
        metrics.inflight_bytes.set(self._budget.inflight_bytes)
        self._connections.set(self._budget.connections)
        for part in self._parts:
            part.sample()

    def _render(self, accept: bytes | None) -> tuple[bytes, bytes]:
        self._set_gauges()
        return exposition.render(self._context.registry, accept)


class _Read(NamedTuple):
    """What a reload has read."""

    reloaded: Reloaded
    tls: ssl.SSLContext | None
    warnings: tuple[str, ...]


def read_keyring(settings: Settings) -> Keyring:
    """Return the clients; in mode ``none`` there need not be any. Raises ConfigError."""
    path = Path(settings.auth.keys_file)
    if settings.auth.mode == "none" and not path.exists():
        return Keyring.of(())
    return Keyring.load(path)


def warnings_of(settings: Settings, keyring: Keyring | None) -> tuple[str, ...]:
    """Return the warnings about the files of secrets: modes that are too wide, and those of the keys file."""
    found = list(keyring.warnings) if keyring is not None else []
    if settings.pii.encrypt and not settings.pii.fernet_key:
        found += mode_warnings(Path(settings.pii.fernet_keys_file), 0o077)
    if settings.tls.key_file:
        # Group-readable is common for TLS keys (ssl-cert on Debian).
        found += mode_warnings(Path(settings.tls.key_file), 0o007)
    return tuple(found)


def identity(path: Path) -> tuple[int, ...] | None:
    """Return what changes with a file: inode, size and time of its change; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode
