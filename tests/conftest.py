"""What every test may count on."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from logops_fast.runtime.build import COMPILED, build


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compiled code cannot be taken apart; all that a user sees of it is tested all the same."""
    if build() == COMPILED:
        for item in items:
            if item.get_closest_marker("interpreted"):
                item.add_marker(pytest.mark.skip(reason="replaces a name that compiled code has looked up for good"))


@pytest.fixture(autouse=True)
def _logging_is_put_back() -> Iterator[None]:
    """A command that runs in this process configures logging for good; the next test must not notice."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
