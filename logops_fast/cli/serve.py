"""What `up`, `authgw` and `ingest` share: from a command line to supervised workers."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from logops_fast.cli.options import load_settings
from logops_fast.config.keys_file import Keyring, make_demo_keys
from logops_fast.config.loader import Loaded
from logops_fast.config.settings import Settings, worker_count

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser, doors: Iterable[str]) -> None:
    """The flags of a server."""
    parser.add_argument("--workers", metavar="N", help="worker processes, or auto for one a core (default: 1)")
    for door in doors:
        name = "Auth" if door == "authgw" else "Ingest"
        parser.add_argument(f"--{door}-host", metavar="HOST", help=f"where the {name} Gateway listens")
        parser.add_argument(f"--{door}-port", metavar="PORT", type=int, help="its port (0: any free one)")
    if "ingest" in doors:
        parser.add_argument("--sink-dir", metavar="DIR", help="directory of the NDJSON files")
        parser.add_argument("--durability", choices=("fsync", "written"), help="what an answer promises")


def flags_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that flags give, by dotted path."""
    workers = getattr(args, "workers", None)
    flags: dict[str, Any] = {
        "server.workers": int(workers) if workers is not None and workers.isdigit() else workers,
        "sink.dir": getattr(args, "sink_dir", None),
        "sink.durability": getattr(args, "durability", None),
    }
    for door in ("authgw", "ingest"):
        flags[f"{door}.host"] = getattr(args, f"{door}_host", None)
        flags[f"{door}.port"] = getattr(args, f"{door}_port", None)
    return {path: value for path, value in flags.items() if value is not None}


def serve(args: argparse.Namespace, role: str) -> int:
    """Settle, check all that can be checked, then fork. The exit code.

    Raises ConfigError, StartupError or StateError, each one line, before anything runs.
    """
    flags = flags_of(args)
    loaded = load_settings(args, flags, quiet=True)
    return run(loaded, role, flags)


def run(loaded: Loaded, role: Any, flags: dict[str, Any]) -> int:
    """Run a role with a settled configuration until it is told to stop."""
    # What only a server needs is imported here; the other commands stay light.
    from logops_fast.errors import StartupError
    from logops_fast.runtime import services, wiring
    from logops_fast.runtime.supervisor import reserve_port, run_supervised
    from logops_fast.runtime.worker import WorkerContext, run_worker
    from logops_fast.state.factory import open_state
    from logops_fast.telemetry import logs

    settings = loaded.settings
    logs.configure(settings.logging.level, settings.logging.format)
    keyring = _keyring(loaded, role)
    for warning in (*loaded.warnings, *(keyring.warnings if keyring is not None else ())):
        log.warning("%s", warning)
    wiring.tls_context(settings)
    if role != "authgw":
        wiring.normaliser(settings)
    workers = worker_count(settings)
    with contextlib.ExitStack() as held:
        ports = {"authgw": settings.authgw.port, "ingest": settings.ingest.port}
        for door in ports:
            if role in ("up", door):
                listen = getattr(settings, door)
                reserved: socket.socket = held.enter_context(reserve_port(listen.host, listen.port))
                ports[door] = reserved.getsockname()[1]
        try:
            state = open_state(
                settings.state.backend,
                workers=workers,
                directory=wiring.state_dir(settings, role),
                redis_url=settings.state.redis_url,
                tolerance=settings.auth.clock_tolerance,
                caps=wiring.state_caps(settings, role),
                log=log.warning,
                exclusive=workers == 1,
                redis_allow_eviction=settings.state.redis_allow_eviction,
            )
        except ValueError as error:
            raise StartupError(str(error)) from None
        for warning in wiring.sizing_warnings(settings):
            log.warning("%s", warning)
        plan = services.Plan(role, settings, keyring, state, ports["authgw"], ports["ingest"], loaded.path, flags)

        def main(context: WorkerContext) -> int:
            return run_worker(context, partial(services.build, plan), drain_timeout=settings.server.drain_timeout)

        return run_supervised(
            workers,
            main,
            drain_timeout=settings.server.drain_timeout,
            on_ready=partial(_announce, settings, role, ports),
        )


def _keyring(loaded: Loaded, role: str) -> Keyring | None:
    """The clients; `up` with no configuration makes one, and says so."""
    from logops_fast.runtime.services import read_keyring

    settings = loaded.settings
    path = Path(settings.auth.keys_file)
    if role == "ingest":
        # It authenticates nobody; where the file is at hand, its emitters become labels of the metrics.
        return Keyring.load(path) if path.exists() and os.access(path, os.R_OK) else None
    if role == "up" and not path.exists() and loaded.provenance["auth.keys_file"] == "default":
        client = make_demo_keys(path)
        log.info("made %s (mode 0600) with one random client, %s", path, client.id)
    return read_keyring(settings)


def _announce(settings: Settings, role: str, ports: dict[str, int]) -> None:
    scheme = "https" if settings.tls.cert_file else "http"
    if role != "ingest":
        log.info("Auth Gateway on %s://%s:%d/ingest", scheme, settings.authgw.host, ports["authgw"])
    if role != "authgw":
        log.info("Ingest Gateway on %s://%s:%d/v1/logs", scheme, settings.ingest.host, ports["ingest"])
        if settings.sink.enabled:
            log.info("storing in %s, durability %s", settings.sink.dir, settings.sink.durability)
        else:
            log.warning("sink.enabled is false: nothing is stored")
