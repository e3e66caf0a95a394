"""``forward`` and ``breaker``: from an Auth Gateway on its own to the Ingest Gateway."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from logops_fast.config.sections.base import Section


class ForwardSettings(Section, frozen=True):
    """From an Auth Gateway on its own to the Ingest Gateway. Not used by `logops up`."""

    url: Annotated[str, Meta(min_length=1, description="Where accepted batches go.")] = "http://127.0.0.1:8080/v1/logs"
    connect_timeout: Annotated[float, Meta(gt=0, description="Seconds to connect.")] = 2.0
    read_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds to wait for an answer, for each try; the Ingest Gateway lets a large batch wait for 5 "
            "before it answers 503 `overloaded`.",
        ),
    ] = 8.0
    deadline: Annotated[float, Meta(gt=0, description="Seconds for all tries together.")] = 10.0
    max_attempts: Annotated[int, Meta(ge=1, le=100, description="Tries in all, the first one included.")] = 3
    base_delay: Annotated[
        float, Meta(gt=0, description="Seconds: upper bound of the wait before the first retry; doubles from there.")
    ] = 0.1
    max_delay: Annotated[float, Meta(gt=0, description="Seconds: upper bound of the wait before any retry.")] = 1.5


class BreakerSettings(Section, frozen=True):
    """The circuit breaker in front of the Ingest Gateway."""

    failure_threshold: Annotated[float, Meta(gt=0, le=1, description="Share of failed calls that opens it.")] = 0.2
    window: Annotated[float, Meta(ge=1, description="Length of the sliding window, in seconds.")] = 30.0
    min_calls: Annotated[int, Meta(ge=1, description="Calls in the window before it may open.")] = 20
    open_for: Annotated[float, Meta(gt=0, description="Seconds it stays open.")] = 20.0
    half_open_probes: Annotated[int, Meta(ge=1, description="Calls let through to test whether it may close.")] = 3
