"""Whether a connection counts against the budget of its process, and against the cap of which address."""

from __future__ import annotations

from logops_fast.http.budget import Budget
from logops_fast.http.proxies import TrustedProxies


class Admission:
    """The count of one connection; ``counted`` tells whether the budget has it."""

    __slots__ = ("_budget", "_charged_to", "_proxies", "counted")

    def __init__(self, budget: Budget, proxies: TrustedProxies) -> None:
        self._budget = budget
        self._proxies = proxies
        self._charged_to: str | None = None  # the address whose cap it counts against
        self.counted = False

    def count(self, peer: str) -> None:
        """Count the connection against the budget, and the cap of ``peer``; no more than once."""
        if not self.counted:
            self._charged_to = None if self._proxies.trusts(peer) else peer
            self._budget.add_connection(self._charged_to)
            self.counted = True

    def give_up(self) -> None:
        """Undo ``count``: the connection is gone."""
        if self.counted:
            self.counted = False
            self._budget.remove_connection(self._charged_to)
