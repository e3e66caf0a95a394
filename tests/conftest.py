"""What holds for every test: how Hypothesis runs, what may start a process, in which order tests run in parallel."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from hypothesis import settings

from logops_fast.runtime.build import COMPILED, build
from tests.support import order
from tests.support.reports import reduce_reports
from tests.support.signals import let_children_be_interrupted

# No deadline: wall-clock time says how busy the machine is, not how good the code. A failure prints what reproduces it.
# A developer's run draws a few new examples of each property, CI many that are the same in every run.
settings.register_profile("default", deadline=None, print_blob=True, max_examples=10)
settings.register_profile(
    "ci", parent=settings.get_profile("default"), max_examples=100, derandomize=True, database=None
)
# With each line traced an example takes three times as long: few, the same in every run.
settings.register_profile("traced", parent=settings.get_profile("ci"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Marks of tests that may start a process. `make unit` runs everything else.
STARTS_PROCESSES = ("process", "service", "fault", "bench", "long", "release")
FIXTURES_THAT_START = frozenset({"supervised"})
STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})

# Marks of tests whose processes `make coverage` does not measure: they would take twice the time to start, what they
# run is run by faster tests too, and what was measured is lost when they are killed.
UNMEASURED = ("fault", "bench", "slow")
COVERAGE = "COVERAGE_PROCESS_CONFIG"  # of coverage.py: set for the child processes to be measured
GUARD: pytest.StashKey[ProcessGuard] = pytest.StashKey()


class ProcessGuard:
    """Fails a test that starts a process without one of the marks that say so: `make unit` counts on them."""

    def __init__(self) -> None:
        self.refuses = False

    def __call__(self, event: str, _arguments: tuple[Any, ...]) -> None:
        """The audit hook."""
        if self.refuses and event in STARTS:
            raise RuntimeError(f"{event} in a test that is marked as starting no process: mark it ({STARTS_PROCESSES})")


def starts_processes(item: pytest.Item) -> bool:
    """Return whether a test is marked as starting processes."""
    return any(item.get_closest_marker(name) for name in STARTS_PROCESSES)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare a test process, once: an audit hook cannot be removed."""
    guard = config.stash[GUARD] = ProcessGuard()
    sys.addaudithook(guard)
    let_children_be_interrupted()
    reduce_reports(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leave the modules and items of the run out of garbage collections: they are kept, and there are many of them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Order the tests, and skip those that compiled code cannot pass.

    What waits (processes, services) runs first, so that in parallel the short tests fill the gaps at the end.
    """
    for item in items:
        if FIXTURES_THAT_START.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)
    items.sort(key=lambda item: not starts_processes(item))
    if build() == COMPILED:
        for item in items:
            if item.get_closest_marker("interpreted"):
                item.add_marker(pytest.mark.skip(reason="replaces a name that compiled code has looked up for good"))
    yield  # tests are deselected
    if (processes := getattr(config, "workerinput", {}).get("workercount", 1)) > 1:
        items[:] = in_turn(items, processes)


def in_turn(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests in the order in which so many processes take them."""
    seconds = order.recorded(order.SECONDS.read_text("utf-8"))

    def cost(item: pytest.Item) -> float:
        assumed = order.BUILD if item.get_closest_marker("release") else order.UNKNOWN
        return seconds.get(item.nodeid.partition("[")[0], assumed) if starts_processes(item) else 0.0

    found = list(order.groups(map(kept_together, items), map(cost, items)))
    return [items[at] for at in order.dealt(found, processes)]


def kept_together(item: pytest.Item) -> str:
    """Return the module of a test that shares a fixture with others of it, and otherwise the test's own name."""
    info = getattr(item, "_fixtureinfo", None)
    fixtures = info.name2fixturedefs.values() if info else ()
    if starts_processes(item) and not any(found[-1].scope in ("class", "module", "package") for found in fixtures):
        return item.nodeid
    return item.nodeid.partition("::")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Arm the guard for the time of one test, its fixtures included, and undo what it configured of logging."""
    guard = item.config.stash[GUARD]
    guard.refuses = not starts_processes(item)
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    try:
        with nullcontext() if is_measured(item) else unmeasured():
            return (yield)
    finally:
        guard.refuses = False
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.raiseExceptions = raising


def is_measured(item: pytest.Item) -> bool:
    """Return whether `make coverage` measures the processes of a test."""
    return not any(item.get_closest_marker(name) for name in UNMEASURED)


@contextmanager
def unmeasured() -> Iterator[None]:
    """Start processes whose coverage is not measured."""
    configuration = os.environ.pop(COVERAGE, None)
    try:
        yield
    finally:
        if configuration is not None:
            os.environ[COVERAGE] = configuration


def pytest_sessionfinish() -> None:
    """Save the coverage measured in this process, if any: a test process that ends slowly is killed by xdist."""
    if COVERAGE in os.environ:
        import coverage

        if (measured := coverage.Coverage.current()) is not None:
            measured.save()
