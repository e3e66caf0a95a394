"""Check 6: a nonce is good once. What the state store says becomes a refusal here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final

from logops_fast.http.refusal import Refusal
from logops_fast.state.interface import NonceStore, NonceVerdict
from logops_fast.telemetry.logs import RateLimited

SLACK: Final = 1.0
"""Seconds that a nonce is kept beyond its timestamp's tolerance: the clock goes on between checks 4 and 6."""

REPLAY: Final = Refusal(
    401, "replay", "This X-Nonce was used before: make a new one for each request, and for each retry."
)
FORGOTTEN: Final = Refusal(
    401,
    "replay",
    "The request was signed before the gateway's memory of nonces began (a first start, or lost state), so it may be a "
    "replay: sign it again, with the time of now.",
)
FULL: Final = Refusal(
    503,
    "state_unavailable",
    "There is no room to remember more nonces just now: send the request again, newly signed.",
    1,
)
UNAVAILABLE: Final = Refusal(
    503, "state_unavailable", "The store of nonces does not answer: send the request again, newly signed.", 1
)

_REFUSALS: Final = {
    NonceVerdict.REPLAY: REPLAY,
    NonceVerdict.FORGOTTEN: FORGOTTEN,
    NonceVerdict.FULL: FULL,
    NonceVerdict.UNAVAILABLE: UNAVAILABLE,
}
_WARNINGS: Final = {
    NonceVerdict.FULL: "the store of nonces is full, requests are refused: raise state.max_nonces",
    NonceVerdict.UNAVAILABLE: "the state store does not answer, requests are refused",
}


class NonceGuard:
    """Keeps each nonce until its request's timestamp plus ``tolerance`` (seconds) has passed; fails closed.

    A lifetime of the tolerance alone, from now, would be a hole: a timestamp may lie that far in the future, and
    the request would be good again when its nonce is forgotten. ``on_unavailable`` is told of each request that
    the store's state refused; the log only once a minute.
    """

    __slots__ = ("_on_unavailable", "_store", "_warnings", "tolerance")

    def __init__(
        self,
        store: NonceStore,
        tolerance: float,
        *,
        on_unavailable: Callable[[NonceVerdict], None] | None = None,
        mono: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._on_unavailable = on_unavailable
        self._warnings = RateLimited(logging.getLogger(__name__), clock=mono)
        self.tolerance = tolerance

    def insert(self, client_id: str, nonce: bytes, timestamp: float, done: Callable[[Refusal | None], None]) -> None:
        """Use the nonce of a request whose signature is good; ``done`` gets None, or why the request is refused.

        ``timestamp`` is the request's own, in wall seconds. No client's name holds NUL, so nonces of two never meet.
        """
        key = client_id.encode() + b"\0" + nonce
        self._store.insert(key, timestamp + self.tolerance + SLACK, partial(self._judged, done))

    def _judged(self, done: Callable[[Refusal | None], None], verdict: NonceVerdict) -> None:
        if verdict is NonceVerdict.FRESH:
            done(None)
            return
        warning = _WARNINGS.get(verdict)
        if warning is not None:
            self._warnings.log(logging.WARNING, verdict.value, warning)
            if self._on_unavailable is not None:
                self._on_unavailable(verdict)
        done(_REFUSALS[verdict])
