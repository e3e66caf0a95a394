"""Reads the admin listeners once a second, for all pages together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from logops_fast.config.slo import Slo
from logops_fast.console.live import Timeline
from logops_fast.telemetry.overview import History, Overview, Reading, merged

INTERVAL: Final = 1.0
"""Seconds between two readings."""

Read = Callable[[], Sequence[Reading]]
"""Asks the listeners, as long as that takes. It is called in a thread."""


class Monitor:
    """Holds the latest figures and the timeline. ``version`` grows with each reading, from 0 before the first."""

    def __init__(self, read: Read, slo: Slo) -> None:
        self.slo: Final = slo
        self.overview: Overview | None = None
        self.timeline: Final = Timeline()
        self.version = 0
        self._read = read
        self._history = History(slo.p95_window, slo.threshold)

    @property
    def answers(self) -> bool:
        """Whether a gateway answered the last time."""
        return self.overview is not None and bool(self.overview.version)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            began = time.monotonic()
            self.take(await asyncio.to_thread(self._read), time.time())
            await asyncio.sleep(max(0.0, began + INTERVAL - time.monotonic()))

    def take(self, readings: Sequence[Reading], wall: float) -> None:
        """Take what the listeners answered at ``wall``, in epoch seconds."""
        scrapes = [reading.scrape for reading in readings if reading.scrape is not None]
        self.overview = self._history.add(readings)
        if scrapes:
            self.timeline.add(merged(scrapes), wall)
        else:
            self.timeline.fail()
        self.version += 1
