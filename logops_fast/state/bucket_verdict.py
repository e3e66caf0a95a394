"""The verdict of a bucket store; a module of its own because the stores' interface is not compiled."""

from __future__ import annotations

from typing import Final


class BucketVerdict:
    """The state of a token bucket after an operation."""

    __slots__ = ("allowed", "available", "remaining", "retry_after")

    def __init__(self, allowed: bool, remaining: float, retry_after: float, available: bool = True) -> None:
        self.allowed = allowed
        self.remaining = remaining
        """Tokens left; below zero if the bucket is in debt."""
        self.retry_after = retry_after
        """Seconds until the cost would fit: 0 if it was allowed, ``math.inf`` if it is over the capacity."""
        self.available = available
        """False: the store does not answer, and the rest means nothing."""

    def __repr__(self) -> str:
        verdict = "allowed" if self.allowed else f"denied for {self.retry_after:.3f} s"
        return f"<BucketVerdict {verdict}, {self.remaining:.3f} left>"


BUCKET_UNAVAILABLE: Final = BucketVerdict(False, 0.0, 0.0, False)
