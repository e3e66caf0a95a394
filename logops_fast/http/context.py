"""What all connections of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate

from logops_fast.http.budget import Budget
from logops_fast.http.exchange import Application, Encoder, Request
from logops_fast.http.head import PlainReader
from logops_fast.http.limits import HttpLimits
from logops_fast.http.proxies import TrustedProxies


class ServerContext:
    """The application, its limits, and values that are computed once per deadline sweep instead of per request.

    ``single`` are lower-case names of fields that must not be repeated; ``clock`` returns monotonic seconds;
    ``encoder_of`` chooses the encoder of a request's answers, by its head; ``plain_reader`` reads heads that are plain.
    """

    __slots__ = (
        "app",
        "budget",
        "call_soon",
        "clock",
        "date",
        "draining",
        "encoder_of",
        "idle_deadline",
        "limits",
        "plain_reader",
        "proxies",
        "single",
    )

    def __init__(
        self,
        app: Application,
        limits: HttpLimits,
        budget: Budget,
        single: frozenset[bytes],
        clock: Callable[[], float],
        proxies: TrustedProxies,
        encoder_of: Callable[[Request], Encoder | None] | None = None,
        plain_reader: PlainReader | None = None,
    ) -> None:
        self.app = app
        self.limits = limits
        self.budget = budget
        self.single = single
        self.clock = clock
        self.proxies = proxies
        self.encoder_of = encoder_of
        self.plain_reader = plain_reader
        self.call_soon: Callable[[Callable[[], None]], object] = _call_soon
        """Calls back in the loop's next turn."""
        self.draining = False
        """Every answer from now on closes its connection."""
        self.date = b""
        """The Date field line, CRLF included."""
        self.idle_deadline = 0.0
        """When a connection that becomes idle now is closed; up to one sweep interval late."""

    def refresh(self, wall: float, sweep_interval: float) -> None:
        """Renew the Date field from ``wall`` (epoch seconds) and the idle deadline."""
        self.idle_deadline = self.clock() + self.limits.idle_timeout + sweep_interval
        self.date = f"date: {formatdate(wall, usegmt=True)}\r\n".encode()


def _call_soon(callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_soon(callback)
