"""Check 6: a nonce is good once. The verdict of the state store becomes a refusal here."""

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
    "replay: sign it again, with the current time.",
)
CROWDED: Final = Refusal(
    429,
    "too_many_nonces",
    "The memory of nonces is nearly full and this client holds the most of it: send fewer, larger batches, and this "
    "one again later, newly signed and with the same X-Batch-Id.",
    5,
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

OnVerdict = Callable[[Refusal | None], None]
OnUnavailable = Callable[[NonceVerdict], None]

_FRESH: Final = NonceVerdict.FRESH  # bound once: an Enum member costs two look-ups each time it is named

_REFUSALS: Final = {
    NonceVerdict.REPLAY: REPLAY,
    NonceVerdict.FORGOTTEN: FORGOTTEN,
    NonceVerdict.CROWDED: CROWDED,
    NonceVerdict.FULL: FULL,
    NonceVerdict.UNAVAILABLE: UNAVAILABLE,
}
_WARNINGS: Final = {
    NonceVerdict.CROWDED: "the store of nonces is nearly full, its largest holder is refused: raise "
    "state.max_request_rate",
    NonceVerdict.FULL: "the store of nonces is full, requests are refused: raise state.max_request_rate",
    NonceVerdict.UNAVAILABLE: "the state store does not answer, requests are refused",
}


class NonceGuard:
    """Keeps each nonce until its request's timestamp plus ``tolerance`` (seconds) has passed; fails closed.

    A lifetime of the tolerance alone, from now, would be a hole: a timestamp may lie that far in the future, and
    the request would be good again when its nonce is forgotten. ``on_unavailable`` is called for each request that was
    refused because of the store's state; the log gets one line a minute. ``clock`` is monotonic, in seconds.
    """

    __slots__ = ("_insert_now", "_on_unavailable", "_store", "_warnings", "tolerance")

    def __init__(
        self,
        store: NonceStore,
        tolerance: float,
        *,
        on_unavailable: OnUnavailable | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        # A store in memory has its verdict at once, without a callback: 0.5 us less.
        self._insert_now: Callable[[bytes, float], NonceVerdict | None] | None = getattr(store, "insert_now", None)
        self._on_unavailable = on_unavailable
        self._warnings = RateLimited(logging.getLogger(__name__), clock=clock)
        self.tolerance = tolerance

    def insert(self, client_id: str, nonce: bytes, timestamp: float, done: OnVerdict) -> None:
        """Use the nonce of a request whose signature is right; ``done`` gets None, or why the request is refused.

        ``timestamp`` is the request's own, in wall seconds.
        """
        key, expires_at = _key(client_id, nonce), timestamp + self.tolerance + SLACK
        verdict = None if self._insert_now is None else self._insert_now(key, expires_at)
        if verdict is None:
            self._store.insert(key, expires_at, partial(self._judged, done))
        else:
            self._judged(done, verdict)

    def give_back(self, client_id: str, nonce: bytes, timestamp: float) -> None:
        """Make a nonce good once more. Only for a request that had no effect, and certainly none."""
        self._store.remove(_key(client_id, nonce), timestamp + self.tolerance + SLACK)

    def _judged(self, done: OnVerdict, verdict: NonceVerdict) -> None:
        if verdict is _FRESH:
            done(None)
            return
        warning = _WARNINGS.get(verdict)
        if warning is not None:
            self._warnings.log(logging.WARNING, verdict.value, warning)
            if self._on_unavailable is not None and verdict is not NonceVerdict.CROWDED:
                self._on_unavailable(verdict)
        done(_REFUSALS[verdict])


def _key(client_id: str, nonce: bytes) -> bytes:
    """Return the store's key. No client's name holds NUL, so nonces of two clients never meet."""
    return client_id.encode() + b"\0" + nonce
