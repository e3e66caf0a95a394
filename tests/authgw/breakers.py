"""Breakers with a clock that is set by hand."""

from __future__ import annotations

from typing import Any

from logops_fast.authgw.circuit_breaker import BreakerState, CircuitBreaker

CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make(**options: Any) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    return CircuitBreaker(clock=clock, **options), clock


def calls(breaker: CircuitBreaker, *results: bool) -> None:
    for ok in results:
        token = breaker.allow()
        assert token
        breaker.record(ok, token)
