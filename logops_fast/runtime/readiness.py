"""Whether to send anything here: /readyz gives one answer for the gateway, whichever worker is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, cast

from logops_fast.http.refusal import Reason, Refusal
from logops_fast.telemetry.registry import Registry

UNREADY: Final = "logops_unready"

Check = Callable[[], Refusal | None]


class Readiness:
    """The first reason of this worker's ``checks`` not to be ready, else one that another worker has told.

    A worker that has not written since the disk filled up does not know it yet; it hears of it from the one that has.
    """

    def __init__(self, registry: Registry, checks: Sequence[Check]) -> None:
        self._registry = registry
        self._checks = checks
        self._told = registry.gauge(
            UNREADY, "1 while a worker is not ready for this reason; the worst of all workers.", ("reason",), mode="max"
        )
        self._reasons: set[str] = set()

    def tell(self) -> Refusal | None:
        """Ask this worker's checks, and tell the others; the refusal of the first that is not passed."""
        refusals = [refusal for check in self._checks if (refusal := check()) is not None]
        reasons = {refusal.reason for refusal in refusals}
        for reason in self._reasons | reasons:
            self._told.labels(reason).set(float(reason in reasons))
        self._reasons |= reasons
        return refusals[0] if refusals else None

    def refusal(self) -> Refusal | None:
        """None, or why the gateway is not ready."""
        own = self.tell()
        if own is not None:
            return own
        for (reason,), (unready,) in self._registry.sums(UNREADY).items():
            if unready:
                return Refusal(
                    503, cast(Reason, reason), "Another worker of this gateway is not ready: its log says why.", 1
                )
        return None
