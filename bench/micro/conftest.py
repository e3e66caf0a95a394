"""What the stages are measured on, and how: CPU-bound calls, many rounds, the least of them counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import corpus, servers

SIZES = (1, 10, 100, 1000)
ROUNDS = 60
EVENTS_A_ROUND = 4000
"""Stages that change their input get a fresh one each call; so many events in all, in calls of one batch."""


class Stage:
    """Measures one stage and notes how many events and requests a call is, for the table."""

    def __init__(self, benchmark: Any) -> None:
        self._benchmark = benchmark

    def __call__(
        self,
        name: str,
        call: Callable[..., Any],
        *arguments: Any,
        events: int = 0,
        fresh: Callable[[], Any] | None = None,
    ) -> Any:
        """Run ``call``; with ``fresh``, each time on a new value of it. The result of the last call."""
        benchmark = self._benchmark
        benchmark.group = name
        benchmark.extra_info.update(events=events)
        if fresh is None:
            return benchmark(call, *arguments)
        rounds = max(ROUNDS, EVENTS_A_ROUND // max(1, events))
        return benchmark.pedantic(call, setup=lambda: ((fresh(), *arguments), {}), rounds=rounds, warmup_rounds=3)


@pytest.fixture
def stage(benchmark: Any) -> Stage:
    return Stage(benchmark)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size}")
def size(request: pytest.FixtureRequest) -> int:
    """Events in a batch."""
    value: int = request.param
    return value


@pytest.fixture(params=("mixed", "clean"))
def kind(request: pytest.FixtureRequest) -> corpus.Kind:
    """With personal data, or without."""
    value: corpus.Kind = request.param
    return value


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder on the disk of the repository: /tmp may be memory, where a sync costs nothing."""
    with servers.scratch() as folder:
        yield folder
