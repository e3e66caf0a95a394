"""The settings: the whole of ``logops.yaml``, a frozen, typed struct for each section (``sections/``).

The types are the single description of the configuration: names, defaults, bounds and units. The loader checks against
them, ``logops config`` prints them and the reference page is generated from them: the ``Meta`` of each field has its
description and unit. Paths are text and relative to the working directory.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import field

from logops_fast.config.sections.auth import AuthSettings
from logops_fast.config.sections.base import Section
from logops_fast.config.sections.forward import BreakerSettings, ForwardSettings
from logops_fast.config.sections.limits import BackpressureSettings, RateLimitSettings
from logops_fast.config.sections.listeners import (
    AdminListen,
    AuthGatewayListen,
    ConsoleSettings,
    IngestGatewayListen,
    TlsSettings,
)
from logops_fast.config.sections.logging import LoggingSettings
from logops_fast.config.sections.parse import NormaliseSettings, ParseSettings
from logops_fast.config.sections.pii import PiiSettings
from logops_fast.config.sections.server import ServerSettings
from logops_fast.config.sections.ship import ShipSettings
from logops_fast.config.sections.state import DedupSettings, StateSettings
from logops_fast.config.sections.storage import HousekeepingSettings, SinkSettings
from logops_fast.config.sections.syslog import SyslogSettings


class Settings(Section, frozen=True):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    admin: AdminListen = AdminListen()
    authgw: AuthGatewayListen = AuthGatewayListen()
    ingest: IngestGatewayListen = IngestGatewayListen()
    auth: AuthSettings = AuthSettings()
    ratelimit: RateLimitSettings = field(default_factory=RateLimitSettings)
    backpressure: BackpressureSettings = BackpressureSettings()
    syslog: SyslogSettings = field(default_factory=SyslogSettings)
    forward: ForwardSettings = ForwardSettings()
    breaker: BreakerSettings = BreakerSettings()
    state: StateSettings = StateSettings()
    dedup: DedupSettings = field(default_factory=DedupSettings)
    parse: ParseSettings = field(default_factory=ParseSettings)
    normalise: NormaliseSettings = field(default_factory=NormaliseSettings)
    pii: PiiSettings = field(default_factory=PiiSettings)
    sink: SinkSettings = SinkSettings()
    ship: ShipSettings = field(default_factory=ShipSettings)
    housekeeping: HousekeepingSettings = HousekeepingSettings()
    tls: TlsSettings = TlsSettings()
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    logging: LoggingSettings = LoggingSettings()


def worker_count(settings: Settings) -> int:
    """Return the number of worker processes: `server.workers`, with `auto` as the cores this process may use."""
    workers = settings.server.workers
    if workers != "auto":
        return workers
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def ship_dir(settings: Settings) -> Path:
    """Return where the shipper keeps its positions and unshippable lines."""
    return Path(settings.ship.dir) if settings.ship.dir else Path(settings.sink.dir) / "ship"
