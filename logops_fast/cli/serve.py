"""The common part of `up`, `authgw` and `ingest`: from the command line to supervised workers."""

from __future__ import annotations

import argparse
import logging
import os
import socket
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from logops_fast.cli.options import load_settings
from logops_fast.config.addresses import address_of
from logops_fast.config.keys_file import Keyring, make_demo_keys
from logops_fast.config.loader import Loaded
from logops_fast.config.settings import Settings, worker_count
from logops_fast.errors import StartupError
from logops_fast.runtime.listeners import PortName, bind_listener, bind_listeners

INGEST_ADMIN_PORT: Final = 8090
"""Where the admin listener of a lone Ingest Gateway is by default, so that both gateways fit on one machine."""

if TYPE_CHECKING:
    from logops_fast.runtime.pid_file import PidFile

ADMIN: Final = "admin"

Role = Literal["up", "authgw", "ingest"]

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser, gateways: Iterable[str]) -> None:
    """Add the flags of a server."""
    parser.add_argument("--workers", metavar="N", help="worker processes, or auto for one per core (default: 1)")
    for gateway in gateways:
        name = "Auth" if gateway == "authgw" else "Ingest"
        parser.add_argument(f"--{gateway}-host", metavar="HOST", help=f"address the {name} Gateway listens on")
        parser.add_argument(f"--{gateway}-port", metavar="PORT", type=int, help="its port (0: any free one)")
    if "ingest" in gateways:
        parser.add_argument("--sink-dir", metavar="DIR", help="directory of the NDJSON files")
        parser.add_argument("--durability", choices=("fsync", "written"), help="what a 200 answer guarantees")


def flags_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that flags give, by dotted path."""
    workers = getattr(args, "workers", None)
    flags: dict[str, Any] = {
        "server.workers": int(workers) if workers is not None and workers.isdigit() else workers,
        "sink.dir": getattr(args, "sink_dir", None),
        "sink.durability": getattr(args, "durability", None),
    }
    for gateway in ("authgw", "ingest"):
        flags[f"{gateway}.host"] = getattr(args, f"{gateway}_host", None)
        flags[f"{gateway}.port"] = getattr(args, f"{gateway}_port", None)
    return {path: value for path, value in flags.items() if value is not None}


def serve(args: argparse.Namespace, role: Role) -> int:
    """Load the settings, check everything that can be checked, then fork; return the exit code.

    Raises OperatorError, before anything runs.
    """
    flags = flags_of(args)
    loaded = load_settings(args, flags, quiet=True)
    return run(loaded, role, flags)


def run(loaded: Loaded, role: Role, flags: dict[str, Any]) -> int:
    """Run a role with loaded settings until a signal stops it; return the exit code."""
    # What only a server needs is imported here, so that the other commands start fast.
    from logops_fast.runtime import services, state_size, wiring
    from logops_fast.runtime.notify import Notifier
    from logops_fast.runtime.supervisor import Supervision, run_supervised
    from logops_fast.runtime.worker import WorkerContext, run_worker
    from logops_fast.state.factory import open_state
    from logops_fast.telemetry import logs

    settings = loaded.settings
    logs.configure(settings.logging.level, settings.logging.format, blocking=False)
    wiring.tls_context(settings)
    if role != "authgw":
        wiring.encryptor(settings)
    workers = worker_count(settings)
    listeners, admin = _listen(loaded, role, workers)
    keys_file = Path(settings.auth.keys_file)
    keys_identity = services.identity(keys_file)  # before it is read: a change from here on is one to reload
    keyring = _keyring(loaded, role)  # after the ports: a start that fails on a taken one creates no file
    directory = state_size.state_dir(settings, role)
    if settings.state.backend in ("auto", "shared"):
        logger.debug("state in %s", directory)
    try:
        state = open_state(
            settings.state.backend,
            workers=workers,
            directory=directory,
            redis_url=settings.state.redis_url,
            tolerance=settings.auth.clock_tolerance,
            caps=state_size.state_caps(settings, role),
            log=logger.warning,
            exclusive=workers == 1,
            redis_allow_eviction=settings.state.redis_allow_eviction,
            redis_password_file=settings.state.redis_password_file,
        )
    except ValueError as error:
        raise StartupError(str(error)) from None
    for warning in (*loaded.warnings, *state_size.sizing_warnings(settings), *services.warnings_of(settings, keyring)):
        logger.warning("%s", warning)
    pid_file = _pid_file(settings)
    plan = services.Plan(
        role, settings, keyring, state, loaded.path, flags, keys_identity or services.identity(keys_file)
    )

    def main(context: WorkerContext) -> int:
        if pid_file is not None:
            pid_file.close_in_child()
        return run_worker(context, partial(services.build, plan), drain_timeout=settings.server.drain_timeout)

    try:
        return run_supervised(
            workers,
            main,
            Supervision(
                drain_timeout=settings.server.drain_timeout,
                worker_timeout=settings.server.worker_timeout,
                listeners=listeners,
                admin=admin,
                on_ready=partial(_announce, settings, listeners, admin, state_size.state_warnings(settings, role)),
                notifier=Notifier.of(os.environ, os.getpid()),
            ),
        )
    finally:
        if pid_file is not None:
            pid_file.remove()


def _pid_file(settings: Settings) -> PidFile | None:
    """Write the pid file, if it can be written: nothing but `logops reload` needs it."""
    from logops_fast.runtime.pid_file import PidFile

    if not settings.server.pid_file:
        return None
    try:
        return PidFile.write(Path(settings.server.pid_file))
    except StartupError as error:
        logger.info("no pid file: %s", error)
        return None


class Address(NamedTuple):
    """Where to listen: ``part`` is the gateway, the syslog transport, or ``admin``; ``name`` is for people."""

    part: str
    name: PortName
    host: str
    port: int
    kind: socket.SocketKind = socket.SOCK_STREAM

    def bind(self, workers: int) -> list[socket.socket]:
        """Bind a socket for each worker; the admin listener has one, which listens. Raises StartupError."""
        if self.part == ADMIN:
            return [bind_listener(self.host, self.port, name=self.name)]
        return bind_listeners(self.host, self.port, workers, self.kind, name=self.name)


def addresses(loaded: Loaded, role: Role) -> list[Address]:
    """Return where a role listens; the admin listener is the last one."""
    settings = loaded.settings
    found = []
    for gateway in ("authgw", "ingest"):
        if role in ("up", gateway):
            address = getattr(settings, gateway)
            name = PortName(f"{gateway}.port", f"--{gateway}-port")
            found.append(Address(gateway, name, address.host, address.port))
    if role != "ingest" and settings.syslog.enabled:
        found += _syslog_addresses(settings)
    port = settings.admin.port
    if role == "ingest" and loaded.provenance["admin.port"] == "default":
        port = INGEST_ADMIN_PORT
    return [*found, Address(ADMIN, PortName("admin.port"), settings.admin.host, port)]


def _syslog_addresses(settings: Settings) -> list[Address]:
    from logops_fast.runtime.syslog_listener import TCP, TLS, UDP

    found = []
    for name, setting in ((TCP, "tcp"), (TLS, "tls"), (UDP, "udp")):
        address = address_of(getattr(settings.syslog, setting))
        if address is not None:
            kind = socket.SOCK_DGRAM if name == UDP else socket.SOCK_STREAM
            found.append(Address(name, PortName(f"syslog.{setting}"), address.host, address.port, kind))
    return found


def _listen(loaded: Loaded, role: Role, workers: int) -> tuple[dict[str, list[socket.socket]], socket.socket]:
    """Bind the ports of the role's gateways and of the admin listener. Raises StartupError."""
    *parts, admin = addresses(loaded, role)
    return {one.part: one.bind(workers) for one in parts}, admin.bind(1)[0]


def _keyring(loaded: Loaded, role: Role) -> Keyring | None:
    """Return the clients; `up` with no configuration creates one, and logs it."""
    from logops_fast.runtime.services import read_keyring

    settings = loaded.settings
    path = Path(settings.auth.keys_file)
    if role == "ingest":
        # It authenticates no client; if it can read the file, the emitters in it become labels of the metrics.
        return Keyring.load(path) if path.exists() and os.access(path, os.R_OK) else None
    if role == "up" and not path.exists() and loaded.provenance["auth.keys_file"] == "default":
        client = make_demo_keys(path, token=settings.auth.mode in ("any", "api_key"))
        logger.info("created %s (mode 0600) with one random client, %s", path, client.id)
    return read_keyring(settings)


def _announce(
    settings: Settings, listeners: dict[str, list[socket.socket]], admin: socket.socket, warnings: list[str]
) -> None:
    for warning in warnings:
        logger.warning("%s", warning)
    scheme = "https" if settings.tls.cert_file else "http"
    names = {"authgw": ("Auth Gateway", "/ingest"), "ingest": ("Ingest Gateway", "/v1/logs")}
    for gateway, sockets in listeners.items():
        if gateway not in names:
            host, port = sockets[0].getsockname()[:2]
            logger.info("syslog over %s on %s:%d", gateway.removeprefix("syslog_").upper(), host, port)
            continue
        name, path = names[gateway]
        host = getattr(settings, gateway).host
        logger.info("%s on %s://%s:%d%s", name, scheme, host, sockets[0].getsockname()[1], path)
    logger.info("process %d; SIGHUP reloads keys, limits and certificates", os.getpid())
    logger.info("admin listener on http://%s:%d/readyz", settings.admin.host, admin.getsockname()[1])
    if "ingest" in listeners:
        if settings.sink.enabled:
            logger.info("storing in %s, durability %s", settings.sink.dir, settings.sink.durability)
        else:
            logger.warning("sink.enabled is false: nothing is stored")
