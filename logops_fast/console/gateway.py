"""Reads the admin listeners of the gateway and the shipper, once a second, for all pages together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from logops_fast.config.slo import Slo
from logops_fast.console import live
from logops_fast.http.client import ClientError
from logops_fast.http.pool import Endpoint, HttpPool
from logops_fast.telemetry.scrape import Scrape, parse

INTERVAL: Final = 1.0
"""Seconds between two readings."""
_TIMEOUT: Final = 5.0


class GatewayMonitor:
    """Holds what the live page shows. ``problem`` is a sentence while the gateway cannot be read, else empty.

    ``admin`` and ``ship`` are the URLs of the two admin listeners; times are those of ``clock``, in epoch seconds.
    """

    def __init__(self, admin: str, ship: str, slo: Slo, *, clock: Callable[[], float] = time.time) -> None:
        self.slo: Final = slo
        self.history = live.History(slo)
        self.problem = "The first reading has not come yet."
        self._admin = admin
        self._pools = (HttpPool(admin, read_timeout=_TIMEOUT), HttpPool(ship, read_timeout=_TIMEOUT))
        self._clock = clock
        self._readyz: dict[str, Any] = {}
        self._ship: Scrape | None = None
        self.version = 0
        """Grows with each reading."""

    def checks(self) -> Sequence[live.Check]:
        """Return the lines of the health panel."""
        if self.problem:
            return [live.Check("gateway", "bad", self.problem), live.shipper(self._ship)]
        return [*live.workers(self._readyz), *self.history.checks(), live.shipper(self._ship)]

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                began = time.monotonic()
                await self.read()
                await asyncio.sleep(max(0.0, began + INTERVAL - time.monotonic()))
        finally:
            for pool in self._pools:
                await pool.aclose()

    async def read(self) -> None:
        """Read both once."""
        gateway, ship = self._pools
        self._ship = await self._scrape(ship)
        try:
            answer = await gateway.request(b"GET", b"/metrics", timeout=_TIMEOUT)
            scrape = parse(answer.body.decode("utf-8", "replace"), self._clock())
            ready = await gateway.request(b"GET", b"/readyz", timeout=_TIMEOUT)
            readyz = orjson.loads(ready.body)
        except ClientError as error:
            self._fail(
                f"Nothing answers at {self._admin} ({error.kind}): is `logops up` running?"
            )
        except ValueError:
            self._fail(f"What answers at {self._admin} is not a LogOps admin listener: see admin.port.")
        else:
            self.history.add(live.Reading.of(scrape))
            self._readyz = readyz if isinstance(readyz, dict) else {}
            self.problem = ""
        self.version += 1

    def _fail(self, problem: str) -> None:
        self.problem = problem
        self.history.fail()

    async def _scrape(self, pool: HttpPool) -> Scrape | None:
        try:
            answer = await pool.request(b"GET", b"/metrics", timeout=_TIMEOUT)
            return parse(answer.body.decode("utf-8", "replace"), self._clock())
        except (ClientError, ValueError):
            return None


def admin_url(host: str, port: int) -> str:
    """Return the URL of a listener of this machine. Raises ValueError if its port is chosen by the kernel."""
    if not port:
        raise ValueError("its port is 0, which only the gateway's log knows")
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    url = f"http://{name}:{port}"
    Endpoint.parse(url)
    return url
