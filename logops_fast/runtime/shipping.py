"""``logops ship``: the shipper composed of settings, and as the service of a supervised worker."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from logops_fast.config.settings import Settings, ship_dir
from logops_fast.errors import StartupError
from logops_fast.http.pool import HttpPool
from logops_fast.ingest.sink.acknowledged import Acknowledged
from logops_fast.runtime.heartbeat import DRAINING, READY, WorkerState
from logops_fast.runtime.worker import WorkerContext
from logops_fast.shipper.entries import EntryMaker
from logops_fast.shipper.ledger import ShipOptions
from logops_fast.shipper.loki import Credentials, Loki
from logops_fast.shipper.metrics import ShipMetrics
from logops_fast.shipper.positions import FILE, foreign_positions
from logops_fast.shipper.push_request import SECOND
from logops_fast.shipper.shipper import Shipper
from logops_fast.telemetry.registry import Registry

ADMIN_PORT: Final = 8091
"""Where the admin listener of the shipper is by default, beside those of the gateways."""
MAX_ANSWER: Final = 64 << 20
"""Bytes of an answer to a question: 4 MiB of lines, as JSON, with what other entries are in its range."""

logger = logging.getLogger(__name__)


def loki(settings: Settings) -> Loki:
    """Return the client of Loki. Raises StartupError, naming the setting that cannot be used."""
    ship = settings.ship

    def credentials() -> Credentials:
        return Credentials(
            tenant=ship.tenant,
            username=ship.username,
            password=ship.password or _secret(ship.password_file),
            token=ship.token or _secret(ship.token_file),
        )

    try:
        pool = HttpPool(
            ship.url,
            connect_timeout=ship.connect_timeout,
            read_timeout=ship.timeout,
            max_body=MAX_ANSWER,
            ssl=_tls(ship.ca_file),
            proxy=ship.proxy,
        )
        return Loki(pool, ship.url, credentials, query_limit=ship.query_limit)
    except ValueError as error:
        raise StartupError(f"ship: {error}") from None


def maker(settings: Settings) -> Callable[[], EntryMaker]:
    """Return what makes the makers of entries."""
    ship = settings.ship
    return lambda: EntryMaker(ship.metadata, ship.app_labels, ship.max_emitters)


def options(settings: Settings, import_positions: Path | None = None) -> ShipOptions:
    """Return how to ship. Raises PositionsError if those to import cannot be read."""
    ship = settings.ship
    return ShipOptions(
        directory=Path(settings.sink.dir),
        state=ship_dir(settings),
        machine=ship.machine,
        hostname=socket.gethostname() or "localhost",
        from_beginning=ship.start == "beginning",
        imported=None if import_positions is None else foreign_positions(import_positions),
        chunk_bytes=ship.batch_bytes,
        poll_interval=ship.poll_interval,
        settle=ship.settle,
        base_delay=ship.base_delay,
        max_delay=max(ship.base_delay, ship.max_delay),
        may_query=ship.query,
        query_within=int(ship.query_within * SECOND),
    )


def positions_file(settings: Settings) -> Path:
    """Return where the positions are; once they exist, ``ship.start`` no longer applies."""
    return ship_dir(settings) / FILE


def shipper(settings: Settings, registry: Registry, import_positions: Path | None = None) -> Shipper:
    """Return the shipper of the sink's directory. Raises StartupError."""
    metrics = ShipMetrics(registry)
    metrics.limit_bytes.set(settings.housekeeping.max_total_bytes)
    return Shipper(
        options(settings, import_positions),
        Acknowledged(Path(settings.sink.dir)),
        loki(settings),
        maker(settings),
        metrics,
    )


class ShipService:
    """The shipper in a worker of the supervisor, which answers the probes and restarts it."""

    def __init__(self, settings: Settings, context: WorkerContext, import_positions: Path | None) -> None:
        # A successor finds the positions of the process before it, and imports none.
        imported = None if context.successor else import_positions
        self._shipper = shipper(settings, context.registry, imported)
        self._draining = False
        self._reloading: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<ShipService {self._shipper!r}>"

    async def start(self) -> None:
        """Begin to ship. Raises StartupError."""
        await self._shipper.start()

    async def drain(self) -> None:
        """Finish the pushes under way, within seconds, and save the positions."""
        self._draining = True
        await self._shipper.stop()

    def reload(self) -> asyncio.Future[None]:
        """Read the files of ``ship.token_file`` and ``ship.password_file`` again.

        Everything else changes by a restart, which loses and duplicates nothing.
        """
        self._reloading = asyncio.ensure_future(self._reload())
        return self._reloading

    async def _reload(self) -> None:
        try:
            changed = await self._shipper.renew_credentials()
        except ValueError as error:
            logger.error("reload refused, nothing was changed: ship: %s", error)  # noqa: TRY400 - one line is enough
        else:
            what = "the credentials of Loki have changed" if changed else "the credentials of Loki are the same"
            logger.info("reloaded: %s; other settings take effect at the next start", what)

    def state(self) -> WorkerState:
        """Return ``ready``, or why lines do not get to Loki."""
        if self._draining:
            return WorkerState(DRAINING)
        trouble = self._shipper.trouble
        return WorkerState(READY) if trouble is None else WorkerState(trouble.reason, trouble.text)

    def accept_for(self, places: frozenset[int]) -> None:
        """There are no connections to accept."""


def _secret(path: str) -> str:
    """Return the secret in a file, without the white space around it. Raises ValueError."""
    if not path:
        return ""
    try:
        secret = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if not secret:  # perhaps it is being replaced at this moment
        raise ValueError(f"{path} is empty")
    return secret


def _tls(ca_file: str) -> ssl.SSLContext | None:
    """Return the context of https; None for what the system trusts. Raises ValueError."""
    if not ca_file:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(f"ship.ca_file {ca_file} cannot be used: {error}") from None
